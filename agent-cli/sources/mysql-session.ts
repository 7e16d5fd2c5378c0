import { rm } from "node:fs/promises";
import type { ServerSpec } from "../pipeline/pipeline.ts";
import { findProgram, versionOf } from "./find-program.ts";
import { systemCaFile } from "./postgresql-session.ts";
import { writePrivateFile } from "./private-file.ts";
import { type ProgramRun, textOf } from "./program.ts";
import type { Access, FoundDatabase, Tools } from "./source.ts";

export type MysqlServer = Extract<ServerSpec, { type: "mysql" }>;

/** MariaDB's programs and Oracle's have different names, and some different options. */
export type Flavour = "mariadb" | "mysql";

/** What is needed to run the programs against one server. Close it, for it holds a file with the password. */
export type MysqlSession = {
  flavour: Flavour;
  dump(args: readonly string[]): ProgramRun;
  client(args: readonly string[]): ProgramRun;
  /** What a statement answers: for each row its columns. Select names by `hex`: they may hold anything. */
  query(sql: string): Promise<string[][]>;
  close(): Promise<void>;
};

type Programs = { flavour: Flavour; client: string; dump: string; version: string };

/** The programs on this machine; MariaDB's first, since its names for Oracle's are often links to the same ones. */
async function findPrograms(): Promise<Programs | null> {
  const dump = findProgram(["mariadb-dump", "mysqldump"]);
  const client = findProgram(["mariadb", "mysql"]);
  if (dump === null || client === null) return null;
  const version = await versionOf(dump);
  if (version === null) return null;
  return { flavour: /mariadb/i.test(version) ? "mariadb" : "mysql", client, dump, version };
}

export async function mysqlTools(): Promise<Tools | null> {
  const found = await findPrograms();
  if (found === null) return null;
  const name = found.flavour === "mariadb" ? "mariadb-dump" : "mysqldump";
  return {
    [name]: /(?:Distrib|Ver) (\d+\.[\w.-]+)(?!.*(?:Distrib) )/.exec(found.version)?.[1] ?? found.version,
  };
}

/** How MariaDB's client says that a server knows no TLS: it either insists on it or does not try. */
const withoutTls = /server does ?n[o']t support|SSL is required/i;

export async function openMysql(
  server: MysqlServer,
  { secrets: { password }, workDir, signal }: Pick<Access, "secrets" | "workDir" | "signal">,
): Promise<MysqlSession> {
  const programs = await findPrograms();
  if (programs === null) {
    throw new Error("neither mariadb-dump and mariadb nor mysqldump and mysql are installed on this machine");
  }
  const { flavour } = programs;
  const fileWith = (tls: string[]) =>
    writePrivateFile(workDir, "my.cnf", ["[client]", ...options(server, password), ...tls, ""].join("\n"));
  let optionFile = await fileWith(tlsOptions(server, flavour));
  const run = (program: string, args: readonly string[]): ProgramRun => ({
    program,
    // Only this file: the machine's own settings could change what a dump holds.
    args: [`--defaults-file=${optionFile}`, ...args],
    env: environment(),
    secrets: [password],
    signal,
  });
  const query = async (sql: string) => {
    const text = await textOf(run(programs.client, ["--batch", "--skip-column-names"]), sql);
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.split("\t"));
  };
  const close = () => rm(optionFile, { force: true });
  try {
    await query("select 1;").catch(async (error) => {
      if (flavour !== "mariadb" || server.tls.mode !== "prefer" || !withoutTls.test(error.message))
        throw error;
      await close();
      optionFile = await fileWith(["skip-ssl"]);
      await query("select 1;");
    });
  } catch (error) {
    await close();
    throw error;
  }
  return {
    flavour,
    dump: (args) => run(programs.dump, args),
    client: (args) => run(programs.client, args),
    query,
    close,
  };
}

function options({ host, port, user }: MysqlServer, password: string | null): string[] {
  const isSocket = host.startsWith("/");
  return [
    ...(isSocket ? [`socket=${quoted(host)}`] : [`host=${quoted(host)}`, `port=${port}`]),
    // Without it, "localhost" would mean a socket wherever the client was built to look for one.
    `protocol=${isSocket ? "socket" : "tcp"}`,
    ...(user === "" ? [] : [`user=${quoted(user)}`]),
    `password=${quoted(password ?? "")}`,
    "default-character-set=utf8mb4",
    // The largest that there can be: a row of a dump is one statement.
    "max-allowed-packet=1G",
  ];
}

const quoted = (text: string): string => {
  if (/[\r\n]/.test(text)) throw new Error("MySQL's option file cannot hold a password with a line break");
  return `"${text.replace(/[\\"]/g, "\\$&")}"`;
};

/** MariaDB's client cannot check the authority alone: with it, `verify-ca` checks the name too. */
function tlsOptions({ tls: { mode, caFile } }: MysqlServer, flavour: Flavour): string[] {
  const file = caFile ?? (mode.startsWith("verify") ? systemCaFile() : undefined);
  const authorities = file === undefined || mode === "disable" ? [] : [`ssl-ca=${quoted(file)}`];
  if (flavour === "mysql") return [`ssl-mode=${oracleModes[mode]}`, ...authorities];
  if (mode === "disable") return ["skip-ssl"];
  return [
    "ssl",
    ...authorities,
    mode.startsWith("verify") ? "ssl-verify-server-cert" : "skip-ssl-verify-server-cert",
  ];
}

const oracleModes = {
  disable: "DISABLED",
  prefer: "PREFERRED",
  require: "REQUIRED",
  "verify-ca": "VERIFY_CA",
  "verify-full": "VERIFY_IDENTITY",
} as const;

const environment = (): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(MYSQL|MARIADB|BACKUPX_)/.test(name)),
  ),
  LC_ALL: "C.UTF-8",
  TZ: "UTC",
});

export const quoteMysqlName = (name: string): string => `\`${name.replaceAll("`", "``")}\``;

export type MysqlDatabase = FoundDatabase & { charset: string; collation: string };

/** What a server keeps for itself. */
const ownDatabases = ["information_schema", "performance_schema", "mysql", "sys"];

export async function listMysql(session: MysqlSession): Promise<MysqlDatabase[]> {
  const own = ownDatabases.map((name) => `'${name}'`).join(", ");
  const rows = await session.query(`
    select hex(convert(s.schema_name using utf8mb4)), s.default_character_set_name, s.default_collation_name,
      coalesce(sum(t.data_length + t.index_length), 0)
    from information_schema.schemata s left join information_schema.tables t on t.table_schema = s.schema_name
    where s.schema_name not in (${own})
    group by s.schema_name, s.default_character_set_name, s.default_collation_name order by s.schema_name;`);
  return rows.map(([name = "", charset = "", collation = "", bytes = ""]) => ({
    name: Buffer.from(name, "hex").toString(),
    charset,
    collation,
    sizeBytes: /^\d+$/.test(bytes) ? Number(bytes) : null,
  }));
}

export const hexText = (text: string): string =>
  `convert(x'${Buffer.from(text).toString("hex")}' using utf8mb4)`;
