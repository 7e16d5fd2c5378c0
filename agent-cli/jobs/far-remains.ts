import { agentApi } from "../../protocol/agent-api.ts";
import type { Agent } from "../agent.ts";
import type { UploadNote } from "../journal.ts";
import { artifactKey } from "./artifact-key.ts";
import { clearUp, clearUpNoted } from "./clear-up.ts";
import { type CopySpec, isDirect, type Remains, type Target, type TaskSpec } from "./job.ts";

/** Whether something that was killed is to be removed there; what lies on a disk of this machine is removed without a job. */
const isFar = (target: Target): boolean => isDirect(target) && target.type !== "local_disk";

/** What a backup may leave. restic clears up its repositories itself. */
export const remainsOfBackup = (spec: TaskSpec): Remains[] =>
  spec.pipeline.engine === "restic"
    ? []
    : spec.targets.filter(isFar).map((target) => ({ target, key: artifactKey(spec).key }));

export const remainsOfCopy = ({ target, targetKey }: CopySpec): Remains[] =>
  isFar(target) ? [{ target, key: targetKey }] : [];

/** What has to be known of a backup to clear up after it when this agent is killed too; null where there is nothing. */
export function uploadNote(spec: TaskSpec): UploadNote | null {
  const { taskId, recordId, objectPrefix, fileNameStem } = spec;
  return remainsOfBackup(spec).length > 0 ? { taskId, recordId, objectPrefix, fileNameStem } : null;
}

/** Clears up after a backup of an earlier start of the agent: the way to its targets is asked of the master again. */
export const removeNotedUpload = (agent: Agent, { taskId, recordId, ...names }: UploadNote) =>
  removeNoted(agent, async (signal) => {
    const path = { params: { id: taskId }, query: { recordId }, signal };
    const spec = await agent.client.call(agentApi.taskSpec, path);
    return remainsOfBackup({ ...spec, ...names });
  });

/** The same for a further copy, by its command. */
export const removeNotedCopy = (agent: Agent, id: number) =>
  removeNoted(agent, async (signal) =>
    remainsOfCopy(await agent.client.call(agentApi.copySpec, { params: { id }, signal })),
  );

const removeNoted = (agent: Agent, ask: (signal: AbortSignal) => Promise<Remains[]>): Promise<string[]> =>
  clearUpNoted(agent, ask, (remains) => removeFarRemains(agent, remains), told);

/** Removes what a job whose process was killed may have left. Never throws: returns what could not be done, in words. */
export async function removeFarRemains(agent: Agent, remains: Remains[]): Promise<string[]> {
  if (remains.length === 0) return [];
  const cleared = await clearUp(agent, { kind: "remove_remains", remains });
  return ("problem" in cleared ? [cleared.problem] : cleared.failed).map(told);
}

const told = (reason: string) => `what the killed job had stored so far could not be removed: ${reason}`;
