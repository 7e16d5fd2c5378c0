/** How the process of a job is started: all of it was measured with bench/pack.ts. */

/**
 * glibc keeps what was freed for each thread that ever held it, which a stream of large buffers makes 40 to 90 MiB. With
 * this it gives those back at once. Elsewhere nobody reads it, and what the operator has set wins.
 */
const frugalMalloc = { MALLOC_ARENA_MAX: "2", MALLOC_MMAP_THRESHOLD_: "262144" };

/**
 * A backup makes frames all the time. Memory that is fetched anew for each costs a fifth of all its CPU time in page faults,
 * so what was freed is kept, up to a bound, and used again.
 */
const packingMalloc = {
  MALLOC_ARENA_MAX: "2",
  MALLOC_MMAP_THRESHOLD_: String(32 * 1024 * 1024),
  MALLOC_TRIM_THRESHOLD_: String(8 * 1024 * 1024),
};

export const mallocFor = (kind: string): Record<string, string> =>
  kind === "backup" ? packingMalloc : frugalMalloc;

/**
 * A small young generation keeps a streaming process small; with half of this, a quarter of the time is spent on collecting.
 * The old one starts large enough not to be collected whole for every few frames. A job is too short for the compiler's
 * patience. With `gc` at hand, a backup has frames freed that were sent.
 */
export const jobArguments = [
  "--max-semi-space-size=2",
  "--initial-old-space-size=32",
  "--always-sparkplug",
  "--expose-gc",
  "--no-warnings",
];
