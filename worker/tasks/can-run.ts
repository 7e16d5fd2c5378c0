import { z } from "zod";
import { objects, type states } from "../../protocol/index.ts";

/** What a task asks of the node that runs it. */
export type Needs = {
  source: objects.Source;
  compression: z.output<typeof states.compression>;
  encrypted: boolean;
  differential: boolean;
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

/** Why this node can neither encrypt nor open what was encrypted; null when nothing is known against it. */
export function whyItCannotEncrypt(node: Able): string | null {
  if (isGoAgent(node)) return `${node.name} runs a BackupX Go agent, which does not know the age format`;
  if (node.capabilities === null || "age" in capabilitiesOf(node.capabilities).engines) return null;
  return `the agent of ${node.name} does not know the age format yet: update it`;
}

/** Those whose settings both agents call the same, or that the master translates. */
const goStorages = ["local_disk", "vault", "s3"];

function goAgentLacks(name: string, needs: Needs): string | null {
  const { source, compression, encrypted, differential, targets } = needs;
  const agent = `${name} runs a BackupX Go agent, which`;
  const orOurs = "or install backupx-agent on it";
  if (differential) {
    return `${agent} makes full backups only: turn differential backups off, ${orOurs}`;
  }
  if (compression === "zstd") return `${agent} does not know zstd: choose gzip or none, ${orOurs}`;
  if (encrypted) return `${agent} does not encrypt to age keys: turn encryption off, ${orOurs}`;
  if (source.type === "sqlite" && source.paths.length > 1) {
    return `${agent} backs up one SQLite file per task: make a task for each, ${orOurs}`;
  }
  if (source.type === "file" && source.oneFileSystem) {
    return `${agent} cannot stay on one file system: exclude the other ones by path, ${orOurs}`;
  }
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

function agentLacks(node: Able, { source, encrypted, targets }: Needs): string | null {
  const { name, capabilities } = node;
  if (capabilities === null) return null;
  const { sources, storages } = capabilitiesOf(capabilities);
  if (!sources.includes(source.type)) {
    return `the agent of ${name} cannot back up ${source.type} sources (it can: ${list(sources)}): update it`;
  }
  const lacking = targets.find(({ type }) => !storages.includes(type));
  if (lacking) {
    return `the agent of ${name} cannot store to ${lacking.type} targets such as ${lacking.name} (it can: ${list(storages)}): update it`;
  }
  return encrypted ? whyItCannotEncrypt(node) : null;
}

const capabilitiesOf = (json: string) => objects.capabilities.parse(JSON.parse(json));

const list = (names: string[]) => names.join(", ") || "none";
