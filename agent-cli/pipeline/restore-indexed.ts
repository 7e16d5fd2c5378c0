import { availableParallelism } from "node:os";
import type { IndexMember } from "./archive-index.ts";
import { ByteReader } from "./byte-reader.ts";
import { DamagedArtifact } from "./damaged.ts";
import { type DryRunOutcome, Survey } from "./dry-run.ts";
import { Extractor } from "./extract.ts";
import { type ExtractionLane, ownLane, ThreadLane } from "./extraction-lane.ts";
import type { FileSum } from "./file-sum.ts";
import type { IndexedArchive } from "./indexed-archive.ts";
import { pathKey, type Selection, splitMemberPath } from "./member-path.ts";
import type { Plan } from "./plan-extraction.ts";
import { Planner } from "./plan-extraction.ts";
import type { Restoring } from "./restore.ts";
import { type Segment, segmentsOf } from "./segments.ts";
import type { TarEntry } from "./tar-entry.ts";
import { toTarEntry } from "./to-tar-entry.ts";
import type { WarningList } from "./warnings.ts";

/** Fewer files than this, and fewer bytes, are written by the thread that is there. */
const minEntriesForThreads = 1_000;
const minBytesForThreads = 64 * 1024 * 1024;
const maxThreads = 4;
/** Neighbouring segments are fetched by one request up to so many bytes. */
const fetchBytes = 8 * 1024 * 1024;

type Planned = { plan: Plan; structure: TarEntry[] };

/**
 * Restores by the index: what is to be written is known before anything of the archive's content is read, only the
 * frames that hold it are, and several threads decode and write. Every file's content is compared with its hash before
 * the file takes its place. With a base, what the differential run left there comes from there. The plan is made while the
 * archive is still being proven, which writes nothing; that it is damaged is said before anything else.
 */
export async function restoreIndexed(
  restoring: Restoring,
  own: IndexedArchive,
  base: IndexedArchive | null,
  proven: Promise<void>,
): Promise<{ entries: number; bytes: number }> {
  const { job, selection, warnings } = restoring;
  const threads: ThreadLane[] = [];
  try {
    if (selection.isAll) threads.push(...startThreads(sizeOf(own, base), warnings));
    const planner = new Planner(job.destination ?? "/", selection, job.conflict);
    const planned = tried(() => planByIndex(own, planner, selection));
    await proven;
    const { plan, structure } = planned();
    if (!selection.isAll) threads.push(...startThreads(plan, warnings));
    return await write(restoring, { own, base, plan, structure, threads });
  } finally {
    await Promise.all(threads.map((thread) => thread.close()));
  }
}

type ToWrite = Planned & { own: IndexedArchive; base: IndexedArchive | null; threads: readonly ThreadLane[] };

async function write(
  { job, selection, warnings, progress }: Restoring,
  { own, base, plan, structure, threads }: ToWrite,
): Promise<{ entries: number; bytes: number }> {
  Object.assign(progress, { phase: "restoring", totalEntries: plan.entries, totalSourceBytes: plan.bytes });
  const { conflict, selectedPaths } = job;
  const destination = job.destination ?? "/";
  const extractor = new Extractor({ destination, plan, selection, conflict, warnings });
  const { linkTargets, standIns, links, fresh } = plan;
  const part = { destination, selectedPaths, conflict, plan: { linkTargets, standIns, links }, fresh };
  for (const thread of threads) thread.prepare(part);
  // This thread writes too: feeding the others takes little of its time. They come first, so that none of them waits.
  const here = ownLane(part, warnings);
  const lanes: ExtractionLane[] = [...threads, here];
  const tallies = () => [extractor, ...lanes.map(({ tally }) => tally)];
  const sum = (count: "entries" | "bytes") => tallies().reduce((total, tally) => total + tally[count], 0);
  const show = () => {
    progress.entries = sum("entries");
    progress.sourceBytes = sum("bytes");
    progress.currentPath = lanes[0]?.tally.currentPath ?? null;
  };
  try {
    extractor.removeLeft(plan.left);
    for (const entry of structure) if (entry.type === "directory") extractor.entry(entry);
    await fill(lanes, wantedSegments(own, base, plan, selection), job.signal, show);
    for (const lane of lanes)
      for (const [key, path] of await lane.finish()) extractor.restoredTargets.set(key, path);
    for (const entry of structure) if (entry.type === "link") extractor.entry(entry);
    extractor.finish();
    show();
  } finally {
    await here.close();
    extractor.close();
  }
  if (plan.kept.size > 0) job.report.log("info", `${plan.kept.size} existing files were kept as they are`);
  return { entries: sum("entries"), bytes: sum("bytes") };
}

