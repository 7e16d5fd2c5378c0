import { availableParallelism } from "node:os";

/** Node compresses on four threads, however many cores there are; the task may ask for more. */
const mostByDefault = 4;

/** How many frames a backup works on at once; `wanted` is what its task says, null leaves it to the machine. */
export const packersOf = (wanted: number | null): number =>
  wanted ?? Math.min(availableParallelism(), mostByDefault);
