import type { z } from "zod";
import type { objects } from "../../protocol/index.ts";

type Source = objects.Source;
type Capabilities = z.output<typeof objects.capabilities>;
/** What an agent's configuration may name a program for, of each of its commands. */
export type ProgramUse = "run" | "restore" | "verify";

/** What a node needs before its agent can back up such a source. */
const needed: Partial<Record<Source["type"], string>> = {
  postgresql: "pg_dump, pg_restore and psql (e.g. the package postgresql-client)",
  mysql: "mariadb-dump or mysqldump, and mariadb or mysql (e.g. the package mariadb-client)",
  mongodb: "mongodump, mongorestore and mongosh (MongoDB's Database Tools and Shell)",
  saphana: "hdbsql (the SAP HANA client)",
};

/** Why an agent of ours with these capabilities cannot back up or restore such a source; null when it can. */
export function whatItLacksFor(name: string, { sources }: Capabilities, type: Source["type"]): string | null {
  if (sources.includes(type)) return null;
  if (type === "command") {
    return `the configuration of ${name} allows no commands: add them to \`commands:\` in its agent.yaml and restart the agent`;
  }
  const programs = needed[type];
  if (programs === undefined) {
    return `the agent of ${name} cannot back up ${type} sources (it can: ${listed(sources)}): update it`;
  }
  return `the agent of ${name} has nothing to back up ${type} sources with (it can: ${listed(sources)}): it needs ${programs}; it notices within five minutes when they are there`;
}

/** Names that a task gives and the configuration of this agent does not know; null when it knows them all. */
export function unknownNames(
  name: string,
  capabilities: Capabilities,
  { source, hooks }: { source: Source; hooks: objects.Hooks | null },
): string | null {
  const { commands } = capabilities;
  if (source.type === "command" && !commands.includes(source.name)) {
    return `the configuration of ${name} allows no command ${source.name} (it allows: ${listed(commands)}): add it to \`commands:\` in its agent.yaml and restart the agent`;
  }
  const unknown = hooksOf(hooks).filter((hook) => !capabilities.hooks.includes(hook));
  if (unknown.length === 0) return null;
  return `the configuration of ${name} allows no hook ${unknown.join(", ")} (it allows: ${listed(capabilities.hooks)}): add it to \`hooks:\` in its agent.yaml and restart the agent`;
}

/** Where an agent's configuration names the programs of a source, if it is a command, and of hooks. */
export const commandPrograms = (source: Source, uses: readonly ProgramUse[]): string[] =>
  source.type === "command" ? uses.map((use) => `commands.${source.name}.${use}`) : [];
export const hookPrograms = (hooks: objects.Hooks | null): string[] =>
  hooksOf(hooks).map((hook) => `hooks.${hook}.run`);

/** A program of one of these places that its node cannot start; null when none is known. */
export function missingProgram(
  name: string,
  { missingPrograms }: Capabilities,
  places: readonly string[],
): string | null {
  const found = missingPrograms.find(({ at }) => places.includes(at));
  if (!found) return null;
  const { at, program, problem } = found;
  return `the configuration of ${name} names ${program} at \`${at}\`, which cannot be started there (${problem}): install it, and the agent notices within five minutes; or correct its agent.yaml and restart the agent`;
}

export const hooksOf = (hooks: objects.Hooks | null): string[] => {
  if (hooks === null) return [];
  const { before, afterSuccess, afterFailure, afterAlways } = hooks;
  return [...new Set([before, afterSuccess, afterFailure, afterAlways])].filter((hook) => hook !== null);
};

/** What a BackupX Go agent does not do with this source, and what to choose instead; null when it does all of it. */
export function whatGoLacksFor(source: Source): string | null {
  switch (source.type) {
    case "sqlite":
      return source.paths.length > 1 ? "backs up one SQLite file per task: make a task for each" : null;
    case "file":
      return source.oneFileSystem ? "cannot stay on one file system: exclude the other ones by path" : null;
    case "command":
      return "has no commands as sources: choose another source";
    default:
      return whatGoLacksForServer(source) ?? whatGoLacksOf(source);
  }
}

type DatabaseSource = Exclude<Source, { type: "sqlite" | "file" | "command" }>;

function whatGoLacksForServer(source: DatabaseSource): string | null {
  if (source.tls.mode !== "prefer" || source.tls.caFile !== null) {
    return "takes no settings for TLS: leave them as they are by default";
  }
  if (source.excludeDatabases.length > 0) return "excludes no databases: name those to back up";
  if (source.databases.some((name) => /[,;\n]/.test(name) || name.trim() !== name)) {
    return "cannot have a comma, semicolon or outer space in a database's name";
  }
  return null;
}

function whatGoLacksOf(source: DatabaseSource): string | null {
  if (source.type === "mongodb") {
    if (source.databases.length > 1)
      return "backs up one MongoDB database per task, or all: make a task for each";
    const usual = source.authDatabase === "admin" && source.replicaSet === null && !source.oplog;
    return usual
      ? null
      : "knows neither authDatabase nor replicaSet nor oplog: leave them as they are by default";
  }
  if (source.databases.length === 0) return "must be told which databases: name them";
  if (source.type === "postgresql") {
    if (source.globals) return "does not back up roles and tablespaces: turn globals off";
    return source.excludeTables.length + source.excludeTableData.length > 0 ? "excludes no tables" : null;
  }
  if (source.type === "saphana") return null;
  if (source.host.startsWith("/")) return "reaches MySQL by a name or address only";
  if (!source.singleTransaction)
    return "always reads MySQL in a single transaction: turn singleTransaction on";
  return source.excludeTables.length > 0 ? "excludes no tables" : null;
}

const listed = (names: string[]) => names.join(", ") || "none";
