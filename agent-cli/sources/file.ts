import { type BigIntStats, closeSync, fstatSync, lstatSync, openSync, readlinkSync } from "node:fs";
import { setImmediate as breathe } from "node:timers/promises";
import { type IndexEntry, unsureCtime } from "../pipeline/archive-index.ts";
import type { PackedSegment } from "../pipeline/index-entries.ts";
import { mapInOrder } from "../pipeline/map-in-order.ts";
import type { BatchReport, FilePart, Frame, PackedBatch } from "../pipeline/pack-requests.ts";
import type { PackThreads } from "../pipeline/pack-threads.ts";
import type { Base } from "../pipeline/pipeline.ts";
import { slabBytes } from "../pipeline/slabs.ts";
import { blockBytes, TarWriter } from "../pipeline/tar.ts";
import { deletedMember, memberName, type TarEntry } from "../pipeline/tar-entry.ts";
import type { Warned } from "../pipeline/warnings.ts";
import { compareBase } from "./compare-base.ts";
import { compareOptions, compareSettings } from "./compare-segment.ts";
import { compileExcludes } from "./excludes.ts";
import { type BatchEntry, BatchWriter, type HeaderType, PackedReader } from "./file-batch.ts";
import { type EntryWarning, fitsOneFrame, openFlags, roomFor } from "./file-packer.ts";
import { InodeTable } from "./inode-table.ts";
import { previewFiles } from "./preview-files.ts";
import { newTally, type Source, type SourceContext, type Tally } from "./source.ts";
import { type Found, identities, identity, vanishedOr, type WalkOptions, walk } from "./walk.ts";
import { BaseWalk, type Step } from "./walk-base.ts";

/**
 * Files and directories as a tar stream. A file that vanishes, shrinks, grows or cannot be read is a warning; the
 * archive is well-formed all the same. Symbolic links are stored as links, sockets left out.
 *
 * This thread only walks the tree and hands out batches; the packing threads read and compress them. What is small is
 * read by whoever packs it, and lies in one frame; a large file is read in order by a thread of its own and cut over frames.
 */
export const fileSource: Source<{
  type: "file";
  paths: string[];
  excludes: string[];
  oneFileSystem: boolean;
}> = {
  extension: () => "tar",
  preview: previewFiles,
  async open(spec, context) {
    const tally = newTally();
    const warnings = new Notes();
    const walked = stretches(spec.paths, context, {
      excludes: compileExcludes(spec.excludes),
      oneFileSystem: spec.oneFileSystem,
      ownPaths: ownPathsOf(context),
      warnings,
    });
    const packing = new Packing(walked, warnings, context, tally);
    return { frames: packing.frames(), tally };
  },
};

type Stretches = Iterable<Iterable<Step>> | AsyncIterable<Iterable<Step>>;

/** The walk in stretches: all of it, or along a base one after each of its segments, which threads have compared. */
function stretches(paths: readonly string[], context: SourceContext, options: WalkOptions): Stretches {
  const { base } = context;
  return base ? alongBase(base, paths, context, options) : [walk(paths, options)];
}

async function* alongBase(
  { index: { entries, deleted } }: Base,
  paths: readonly string[],
  { threads, signal }: SourceContext,
  options: WalkOptions,
): AsyncGenerator<Iterable<Step>> {
  const along = new BaseWalk(entries, paths, options);
  const asked = compareOptions(compareSettings(paths, deleted));
  for await (const { segment, compared } of compareBase(entries.segments, threads, asked, signal)) {
    yield along.segment(segment, compared);
  }
  yield along.end();
}

const ownPathsOf = ({ workDir, ownPaths }: SourceContext): string[] => [workDir, ...ownPaths];

/** So that the first results of a tree come soon, and what is to be told about a batch is never much. */
const maxBatchEntries = 4096;
/** Files with several names are held open from when they are listed until they are packed. */
const maxHeldOpen = 64;
const breatheEvery = 512;

