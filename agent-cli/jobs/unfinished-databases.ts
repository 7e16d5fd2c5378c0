import { agentApi } from "../../protocol/agent-api.ts";
import type { Agent } from "../agent.ts";
import type { RestoreNote } from "../journal.ts";
import type { SourceSpec } from "../pipeline/pipeline.ts";
import { clearUp, clearUpNoted } from "./clear-up.ts";
import type { RestoreSpec } from "./job.ts";

/** The server in which a restore that is killed may leave half a database; null where there is none. */
export function serverOf({ source, destination, dryRun, engine }: RestoreSpec): SourceSpec | null {
  if (source === null || destination !== null || dryRun || engine === "restic") return null;
  return servers.has(source.type) ? source : null;
}

/** What is asked of each source in the job's own process: this one would have to load all of them. */
const servers: ReadonlySet<SourceSpec["type"]> = new Set(["postgresql", "mysql", "mongodb"]);

/** Clears up after a restore of an earlier start of the agent: the way to its server is asked of the master again. */
export const dropNotedDatabases = (agent: Agent, { id, mark }: RestoreNote): Promise<string[]> =>
  clearUpNoted(
    agent,
    (signal) => agent.client.call(agentApi.restoreSpec, { params: { id }, signal }),
    (spec) => dropUnfinishedDatabases(agent, spec, mark),
    notRemoved,
  );

/** Removes what a restore whose process was killed was loading. Never throws: returns what was done, in words. */
export async function dropUnfinishedDatabases(
  agent: Agent,
  spec: RestoreSpec,
  mark: string,
): Promise<string[]> {
  const source = serverOf(spec);
  if (source === null) return [];
  const { sourceSecrets: secrets } = spec;
  const cleared = await clearUp(agent, { kind: "drop_unfinished", source, secrets, mark });
  if ("problem" in cleared) return [notRemoved(cleared.problem)];
  return cleared.dropped.map((name) => `the half restored database ${name} was removed`);
}

const notRemoved = (reason: string) =>
  `what was half restored could not be removed from the server: ${reason}`;