/** Does it now, and tells how it went when it is asked. */
function tried<Result>(action: () => Result): () => Result {
  try {
    const result = action();
    return () => result;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

/** Tells what a restore would do; the index knows it all. */
export function surveyByIndex({ job, selection }: Restoring, own: IndexedArchive): DryRunOutcome {
  const survey = new Survey();
  planByIndex(own, new Planner(job.destination ?? "/", selection, job.conflict, survey), selection);
  return survey.outcome;
}

/** The plan, and copies of the entries that are made from the index alone: directories and hard links. */
function planByIndex({ index }: IndexedArchive, planner: Planner, selection: Selection): Planned {
  const structure: TarEntry[] = [];
  try {
    for (const entry of index.entries.members()) {
      const member = toTarEntry(entry);
      planner.entry(member);
      const isStructure = member.type === "directory" || member.type === "link";
      if (isStructure && selection.relation(keyOf(entry)) !== "outside") structure.push(copyOf(member));
    }
    return { plan: planner.finish(), structure };
  } finally {
    planner.close();
  }
}

const keyOf = ({ path }: IndexMember): string => pathKey(splitMemberPath(path.subarray(1)));

const copyOf = (entry: TarEntry): TarEntry => ({
  ...entry,
  path: Buffer.from(entry.path),
  linkPath: entry.linkPath && Buffer.from(entry.linkPath),
});

type Fetchable = { archive: IndexedArchive; segment: Segment };

function* wantedSegments(
  own: IndexedArchive,
  base: IndexedArchive | null,
  plan: Plan,
  selection: Selection,
): Generator<Fetchable> {
  const all = selection.isAll && plan.kept.size === 0;
  const want = (entry: IndexMember): boolean => {
    if (entry.type === "directory" || entry.type === "link") return false;
    if (all) return true;
    const key = keyOf(entry);
    return plan.standIns.has(key) || (selection.relation(key) === "inside" && !plan.kept.has(key));
  };
  if (base) {
    const inBase = leftInBase(own, want);
    for (const segment of segmentsOf(base.index, (entry) => takeFromBase(inBase, entry)))
      yield { archive: base, segment };
    for (const key of inBase.keys()) throw notItsBase(key);
  }
  for (const segment of segmentsOf(own.index, want)) yield { archive: own, segment };
}

type LeftInBase = Map<string, { type: TarEntry["type"]; size: number; sum: FileSum | null }>;

/** The wanted members that the differential run found unchanged. */
function leftInBase({ index }: IndexedArchive, want: (entry: IndexMember) => boolean): LeftInBase {
  const left: LeftInBase = new Map();
  for (const entry of index.entries.members()) {
    if (entry.tarOffset >= 0 || !want(entry)) continue;
    const { type, size, sum } = entry;
    left.set(entry.path.toString("latin1"), { type, size, sum });
  }
  return left;
}

function takeFromBase(left: LeftInBase, entry: IndexMember): boolean {
  const key = entry.path.toString("latin1");
  const wanted = left.get(key);
  if (!wanted) return false;
  if (wanted.type !== entry.type || wanted.size !== entry.size || wanted.sum !== entry.sum)
    throw notItsBase(key);
  left.delete(key);
  return true;
}

const notItsBase = (key: string) =>
  new DamagedArtifact(`its base does not hold ${Buffer.from(key, "latin1")} as it was`);

/** Beside the thread that is there, as many as there are processors for: for little, they would only cost their start. */
function startThreads({ entries, bytes }: { entries: number; bytes: number }, warnings: WarningList) {
  if (entries < minEntriesForThreads && bytes < minBytesForThreads) return [];
  const count = Math.min(availableParallelism(), maxThreads) - 1;
  return Array.from({ length: count }, () => new ThreadLane(warnings));
}

const sizeOf = ({ index }: IndexedArchive, base: IndexedArchive | null) => ({
  entries: index.entries.length,
  bytes: [...index.frames, ...(base?.index.frames ?? [])].reduce(
    (sum, { plainBytes }) => sum + plainBytes,
    0,
  ),
});

/** Hands the segments out, a batch at a time, to whichever lane has room. The first failure ends all. */
async function fill(
  lanes: ExtractionLane[],
  segments: Iterable<Fetchable>,
  signal: AbortSignal,
  show: () => void,
): Promise<void> {
  const batches = inBatches(segments);
  let failed = false;
  const work = async (lane: ExtractionLane) => {
    for (let next = batches.next(); !next.done && !failed; next = batches.next()) {
      for await (const _ of feed(lane, next.value)) {
        signal.throwIfAborted();
        if (failed) return;
        show();
      }
    }
  };
  const results = await Promise.allSettled(
    lanes.map((lane) =>
      work(lane).catch((error) => {
        failed = true;
        throw error;
      }),
    ),
  );
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** Segments of one archive that follow each other there without a gap, as one request fetches them. */
function* inBatches(segments: Iterable<Fetchable>): Generator<Fetchable[]> {
  let batch: Fetchable[] = [];
  for (const next of segments) {
    const last = batch.at(-1);
    if (last && !canJoin(batch[0] as Fetchable, last, next)) {
      yield batch;
      batch = [];
    }
    batch.push(next);
  }
  if (batch.length > 0) yield batch;
}

function canJoin(first: Fetchable, last: Fetchable, next: Fetchable): boolean {
  const [start, end] = [startOf(first.segment), endOf(last.segment)];
  return (
    last.archive === next.archive &&
    end === startOf(next.segment) &&
    endOf(next.segment) - start <= fetchBytes
  );
}

const startOf = ({ frames }: Segment): number => frames[0]?.compressedAt ?? 0;
function endOf({ frames }: Segment): number {
  const last = frames.at(-1);
  return last ? last.compressedAt + last.compressedBytes : 0;
}

/** Each step is one frame that the lane has taken. */
async function* feed(lane: ExtractionLane, batch: readonly Fetchable[]): AsyncGenerator<void> {
  const [first, last] = [batch[0], batch.at(-1)];
  if (!first || !last) return;
  const start = startOf(first.segment);
  const { plain } = first.archive;
  const reader = new ByteReader(plain.read(start, endOf(last.segment) - start));
  try {
    for (const { segment } of batch) {
      lane.begin(segment.members);
      for (const frame of segment.frames) {
        const compressed = lane.room(frame.compressedBytes);
        const isThere = plain.readNow(frame.compressedAt, compressed) || (await reader.fill(compressed));
        if (!isThere) throw new DamagedArtifact("it is cut off");
        await lane.frame(frame, compressed);
        yield;
      }
      lane.end();
    }
  } finally {
    await reader.close();
  }
}