/** An entry on its way, with what the index wants to know of it. */
type Item = {
  path: Buffer;
  type: TarEntry["type"];
  linkPath: Buffer | null;
  /** What a file is expected to have. */
  size: number;
  /** What its header is made from; of a file, whoever opens it finds that out, and nothing is kept meanwhile. */
  header: BigIntStats | null;
  /** Open already, because it has several names: the other ones will lead to it, so it must not vanish. */
  fd: number | null;
  /** What there was to say before it came. */
  notes: Notes | null;
};
/** An entry that is not packed because the base has it. */
type Kept = { kept: IndexEntry; path: Buffer; notes: Notes | null };
const isKept = (item: Item | Kept): item is Kept => "kept" in item;

/** What the walk has to say waits until its place in the archive is reached, so that warnings come in one order. */
class Notes implements Warned {
  #notes: { path: string | Buffer; reason: string }[] = [];

  add(path: string | Buffer, reason: string): void {
    this.#notes.push({ path, reason });
  }

  tell(...listeners: Warned[]): void {
    for (const { path, reason } of this.#notes.splice(0)) {
      for (const listener of listeners) listener.add(path, reason);
    }
  }

  /** Those so far, if any; the next ones come after them. */
  take(): Notes | null {
    if (this.#notes.length === 0) return null;
    const taken = new Notes();
    taken.#notes = this.#notes;
    this.#notes = [];
    return taken;
  }
}

/** What one piece of work has made; `settle` is called in the order of the archive. */
type Done = { frames: Frame[]; settle(tarOffset: number): void };
type Work = () => Promise<Done>;

/** The clock that stamps files ticks in steps, on some file systems of a second. */
const clockStepMs = 2_000;

class Packing {
  readonly #stretches: Stretches;
  readonly #notes: Notes;
  readonly #context: SourceContext;
  readonly #tally: Tally;
  readonly #own: ReadonlySet<string>;
  /** Files with several names: where the first one was stored, and how many are still to come. */
  readonly #linked = new Map<string, { path: Buffer; left: number }>();
  /** Made when the first file with several names is met. */
  #inodes: InodeTable | null = null;
  /** Paths of the base that are gone. */
  readonly #deleted: Buffer[] = [];
  /** What has changed as late as this may have changed once more, unseen, while it was read. */
  readonly #unsureFromNs = BigInt(Date.now() - clockStepMs) * 1_000_000n;
  readonly #entry = newEntry();
  #tarOffset = 0;

  constructor(stretches: Stretches, notes: Notes, context: SourceContext, tally: Tally) {
    this.#stretches = stretches;
    this.#notes = notes;
    this.#context = context;
    this.#tally = tally;
    this.#own = identities(ownPathsOf(context));
  }

  async *frames(): AsyncGenerator<Frame> {
    const { threads, signal } = this.#context;
    for await (const { frames, settle } of mapInOrder(this.#work(), threads.inFlight, (work) => work())) {
      signal.throwIfAborted();
      settle(this.#tarOffset);
      for (const frame of frames) {
        this.#tarOffset += frame.plainBytes;
        yield frame;
      }
    }
    this.#tell(this.#notes);
    yield* this.#end();
  }

  async *#work(): AsyncGenerator<Work> {
    let batch = new Batch();
    let count = 0;
    try {
      for await (const steps of this.#stretches) {
        for (const step of steps) {
          count += 1;
          // A stretch of what is left out or unchanged must not keep the network waiting.
          if (count % breatheEvery === 0) await this.#breathe();
          if (step.kind === "unchangedSegment") {
            if (!batch.empty) yield this.#workOf(batch);
            batch = new Batch();
            yield this.#workOfSegment(step.segment, step.last);
            continue;
          }
          const item = this.#itemOf(step);
          if (item === null) continue;
          item.notes = this.#notes.take();
          const large = !isKept(item) && item.type === "file" && !fitsOneFrame(item.size);
          if (large || !batch.hasRoomFor(item)) {
            if (!batch.empty) yield this.#workOf(batch);
            batch = new Batch();
          }
          if (large) yield* this.#partsOf(item);
          else batch.add(item);
        }
      }
      if (!batch.empty) yield this.#workOf(batch);
      batch = new Batch();
    } finally {
      batch.release();
    }
  }

  async #breathe(): Promise<void> {
    await breathe();
    this.#context.signal.throwIfAborted();
  }

