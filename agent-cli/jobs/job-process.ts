import { packersOf } from "../pipeline/packers.ts";
import type { Job } from "./job.ts";

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

const packing: ReadonlySet<Job["kind"]> = new Set(["backup", "backup_once"]);

export const mallocFor = (kind: Job["kind"]): Record<string, string> =>
  packing.has(kind) ? packingMalloc : frugalMalloc;

/**
 * How many threads Node keeps for compressing and for files, which it must be told before it starts: four unless it is.
 * A backup of files has little but frames for them, and more than are to work at once only push each other's frames
 * out of the processors' caches, which is 3 % of its time. One more is there for writing to a disk of this machine: it would
 * wait behind frames.
 */
export function poolFor(job: Job): Record<string, string> {
  const packing = packingOf(job);
  if (packing === null) return {};
  const { threads, isOfFiles, hasLocalTarget } = packing;
  const packers = packersOf(threads);
  const size = isOfFiles ? packers + (hasLocalTarget ? 1 : 0) : Math.max(4, packers);
  return { UV_THREADPOOL_SIZE: String(size) };
}

function packingOf(job: Job) {
  if (job.kind === "backup") {
    const { source, targets, pipeline } = job.spec;
    const hasLocalTarget = targets.some(({ type }) => type === "local_disk");
    return { threads: pipeline.threads, isOfFiles: source.type === "file", hasLocalTarget };
  }
  if (job.kind !== "backup_once") return null;
  const hasLocalTarget = job.target.targetType === "local_disk";
  return { threads: job.pipeline.threads ?? null, isOfFiles: job.source.type === "file", hasLocalTarget };
}

/**
 * A small young generation keeps a process small. More is not said to V8: what also tunes its heap or its compiler makes it
 * refuse the compiled code that Node brings for its own modules, which costs 50 ms in the process and 30 in each thread.
 */
export const jobArguments = ["--max-semi-space-size=2", "--no-warnings"];
