import { formatDuration } from "../../duration.ts";
import {
  type Consumer,
  hasJudged,
  nameOf,
  ProgramFailed,
  type ProgramRun,
  startConsumer,
} from "../../sources/program.ts";
import { CannotCheck, damaged, type Finding, type VerifyJob } from "./finding.ts";

export type Judge = {
  /** What its findings are called. */
  name: string;
  start(signal: AbortSignal): ProgramRun;
  timeoutMs: number;
  /** What to do when that time was too short. */
  remedy: string;
};

const tellEveryMs = 1000;

/**
 * Starts a program that says by its exit code whether a backup is sound, and gives it what it is to read. Null: it has
 * found nothing wrong. Throws `CannotCheck` when it has not come to say anything.
 */
export async function judgedBy(
  { signal, alive }: Pick<VerifyJob, "signal" | "alive">,
  { name, start, timeoutMs, remedy }: Judge,
  give: (program: Consumer) => Promise<void>,
): Promise<Finding | null> {
  const limit = AbortSignal.timeout(timeoutMs);
  const run = start(AbortSignal.any([signal, limit]));
  const program = startConsumer(run);
  // It may work for long after the last byte was given to it, and would be taken for a stall.
  const telling = alive && setInterval(alive, tellEveryMs);
  try {
    await give(program);
    await program.end();
    return null;
  } catch (error) {
    signal.throwIfAborted();
    if (limit.aborted)
      throw new CannotCheck(`${nameOf(run)} was ended after ${formatDuration(timeoutMs)}: ${remedy}`);
    if (!(error instanceof ProgramFailed)) throw error;
    if (!hasJudged(error)) throw new CannotCheck(error.message, { cause: error });
    return damaged(name, error.message);
  } finally {
    clearInterval(telling);
    await program.stop();
  }
}