  #itemOf(step: Exclude<Step, { kind: "unchangedSegment" }>): Item | Kept | null {
    if (step.kind === "unchanged") return { kept: step.entry, path: step.entry.path, notes: null };
    if (step.kind !== "deleted") return this.#item(step);
    this.#deleted.push(step.path);
    return null;
  }

  #item(found: Found): Item | null {
    const { path } = found;
    if (found.kind === "directory") return headerItem(path, "directory", found.stat, null);
    try {
      const stat = lstatSync(path, { bigint: true });
      if (stat.isFile()) return this.#file(path, stat);
      if (stat.isSymbolicLink()) {
        return headerItem(path, "symlink", stat, readlinkSync(path, { encoding: "buffer" }));
      }
      if (stat.isFIFO()) return headerItem(path, "fifo", stat, null);
      if (stat.isCharacterDevice()) return headerItem(path, "char", stat, null);
      if (stat.isBlockDevice()) return headerItem(path, "block", stat, null);
      const what = stat.isSocket() ? "it is a socket" : "it was replaced while the backup ran";
      this.#notes.add(path, `skipped: ${what}`);
    } catch (error) {
      this.#notes.add(path, vanishedOr(error));
    }
    return null;
  }

  #file(path: Buffer, stat: BigIntStats): Item | null {
    if (stat.nlink > 1n) return this.#fileOfSeveralNames(path, stat);
    return fileItem(path, Number(stat.size), null);
  }

  #fileOfSeveralNames(path: Buffer, stat: BigIntStats): Item | null {
    const key = identity(stat);
    if (this.#own.has(key)) return null;
    const first = this.#linked.get(key);
    if (first) {
      first.left -= 1;
      if (first.left <= 0) this.#linked.delete(key);
      return headerItem(path, "link", stat, first.path);
    }
    const inBase = this.#nameInBase(stat);
    if (inBase) return headerItem(path, "link", stat, memberName(inBase));
    const fd = openSync(path, openFlags);
    const opened = fstatSync(fd, { bigint: true });
    if (identity(opened) === key) {
      this.#linked.set(key, { path: memberName(path), left: Number(stat.nlink) - 1 });
    }
    return fileItem(path, Number(opened.size), fd);
  }

  /** A new name of a file that is as it was: directories can be renamed without a trace on the files in them. */
  #nameInBase(stat: BigIntStats): Buffer | null {
    const { base } = this.#context;
    if (!base) return null;
    this.#inodes ??= new InodeTable(base.index.entries);
    return this.#inodes.nameOf(stat);
  }

  #workOf(batch: Batch): Work {
    return async () => {
      const packed = await batch.pack(this.#context.threads);
      this.#tally.sourceBytes += packed.sourceBytes;
      return {
        frames: packed.frames,
        settle: (tarOffset) => this.#settle(batch.items, batch.rows, packed, tarOffset),
      };
    };
  }

  #workOfSegment(segment: PackedSegment, last: Buffer): Work {
    const settle = () => {
      this.#context.index?.addUnchanged(segment);
      this.#tally.entries += segment.count;
      this.#tally.currentPath = last;
    };
    return async () => ({ frames: [], settle });
  }

  /** A large file, read by one thread and in order, because its hash can be made in no other way. */
  async *#partsOf(file: Item): AsyncGenerator<Work> {
    const { threads } = this.#context;
    const batch = new Batch();
    batch.add(file);
    const before = this.#tally.sourceBytes;
    let start = 0;
    let first = true;
    try {
      for await (const part of readParts(threads, batch.bytes())) {
        this.#tally.sourceBytes = before + part.sourceBytes;
        const begins = first;
        first = false;
        yield async () => ({
          frames: part.used > 0 ? [await frameOf(threads, part)] : [],
          settle: (tarOffset) => {
            if (begins) start = tarOffset;
            if (part.end) this.#settle(batch.items, batch.rows, part.end, start);
          },
        });
      }
    } finally {
      batch.release();
    }
  }

  #settle(items: (Item | Kept)[], rows: Int32Array, report: BatchReport, tarOffset: number): void {
    const results = new PackedReader(report.results);
    const warnings = [...report.warnings].reverse();
    for (const [i, found] of items.entries()) {
      const row = rows[i] as number;
      if (found.notes) this.#tell(found.notes);
      if (isKept(found)) {
        this.#count(found.path, { ...found.kept, tarOffset: -1 });
        continue;
      }
      const warned = warnings.at(-1)?.entry === row;
      const stored = results.isStored(row);
      if (warned && !stored) this.#leftOut.add(found.path);
      while (warnings.at(-1)?.entry === row) this.#warn(found.path, warnings.pop());
      if (stored)
        this.#count(found.path, this.#certain(this.#entryOf(found, results, row, tarOffset), warned));
    }
  }

  /** The same object for all: there may be a hundred thousand, and the index copies what it keeps. */
  #entryOf({ path, type, linkPath, header }: Item, results: PackedReader, row: number, tarOffset: number) {
    const entry = this.#entry;
    entry.path = path;
    entry.type = type;
    entry.linkPath = linkPath;
    entry.tarOffset = tarOffset + results.offset(row);
    if (results.fill(row, entry) || header === null) return entry;
    return Object.assign(entry, { sparse: false, size: 0, sha256: null }, statFields(header));
  }

  #warn(path: Buffer, warning: EntryWarning | undefined): void {
    if (warning) this.#context.warnings.add(path, warning.reason);
  }

  #tell(notes: Notes): void {
    notes.tell(this.#context.warnings, this.#leftOut);
  }

  /** A full backup notes what it could not store, so that what is compared with it looks there again. */
  readonly #leftOut = {
    add: (path: string | Buffer) => {
      if (!this.#context.base) this.#context.index?.addDeleted(Buffer.from(path));
    },
  };

  #certain(entry: IndexEntry, warned: boolean): IndexEntry {
    if (warned || entry.ctimeNs >= this.#unsureFromNs) entry.ctimeNs = unsureCtime;
    return entry;
  }

  #count(path: Buffer, entry: IndexEntry): void {
    this.#tally.entries += 1;
    this.#tally.currentPath = path;
    this.#context.index?.add(entry);
  }

  async *#end(): AsyncGenerator<Frame> {
    const { threads, base, index } = this.#context;
    const tar = new TarWriter(threads.slabs);
    tar.written = this.#tarOffset;
    for (const path of this.#deleted) index?.addDeleted(path);
    if (base) writeDeleted(tar, this.#deleted);
    for (const slab of tar.finish()) {
      yield await frameOf(threads, { slab: slab.buffer as ArrayBuffer, used: slab.length });
    }
  }
}

