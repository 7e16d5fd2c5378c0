import type { Agent } from "../agent.ts";
import { removeTree } from "../remove-tree.ts";
import { makeWorkDir } from "../state-dir.ts";
import type { Job, JobResults } from "./job.ts";
import { messageOf } from "./outcome.ts";
import { runInChild } from "./run-in-child.ts";
import { untilAnswered } from "./until-answered.ts";

/** For how long a storage or a server is asked: the end of what is cleared up after waits for it. */
const limitMs = 60_000;

/** Runs a job that clears up after one whose process was killed. Never throws: what went wrong is told in words. */
export async function clearUp<K extends "remove_remains" | "drop_unfinished">(
  agent: Agent,
  job: Extract<Job, { kind: K }>,
): Promise<JobResults[K] | { problem: string }> {
  const signal = AbortSignal.any([agent.stopped, AbortSignal.timeout(limitMs)]);
  let workDir: string | null = null;
  try {
    workDir = makeWorkDir(agent.workRoot);
    return await runInChild<K>(agent, job, { workDir, signal });
  } catch (error) {
    return { problem: messageOf(error) };
  } finally {
    if (workDir !== null) await removeTree(workDir).catch(() => {});
  }
}

/**
 * Clears up after a job of an earlier start of the agent: what there is to know of it is asked of the master again. Never
 * throws: what went wrong is told in words.
 */
export async function clearUpNoted<Spec>(
  { stopped: signal }: Agent,
  ask: (signal: AbortSignal) => Promise<Spec>,
  clear: (spec: Spec) => Promise<string[]>,
  told: (reason: string) => string,
): Promise<string[]> {
  try {
    return await clear(await untilAnswered(signal, () => ask(signal)));
  } catch (error) {
    return [told(messageOf(error))];
  }
}
