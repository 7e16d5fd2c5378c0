import { type Agent, StopReason } from "../agent.ts";
import { formatDuration } from "../duration.ts";
import { networkOf } from "../network.ts";
import type { Progress } from "../pipeline/pipeline.ts";
import type { Job, JobEnvelope, JobResults } from "./job.ts";
import { type ChildOptions, runEnvelope } from "./run-envelope.ts";

/** Runs a job of the agent in a process of its own, and ends it when no bytes move for too long. */
export async function runInChild<K extends Job["kind"]>(
  agent: Agent,
  job: Extract<Job, { kind: K }>,
  { workDir, ...options }: ChildOptions & { workDir: string },
): Promise<JobResults[K]> {
  const stalled = new AbortController();
  const signal = AbortSignal.any([options.signal, stalled.signal]);
  const movement = watchMovement(agent.config.stallTimeoutMs, () => stalled.abort(stallReason(agent)));
  try {
    const envelope = { ...surroundings(agent, workDir), job };
    return await runEnvelope<K>(envelope, { ...options, signal }, movement.moved);
  } finally {
    movement.end();
  }
}

const surroundings = ({ client, config, workRoot }: Agent, workDir: string): Omit<JobEnvelope, "job"> => ({
  workDir,
  stateDir: config.stateDir,
  ownPaths: [config.stateDir, workRoot, ...(config.identityFile === null ? [] : [config.identityFile])],
  identityFile: config.identityFile,
  commands: config.commands,
  master: client.master.href,
  token: config.token ?? "",
  network: networkOf(config),
});

const stallReason = ({ config }: Agent) =>
  new StopReason("failed", `stalled: no bytes moved for ${formatDuration(config.stallTimeoutMs)}`);

function watchMovement(stallMs: number, onStall: () => void) {
  let movedAt = performance.now();
  let last = "";
  const timer = setInterval(
    () => {
      if (performance.now() - movedAt > stallMs) onStall();
    },
    Math.min(10_000, stallMs / 4),
  );
  return {
    moved(progress?: Progress) {
      const seen = progress
        ? `${progress.sourceBytes} ${progress.artifactBytes} ${progress.entries} ${progress.totalEntries}`
        : "";
      if (progress === undefined || seen !== last) movedAt = performance.now();
      last = seen;
    },
    end: () => clearInterval(timer),
  };
}
