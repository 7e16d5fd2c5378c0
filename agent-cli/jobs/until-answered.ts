import { backoffMs, pause } from "../backoff.ts";
import { MasterError } from "../client.ts";

/** Asks again while the master cannot be reached; what it refuses is final. */
export async function untilAnswered<T>(signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof MasterError) || !error.retryable) throw error;
      await pause(error.retryAfterMs ?? backoffMs(failures), signal);
      signal.throwIfAborted();
    }
  }
}
