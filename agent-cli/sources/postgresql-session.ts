import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import type { ServerSpec } from "../pipeline/pipeline.ts";
import { findProgram, postgresqlFolders, versionOf } from "./find-program.ts";
import { writePrivateFile } from "./private-file.ts";
import { type ProgramRun, textOf } from "./program.ts";
import type { Access, FoundDatabase, Tools } from "./source.ts";

export type PostgresqlServer = Extract<ServerSpec, { type: "postgresql" }>;

/** What is needed to run PostgreSQL's programs against one server. Close it, for it holds a file with the password. */
export type PostgresqlSession = {
  /** How to run one of PostgreSQL's programs, on a database where it connects to one. */
  run(program: string, args: readonly string[], database?: string): ProgramRun;
  /** What statements answer, one line for each row. */
  query(sql: string, database?: string): Promise<string[]>;
  maintenanceDatabase: string;
  close(): Promise<void>;
};

const connectTimeoutSeconds = "30";
const programs = ["psql", "pg_dump", "pg_dumpall", "pg_restore"] as const;

/** The programs that PostgreSQL is backed up with, all of one installation; null when they are not here. */
export async function postgresqlTools(): Promise<Tools | null> {
  const pgDump = findProgram(["pg_dump"], postgresqlFolders());
  const version = pgDump === null ? null : await versionOf(pgDump);
  if (version === null || programs.some((name) => pathOf(name) === null)) return null;
  return { pg_dump: version.replace(/^pg_dump \(PostgreSQL\) /, "") };
}

const pathOf = (name: string): string | null => findProgram([name], postgresqlFolders());

export async function openPostgresql(
  server: PostgresqlServer,
  { secrets: { password }, workDir, signal }: Pick<Access, "secrets" | "workDir" | "signal">,
): Promise<PostgresqlSession> {
  const passwordFile = await writePrivateFile(workDir, "pgpass", passwordLine(password));
  const env = { ...environment(server), PGPASSFILE: passwordFile };
  const run = (program: string, args: readonly string[], database?: string): ProgramRun => ({
    program: pathOf(program) ?? program,
    args: database === undefined ? args : [...args, `--dbname=${connectionTo(database)}`],
    env,
    secrets: [password],
    signal,
  });
  const { maintenanceDatabase } = server;
  return {
    run,
    maintenanceDatabase,
    async query(sql, database = maintenanceDatabase) {
      const args = [
        "--no-psqlrc",
        "--no-password",
        "--quiet",
        "--tuples-only",
        "--no-align",
        "--set=ON_ERROR_STOP=1",
        "--set=VERBOSITY=terse",
      ];
      const text = await textOf(run("psql", args, database), sql);
      return text.split("\n").filter((line) => line !== "");
    },
    close: () => rm(passwordFile, { force: true }),
  };
}

function passwordLine(password: string | null): string {
  if (password === null) return "";
  if (/[\r\n]/.test(password))
    throw new Error("PostgreSQL's password file cannot hold a password with a line break");
  return `*:*:*:*:${password.replace(/[\\:]/g, "\\$&")}\n`;
}

/** Nothing of this process's own settings of PostgreSQL, which would lead the programs elsewhere. */
function environment({ host, port, user, tls }: PostgresqlServer): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(PG|BACKUPX_)/.test(name));
  return {
    ...Object.fromEntries(inherited),
    LC_ALL: "C.UTF-8",
    PGHOST: host,
    PGPORT: String(port),
    ...(user === "" ? {} : { PGUSER: user }),
    PGSSLMODE: tls.mode,
    ...caFile(tls),
    PGCONNECT_TIMEOUT: connectTimeoutSeconds,
    PGAPPNAME: "backupx-agent",
    PGCLIENTENCODING: "UTF8",
    PGTZ: "UTC",
  };
}

/** Where the systems keep the authorities that they trust; libpq itself looks only in the user's home. */
const systemCaFiles = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/cert.pem",
];
export const systemCaFile = (): string | undefined => systemCaFiles.find((file) => existsSync(file));

function caFile({ mode, caFile }: PostgresqlServer["tls"]): NodeJS.ProcessEnv {
  const file = caFile ?? (mode.startsWith("verify") ? systemCaFile() : undefined);
  return file === undefined ? {} : { PGSSLROOTCERT: file };
}

/** A name alone could be taken for a connection string. */
const connectionTo = (database: string): string => `dbname='${database.replace(/[\\']/g, "\\$&")}'`;

export const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`;
export const quoteText = (text: string): string =>
  `E'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;

/** All databases that can be connected to, with what this user may know of their size. */
export async function listPostgresql(
  session: PostgresqlSession,
): Promise<(FoundDatabase & { allowed: boolean })[]> {
  const rows = await session.query(`
    select json_build_object('name', datname, 'allowed', has_database_privilege(oid, 'CONNECT'), 'sizeBytes',
      case when has_database_privilege(oid, 'CONNECT') then pg_database_size(oid) end)
    from pg_database where datallowconn and not datistemplate order by datname;`);
  return rows.map((row) => JSON.parse(row));
}

/** Throws when this machine's pg_dump is older than the server, which it would refuse. */
export async function requireNewEnough(session: PostgresqlSession): Promise<void> {
  const [row = ""] = await session.query("show server_version_num;");
  const server = Math.floor(Number(row) / 10_000);
  const tool = Number(/^\d+/.exec((await postgresqlTools())?.["pg_dump"] ?? "")?.[0] ?? 0);
  if (tool === 0)
    throw new Error("PostgreSQL's programs (psql, pg_dump, pg_restore) are not installed on this machine");
  if (tool < server) {
    throw new Error(
      `the server is PostgreSQL ${server} and this machine's pg_dump is of version ${tool}: install the client programs of version ${server} or newer`,
    );
  }
}
