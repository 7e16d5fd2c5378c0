import { rm } from "node:fs/promises";
import type { ServerSpec } from "../pipeline/pipeline.ts";
import { findProgram, versionOf } from "./find-program.ts";
import { writePrivateFile } from "./private-file.ts";
import { type ProgramRun, textOf } from "./program.ts";
import { isUnfinishedName } from "./restore-mark.ts";
import type { Access, FoundDatabase, Tools } from "./source.ts";

export type MongodbServer = Extract<ServerSpec, { type: "mongodb" }>;

type Chosen = { databases: string[]; excludeDatabases: string[] };

/** What is needed to run MongoDB's programs against one server. Close it, for it holds files with the password. */
export type MongodbSession = {
  /** How to run mongodump or mongorestore. */
  run(program: "mongodump" | "mongorestore", args: readonly string[]): ProgramRun;
  /** The server's databases without its own; null when this machine has no shell to ask it with. */
  list(): Promise<FoundDatabase[] | null>;
  drop(database: string): Promise<void>;
  /** Makes an empty collection in each of these databases, or removes it again. */
  makeCollection(databases: readonly string[], name: string): Promise<void>;
  dropCollection(databases: readonly string[], name: string): Promise<void>;
  /** Of these databases: those with a restore's collection that says that it has not finished, and that one's name. */
  listUnfinished(databases: readonly string[]): Promise<{ database: string; collection: string }[]>;
  close(): Promise<void>;
};

/** Whether it asks for all that the server has, which mongodump gives in one go. */
export const isWhole = ({ databases, excludeDatabases }: Chosen): boolean =>
  databases.length === 0 && excludeDatabases.length === 0;

/** Whether its artifact is one archive of mongodump, and not a tar of several. */
export const isOneArchive = (chosen: Chosen): boolean =>
  isWhole(chosen) || new Set(chosen.databases).size === 1;

const ownDatabases = ["admin", "config", "local"];
export const isOwnDatabase = (name: string): boolean => ownDatabases.includes(name);

export async function mongodbTools(): Promise<Tools | null> {
  const [dump, restore] = [findProgram(["mongodump"]), findProgram(["mongorestore"])];
  const version = dump && restore ? await versionOf(dump) : null;
  if (version === null) return null;
  const shell = findShell();
  const shellVersion = shell && (await versionOf(shell));
  return {
    mongodump: version.replace(/^mongodump version: /, ""),
    ...(shellVersion ? { mongosh: shellVersion } : {}),
  };
}

const findShell = (): string | null => findProgram(["mongosh", "mongo"]);

export async function openMongodb(
  server: MongodbServer,
  { secrets: { password }, workDir, signal }: Pick<Access, "secrets" | "workDir" | "signal">,
): Promise<MongodbSession> {
  const address = addressOf(server, password);
  // A string of JSON is one of YAML.
  const config = await writePrivateFile(workDir, "mongo.yaml", `uri: ${JSON.stringify(address)}\n`);
  const secrets = password === null ? [] : [address, password, encodeURIComponent(password)];
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("BACKUPX_")),
  );
  const ask = async (script: string): Promise<string> => {
    const shell = findShell();
    if (shell === null) throw new Error("mongosh is not installed on this machine");
    const connect = `const server = new Mongo(${JSON.stringify(address)});\n`;
    const file = await writePrivateFile(workDir, "ask.js", connect + script);
    try {
      return await textOf({
        program: shell,
        args: ["--quiet", "--norc", "--nodb", file],
        env,
        secrets,
        signal,
      });
    } finally {
      await rm(file, { force: true });
    }
  };
  return {
    run: (program, args) => ({
      program: findProgram([program]) ?? program,
      args: [`--config=${config}`, ...args],
      env,
      secrets,
      signal,
    }),
    async list() {
      if (findShell() === null) return null;
      const answer = await ask(
        "print(JSON.stringify(server.getDB('admin').adminCommand({ listDatabases: 1 }).databases.map((d) => [d.name, Number(d.sizeOnDisk)])));",
      );
      const found = JSON.parse(answer.slice(answer.indexOf("["))) as [string, number][];
      return found
        .filter(([name]) => !isOwnDatabase(name))
        .map(([name, sizeBytes]) => ({ name, sizeBytes: Number.isFinite(sizeBytes) ? sizeBytes : null }));
    },
    async drop(database) {
      await ask(`${databaseOf(database)}.dropDatabase();`);
    },
    async makeCollection(databases, name) {
      const make = databases.map((database) => `${databaseOf(database)}.createCollection(${asText(name)});`);
      await ask(make.join("\n"));
    },
    async dropCollection(databases, name) {
      const drop = databases.map(
        (database) => `${databaseOf(database)}.getCollection(${asText(name)}).drop();`,
      );
      await ask(drop.join("\n"));
    },
    async listUnfinished(databases) {
      if (databases.length === 0) return [];
      const all = databases.map((database) => `[${asText(database)}, namesIn(${databaseOf(database)})]`);
      // What this account may not look into, no restore with its rights has made.
      const answer = await ask(
        `const namesIn = (database) => { try { return database.getCollectionNames(); } catch (_error) { return []; } };
         print(JSON.stringify([${all.join(", ")}]));`,
      );
      const found = JSON.parse(answer.slice(answer.indexOf("["))) as [string, string[]][];
      return found.flatMap(([database, collections]) =>
        collections.filter(isUnfinishedName).map((collection) => ({ database, collection })),
      );
    },
    close: () => rm(config, { force: true }),
  };
}

const asText = (text: string): string => JSON.stringify(text);
const databaseOf = (database: string): string => `server.getDB(${asText(database)})`;

function addressOf(server: MongodbServer, password: string | null): string {
  const { host, port, user, authDatabase, replicaSet } = server;
  const login = user === "" ? "" : `${encodeURIComponent(user)}:${encodeURIComponent(password ?? "")}@`;
  const place = host.startsWith("/")
    ? encodeURIComponent(host)
    : `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const options = new URLSearchParams({
    ...(user === "" ? {} : { authSource: authDatabase }),
    ...(replicaSet === null ? {} : { replicaSet }),
    ...tlsOptions(server),
  });
  return `mongodb://${login}${place}/?${options}`;
}

/** MongoDB's programs know no connection that is encrypted if possible, and check the name with the authority. */
function tlsOptions({ tls: { mode, caFile } }: MongodbServer): Record<string, string> {
  if (mode === "disable" || mode === "prefer") return {};
  if (mode === "require") return { tls: "true", tlsInsecure: "true" };
  return { tls: "true", ...(caFile === null ? {} : { tlsCAFile: caFile }) };
}
