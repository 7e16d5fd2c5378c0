import { z } from "zod";
import { objects, type states } from "../../protocol/index.ts";
import {
  commandPrograms,
  hooksOf,
  missingProgram,
  unknownNames,
  whatGoLacksFor,
  whatItLacksFor,
} from "./can-read.ts";

/** What a task asks of the node that runs it. */
export type Needs = {
  source: objects.Source;
  compression: z.output<typeof states.compression>;
  encrypted: boolean;
  differential: boolean;
  hooks: objects.Hooks | null;
  engine: z.output<typeof states.engine>;
  targets: { name: string; type: string; config: string; secretNames: string }[];
};

/** What a node's row tells of what its agent can do. */
export type Able = {
  name: string;
  lastSeen: number | null;
  protocolVersion: number | null;
  /** JSON as its agent reported it; null while nothing is known. */
  capabilities: string | null;
};

/** A BackupX Go agent has been seen, yet never said which version of our protocol it speaks. */
export const isGoAgent = (node: { lastSeen: number | null; protocolVersion: number | null }): boolean =>
  node.lastSeen !== null && node.protocolVersion === null;

/** Why this node cannot run such a task, in words that end with what to do; null when nothing is known against it. */
export function whyItCannotRun(node: Able, needs: Needs): string | null {
  return isGoAgent(node) ? goAgentLacks(node.name, needs) : agentLacks(node, needs);
}

/** Why this node can read no such source at all; null when nothing is known against it. */
export function whyItCannotRead(node: Able, type: objects.Source["type"]): string | null {
  if (isGoAgent(node)) {
    return type === "command"
      ? `${node.name} runs a BackupX Go agent, which has no commands as sources`
      : null;
  }
  return node.capabilities === null
    ? null
    : whatItLacksFor(node.name, capabilitiesOf(node.capabilities), type);
}

/** Why this node can tell of no such databases; null when nothing is known against it. */
export function whyItCannotDiscover(node: Able, type: objects.DatabasePlace["type"]): string | null {
  if (isGoAgent(node) && type === "sqlite") {
    return `${node.name} runs a BackupX Go agent, which does not look for SQLite databases: name their files`;
  }
  return whyItCannotRead(node, type);
}

/** Why this node can neither encrypt nor open what was encrypted; null when nothing is known against it. */
export function whyItCannotEncrypt(node: Able): string | null {
  if (isGoAgent(node)) return `${node.name} runs a BackupX Go agent, which does not know the age format`;
  if (node.capabilities === null || "age" in capabilitiesOf(node.capabilities).engines) return null;
  return `the agent of ${node.name} does not know the age format yet: update it`;
}

/** Why this node can neither make nor open snapshots of restic; null when nothing is known against it. */
export function whyItHasNoRestic(node: Able): string | null {
  if (isGoAgent(node)) return `${node.name} runs a BackupX Go agent, which does not know restic`;
  if (node.capabilities === null || "restic" in capabilitiesOf(node.capabilities).engines) return null;
  return `the agent of ${node.name} finds no program restic: install it there, then restart the agent`;
}

/** Why this node cannot start one of the programs that its configuration names there; null when nothing is known against it. */
export function whyItCannotStart(node: Able, places: readonly string[]): string | null {
  return node.capabilities === null
    ? null
    : missingProgram(node.name, capabilitiesOf(node.capabilities), places);
}

/** Those whose settings both agents call the same, or that the master translates. */
const goStorages = ["local_disk", "vault", "s3"];

function goAgentLacks(name: string, needs: Needs): string | null {
  const { source, compression, encrypted, differential, engine, hooks, targets } = needs;
  const agent = `${name} runs a BackupX Go agent, which`;
  const orOurs = "or install backupx-agent on it";
  if (engine === "restic") return `${agent} does not know restic: choose the engine archive, ${orOurs}`;
  if (differential) {
    return `${agent} makes full backups only: turn differential backups off, ${orOurs}`;
  }
  if (compression === "zstd") return `${agent} does not know zstd: choose gzip or none, ${orOurs}`;
  if (encrypted) return `${agent} does not encrypt to age keys: turn encryption off, ${orOurs}`;
  const lacking = whatGoLacksFor(source);
  if (lacking) return `${agent} ${lacking}, ${orOurs}`;
  if (hooksOf(hooks).length > 0) return `${agent} runs no hooks: remove them, ${orOurs}`;
  const foreign = targets.find(({ type }) => !goStorages.includes(type));
  if (foreign) {
    return `${agent} takes no ${foreign.type} targets such as ${foreign.name} from here: use another target, ${orOurs}`;
  }
  const unknown = targets.find(hasMoreThanGoKnows);
  return unknown
    ? `${agent} knows neither prefix nor session token of the S3 target ${unknown.name}: use another target, ${orOurs}`
    : null;
}

function hasMoreThanGoKnows({ type, config, secretNames }: Needs["targets"][number]): boolean {
  if (type !== "s3") return false;
  const { prefix } = z.object({ prefix: z.string().default("") }).parse(JSON.parse(config));
  return prefix !== "" || z.array(z.string()).parse(JSON.parse(secretNames)).includes("sessionToken");
}

function agentLacks(node: Able, { source, encrypted, engine, hooks, targets }: Needs): string | null {
  const { name, capabilities } = node;
  if (capabilities === null) return null;
  const able = capabilitiesOf(capabilities);
  const { storages } = able;
  const obstacle =
    whatItLacksFor(name, able, source.type) ??
    unknownNames(name, able, { source, hooks }) ??
    missingProgram(name, able, commandPrograms(source, ["run"]));
  if (obstacle) return obstacle;
  const lacking = targets.find(({ type }) => !storages.includes(type));
  if (lacking?.type === "rclone") {
    return `the agent of ${name} finds no program rclone, which targets such as ${lacking.name} need: install it there, then restart the agent`;
  }
  if (lacking) {
    return `the agent of ${name} cannot store to ${lacking.type} targets such as ${lacking.name} (it can: ${list(storages)}): update it`;
  }
  if (engine === "restic") return whyItHasNoRestic(node) ?? resticLacksRclone(name, storages, targets);
  return encrypted ? whyItCannotEncrypt(node) : null;
}

function resticLacksRclone(name: string, storages: string[], targets: Needs["targets"]): string | null {
  if (storages.includes("rclone")) return null;
  const beyond = targets.find(({ type }) => isReachedByRclone(type));
  return beyond
    ? `restic reaches ${beyond.type} targets such as ${beyond.name} through rclone, which the agent of ${name} does not find: install it there, then restart the agent`
    : null;
}

/** restic has no backend of its own for these. */
const isReachedByRclone = (type: string): boolean => type === "webdav" || type === "ftp";

/** What an agent has said that it can do, whatever version it had: what it did not know to say is empty. */
export const capabilitiesOf = (json: string) => objects.capabilities.parse(JSON.parse(json));

const list = (names: string[]) => names.join(", ") || "none";