function writeDeleted(tar: TarWriter, paths: readonly Buffer[]): void {
  const size = paths.reduce((sum, path) => sum + memberName(path).length + 1, 0);
  const names = { userName: null, groupName: null, linkPath: null, devMajor: 0, devMinor: 0, sparse: null };
  const fields = { mode: 0o600, uid: 0, gid: 0, mtimeNs: 0n };
  tar.writeHeader({ path: deletedMember, type: "file", size, ...fields, ...names });
  for (const path of paths) {
    tar.write(memberName(path));
    tar.write(nul);
  }
  tar.pad(size);
}

const nul = Buffer.alloc(1);

const headerItem = (path: Buffer, type: HeaderType, stat: BigIntStats, linkPath: Buffer | null): Item => ({
  path,
  type,
  linkPath,
  size: 0,
  header: stat,
  fd: null,
  notes: null,
});

const fileItem = (path: Buffer, size: number, fd: number | null): Item => ({
  path,
  type: "file",
  linkPath: null,
  size,
  header: null,
  fd,
  notes: null,
});

const statFields = (stat: BigIntStats) => ({
  mode: Number(stat.mode) & 0o7777,
  uid: Number(stat.uid),
  gid: Number(stat.gid),
  mtimeNs: stat.mtimeNs,
  ctimeNs: stat.ctimeNs,
  dev: stat.dev,
  ino: stat.ino,
});

