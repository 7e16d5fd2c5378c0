import { sleep } from "./abortable.ts";
import { StorageError } from "./storage.ts";

export type RetryPolicy = { attempts: number; baseMs: number; maxMs: number };

/** About 30 seconds of patience in all: enough for a server's restart, short enough to tell people soon. */
export const defaultRetryPolicy: RetryPolicy = { attempts: 6, baseMs: 500, maxMs: 15_000 };

/** Runs `attempt` until it succeeds, fails for good, or has failed too often; waits longer each time, with jitter. */
export async function retry<T>(
  policy: RetryPolicy,
  signal: AbortSignal,
  attempt: (number: number) => Promise<T>,
): Promise<T> {
  for (let number = 1; ; number += 1) {
    signal.throwIfAborted();
    try {
      return await attempt(number);
    } catch (error) {
      signal.throwIfAborted();
      if (number >= policy.attempts || !mayHelpAgain(error)) throw error;
    }
    await sleep(backOffMs(policy, number), signal);
  }
}

/** Only a storage's own word that trying again can help counts; anything else is a bug or an abort. */
export const mayHelpAgain = (error: unknown): boolean => error instanceof StorageError && !error.permanent;

/** Half of the wait is fixed, half random, so that many agents do not come back at the same moment. */
export function backOffMs({ baseMs, maxMs }: RetryPolicy, number: number): number {
  const full = Math.min(maxMs, baseMs * 2 ** (number - 1));
  return full / 2 + (Math.random() * full) / 2;
}
