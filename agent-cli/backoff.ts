import { setTimeout as timer } from "node:timers/promises";

/** Full jitter: anywhere between nothing and the doubled-up bound, so that a fleet does not come back in step. */
export const fullJitter = (failures: number, baseMs: number, capMs: number): number =>
  Math.random() * Math.min(capMs, baseMs * 2 ** Math.min(failures, 20));

/** Full jitter with a floor of a quarter, for waits that must never be next to nothing. */
export const backoffMs = (failures: number, baseMs = 1000, capMs = 60_000): number => {
  const bound = Math.min(capMs, baseMs * 2 ** Math.min(failures, 20));
  return bound / 4 + Math.random() * (bound * 0.75);
};

/** `ms` with up to `share` of it added or taken away. */
export const around = (ms: number, share: number): number => ms * (1 - share + Math.random() * 2 * share);

/** Waits; an aborted signal ends the wait early, and quietly: whoever waits looks at the signal next. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return;
  await timer(ms, undefined, signal ? { signal } : {}).catch(() => {});
}
