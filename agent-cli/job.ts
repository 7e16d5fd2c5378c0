import type { FromChild, JobEnvelope } from "./jobs/job.ts";
import { performJob } from "./jobs/perform.ts";

/** The entry of a job's own process: gets its job over the IPC channel, does it, says how it went. */

const ABANDONED_EXIT_MS = 5_000;
const stop = new AbortController();

process.on("SIGTERM", () => stop.abort(new Error("stopped")));
// The agent is gone: nobody would ever hear of this job, so it must not go on. It may tidy up, but not for long.
process.on("disconnect", () => {
  stop.abort(new Error("the agent is gone"));
  setTimeout(endGroup, ABANDONED_EXIT_MS);
});
process.once("message", (envelope) => void main(envelope as JobEnvelope));

async function main(envelope: JobEnvelope): Promise<void> {
  const last: FromChild = await performJob(envelope, say, stop.signal).then(
    (result) => ({ type: "done", result }),
    (error) => ({ type: "failed", message: messageOf(error) }),
  );
  if (!process.connected) endGroup();
  process.send?.(last, () => process.exit(0));
}

function say(message: FromChild): void {
  if (process.connected) process.send?.(message, () => {});
}

function endGroup(): void {
  try {
    process.kill(-process.pid, "SIGKILL");
  } finally {
    process.exit(1);
  }
}

const messageOf = (error: unknown): string => {
  const { message, errors } = error as AggregateError;
  return message || errors?.map((one) => one?.message).join("; ") || String(error);
};
