import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { ExitError } from "../exit-codes.ts";
import type { RestoreJob, ServerSpec, SourceSpec } from "../pipeline/pipeline.ts";

type Server = Extract<SourceSpec, { host: string }>;
type Mode = ServerSpec["tls"]["mode"];
type Options = { tls?: string; tlsCa?: string };

const types = { postgresql: 5432, mysql: 3306, mongodb: 27_017 } as const;
const aliases: Record<string, keyof typeof types> = { postgres: "postgresql", mariadb: "mysql" };
const modes: readonly string[] = [
  "disable",
  "prefer",
  "require",
  "verify-ca",
  "verify-full",
] satisfies Mode[];

export const isServer = (source: SourceSpec): source is Server => "host" in source;

/**
 * A database server as people write it: `postgresql://user@host:port/database,database`, or `?socket=/path` for its Unix
 * socket. Null for what is no such address.
 */
export function databaseServer(address: string, options: Options): Server | null {
  const [, scheme = "", rest = ""] = /^(\w+):\/\/(.*)$/s.exec(address) ?? [];
  const type = aliases[scheme] ?? (scheme in types ? (scheme as keyof typeof types) : null);
  if (type === null) return null;
  // A scheme that is not of the web keeps its address as it is written.
  const url = URL.parse(`database://${rest}`);
  const host = url?.searchParams.get("socket") ?? url?.hostname.replace(/^\[(.*)\]$/, "$1");
  if (!url || !host) throw new ExitError("usage", `${address} is not like ${scheme}://user@host/database`);
  if (url.password !== "") {
    throw new ExitError("usage", `everybody could read a password in an address: ${passwordPlaces}`);
  }
  const names = url.pathname.slice(1).split(",").filter(Boolean).map(decodeURIComponent);
  const common = {
    host,
    port: Number(url.port || types[type]),
    user: decodeURIComponent(url.username),
    tls: { mode: modeOf(options), caFile: options.tlsCa ? resolve(options.tlsCa) : null },
    databases: names,
    excludeDatabases: [],
  };
  return complete(type, common);
}

type Common = Pick<Server, "host" | "user" | "tls" | "databases" | "excludeDatabases"> & { port: number };

function complete(type: keyof typeof types, common: Common): Server {
  switch (type) {
    case "postgresql":
      return {
        type,
        ...common,
        maintenanceDatabase: "postgres",
        // One database that is named is its plain dump.
        globals: common.databases.length !== 1,
        excludeTables: [],
        excludeTableData: [],
      };
    case "mysql":
      return { type, ...common, singleTransaction: true, excludeTables: [] };
    case "mongodb":
      return { type, ...common, authDatabase: "admin", replicaSet: null, oplog: false };
  }
}

function modeOf({ tls, tlsCa }: Options): Mode {
  const mode = tls ?? (tlsCa === undefined ? "prefer" : "verify-full");
  if (!modes.includes(mode)) throw new ExitError("usage", `--tls must be one of ${modes.join(", ")}`);
  return mode as Mode;
}

const passwordPlaces = "use --password-file or BACKUPX_DATABASE_PASSWORD";

/** The password of a file, without its line's end, or of the environment. */
export async function databasePassword(file: string | undefined): Promise<string | null> {
  if (file === undefined) return process.env["BACKUPX_DATABASE_PASSWORD"] ?? null;
  const text = await readFile(resolve(file), "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new ExitError("usage", `--password-file ${file}: ${error.code}`);
  });
  return text.replace(/\r?\n$/, "");
}

type RestoreOptions = { database?: string[]; roles?: boolean; owners: boolean; passwordFile?: string };
type ToServer = Required<Pick<RestoreJob, "sourceType" | "source" | "sourceSecrets" | "options">>;

/**
 * What a restore to a server takes. A plain dump does not say the name of its database, so the address has to: it goes
 * into that one.
 */
export async function restoreToServer(
  server: Server,
  kind: SourceSpec["type"],
  { database = [], roles = false, owners, passwordFile }: RestoreOptions,
): Promise<ToServer> {
  const isArchive = kind === "file";
  if (!isArchive && kind !== server.type) {
    throw new ExitError("usage", `this artifact is no backup of ${server.type}`);
  }
  const isNamedByAddress = !isArchive && server.type !== "mongodb";
  if (isNamedByAddress ? server.databases.length !== 1 : server.databases.length > 0) {
    throw new ExitError(
      "usage",
      isNamedByAddress
        ? "--to must name the one database that this dump is to become"
        : "name databases by --database, not in the address",
    );
  }
  const pairs = database.map((text) => /^([^=]+)(?:=(.+))?$/s.exec(text) ?? []);
  if (pairs.some(([all]) => all === undefined))
    throw new ExitError("usage", "--database takes names, or old=new");
  return {
    sourceType: server.type,
    source: server,
    sourceSecrets: { password: await databasePassword(passwordFile) },
    options: {
      databases: database.length === 0 ? null : pairs.map(([, from = ""]) => from),
      renameDatabases: Object.fromEntries(pairs.flatMap(([, from = "", to]) => (to ? [[from, to]] : []))),
      owners,
      roles,
    },
  };
}