const newEntry = (): IndexEntry => ({
  ...{ path: Buffer.alloc(0), type: "file", sparse: false, size: 0, mode: 0, uid: 0, gid: 0 },
  ...{ mtimeNs: 0n, ctimeNs: 0n, dev: 0n, ino: 0n, linkPath: null, sha256: null, tarOffset: 0 },
});

/** Entries for one thread, as many as make one frame. */
class Batch {
  readonly items: (Item | Kept)[] = [];
  /** Each item's place among what the thread is given; -1 for what it is not given. */
  readonly rows = new Int32Array(maxBatchEntries);
  readonly #writer = new BatchWriter();
  readonly #held: number[] = [];
  #room = slabBytes - roomFor(0);

  get empty(): boolean {
    return this.items.length === 0;
  }

  hasRoomFor(found: Item | Kept): boolean {
    if (this.items.length === maxBatchEntries || this.#held.length === maxHeldOpen) return false;
    return isKept(found) || tarBytes(found) <= this.#room;
  }

  add(found: Item | Kept): void {
    this.rows[this.items.length] = isKept(found) ? -1 : this.#writer.count;
    this.items.push(found);
    if (isKept(found)) return;
    this.#room -= tarBytes(found);
    this.#writer.add(batchEntry(found));
    if (found.fd !== null) this.#held.push(found.fd);
  }

  bytes(): Uint8Array {
    return this.#writer.finish();
  }

  async pack(threads: PackThreads): Promise<PackedBatch> {
    try {
      return this.#writer.count > 0 ? await threads.files(this.bytes()) : nothingPacked;
    } finally {
      this.release();
    }
  }

  release(): void {
    for (const fd of this.#held.splice(0)) closeSync(fd);
  }
}

const nothingPacked = { frames: [], results: new Uint8Array(), warnings: [], sourceBytes: 0 };

/** What an entry will take in the archive, nearly always: a header, one with its time to the nanosecond, its content. */
function tarBytes({ size, path, linkPath }: Item): number {
  return 4 * blockBytes + size + path.length + (linkPath?.length ?? 0);
}

function batchEntry({ path, type, linkPath, size, header, fd }: Item): BatchEntry {
  if (header === null || type === "file") return { kind: "file", path, size, fd };
  const device = type === "char" || type === "block" ? deviceNumbers(header.rdev) : noDevice;
  const { mode, uid, gid, mtimeNs } = statFields(header);
  const fields = { mode, uid, gid, mtimeNs, linkPath, devMajor: device.major, devMinor: device.minor };
  return { kind: "header", path, type, header: fields };
}

const noDevice = { major: 0, minor: 0 };

/** Linux's encoding of device numbers. */
function deviceNumbers(rdev: bigint): { major: number; minor: number } {
  return {
    major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n)),
    minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)),
  };
}

/** Reads a file part by part, each part before it is needed. */
async function* readParts(threads: PackThreads, batch: Uint8Array): AsyncGenerator<FilePart> {
  const next = () => {
    const slab = threads.slabs.take().buffer as ArrayBuffer;
    const part = threads.part(slab);
    // It is awaited below; until then a failure must not count as an unhandled one.
    part.catch(() => {});
    return part;
  };
  await threads.open(batch);
  const coming = [next(), next()];
  for (let ended = false; ; ) {
    const part = await coming.shift();
    if (!part) return;
    ended ||= part.end !== null;
    if (!ended) coming.push(next());
    if (part.used === 0) threads.slabs.give(part.slab);
    if (part.used > 0 || part.end) yield part;
  }
}

async function frameOf(threads: PackThreads, { slab, used }: { slab: ArrayBuffer; used: number }) {
  if (threads.compression !== "none") return threads.frame(slab, used);
  return { bytes: new Uint8Array(slab, 0, used), plainBytes: used };
}
