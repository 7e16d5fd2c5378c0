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

/** A small young generation keeps a process small. */
const quickArguments = ["--max-semi-space-size=2", "--no-warnings"];

/**
 * For jobs that stream. Their young generation is twice as large: 100,000 files are packed 5 % faster, in less memory. The old
 * generation starts large enough not to be collected whole for every few frames. A job is too short for the compiler's
 * patience. With `gc` at hand, a backup has frames freed that were sent.
 *
 * Each of the last three makes V8 refuse the compiled code that Node brings for its own modules, because it was compiled with
 * other flags. To compile it anew takes 50 ms in the process and 20 in each thread, more than a short job takes itself.
 */
export const streamingArguments = [
  "--max-semi-space-size=4",
  "--no-warnings",
  "--initial-old-space-size=32",
  "--always-sparkplug",
  "--expose-gc",
];

const streaming: ReadonlySet<Job["kind"]> = new Set([...packing, "copy", "verify"]);

/**
 * A restore streams too, but gains nothing from them: its time goes to the file system. A differential backup mostly looks
 * at files and packs few of them.
 */
export const argumentsFor = (kind: Job["kind"], isDifferential: boolean): string[] =>
  streaming.has(kind) && !isDifferential ? streamingArguments : quickArguments;
