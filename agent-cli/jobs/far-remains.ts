import { agentApi } from "../../protocol/agent-api.ts";
import type { Agent } from "../agent.ts";
import type { UploadNote } from "../journal.ts";
import { removeTree } from "../remove-tree.ts";
import { makeWorkDir } from "../state-dir.ts";
import { isDirect, type TaskSpec } from "./job.ts";
import { messageOf } from "./outcome.ts";
import { runInChild } from "./run-in-child.ts";
import { untilAnswered } from "./until-answered.ts";

/** For how long storages are asked: the record's end waits for it. */
const limitMs = 60_000;

/**
 * What has to be known of a backup to clear up after it in storages that are none of this machine's disks; null where
 * there is none. restic clears up its repositories itself.
 */
export function uploadNote({
  taskId,
  recordId,
  objectPrefix,
  fileNameStem,
  ...spec
}: TaskSpec): UploadNote | null {
  const hasFar = spec.targets.some((target) => isDirect(target) && target.type !== "local_disk");
  return hasFar && spec.pipeline.engine !== "restic"
    ? { taskId, recordId, objectPrefix, fileNameStem }
    : null;
}

/** Clears up after a backup of an earlier start of the agent: the way to its targets is asked of the master again. */
export async function removeNotedRemains(agent: Agent, note: UploadNote): Promise<string[]> {
  const { taskId, recordId, ...names } = note;
  const { stopped: signal } = agent;
  try {
    const spec = await untilAnswered(signal, () =>
      agent.client.call(agentApi.taskSpec, { params: { id: taskId }, query: { recordId }, signal }),
    );
    return await removeFarRemains(agent, { ...spec, ...names });
  } catch (error) {
    return [told(messageOf(error))];
  }
}

/** Removes what a backup whose process was killed may have left. Never throws: returns what could not be done, in words. */
export async function removeFarRemains(agent: Agent, spec: TaskSpec): Promise<string[]> {
  if (uploadNote(spec) === null) return [];
  const signal = AbortSignal.any([agent.stopped, AbortSignal.timeout(limitMs)]);
  let workDir: string | null = null;
  try {
    workDir = makeWorkDir(agent.workRoot);
    const { failed } = await runInChild(agent, { kind: "remove_remains", spec }, { workDir, signal });
    return failed.map(told);
  } catch (error) {
    return [told(messageOf(error))];
  } finally {
    if (workDir !== null) await removeTree(workDir).catch(() => {});
  }
}

const told = (reason: string) => `what the killed backup had stored so far could not be removed: ${reason}`;
