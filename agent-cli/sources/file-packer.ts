import { type BigIntStats, closeSync, fstatSync, openSync, readSync } from "node:fs";
import { openFlags } from "../open-flags.ts";
import type { IndexEntry } from "../pipeline/archive-index.ts";
import { errorCode } from "../pipeline/error-code.ts";
import type { FileSum } from "../pipeline/file-sum.ts";
import { FileSumming, sumOf } from "../pipeline/file-summing.ts";
import { slabBytes } from "../pipeline/slabs.ts";
import { blockBytes, encodeSparseMap, type TarWriter } from "../pipeline/tar.ts";
import { memberName, type TarEntry } from "../pipeline/tar-entry.ts";
import { type AccountNames, readAccountNames } from "./account-names.ts";
import type { HardLinks } from "./hard-links.ts";
import type { Tally } from "./source.ts";
import { minSparseSavingBytes, type Segment, scanSegments } from "./sparse.ts";
import { identity, inodeOf, vanishedOr } from "./walk.ts";

/** The most that a header takes with its PAX records: twice the longest path there is, and then some. */
const maxHeaderBytes = 12 * 1024;
const maxSmallMapBytes = 64 * 1024;

/** What is read piece by piece is summed while the piece is still in the processor's cache. */
const pieceBytes = 256 * 1024;

/** Whether a file of this size is packed into one frame with others; larger ones are cut over frames of their own. */
const fitsOneFrame = (size: number): boolean => roomFor(maxSmallMapBytes + size) <= slabBytes;

/** The most that something with so much content takes. */
const roomFor = (content: number): number => maxHeaderBytes + content + blockBytes;

/** Who is told what became of an entry. */
export type PackReport = {
  /** It is in the archive; `sure` when it is there as it was listed. What is given is used again. */
  stored(entry: IndexEntry, sure: boolean): void;
  /** It is not in the archive, for the reason that was told before. */
  leftOut(path: Buffer): void;
  warn(path: Buffer, reason: string): void;
};

export type PackerOptions = {
  /** Identities of what belongs to the agent and goes into no backup, such as its private key. */
  own: ReadonlySet<string>;
  /** Whether the files' checksums are wanted. */
  checksums: boolean;
  links: HardLinks;
  tally: Tally;
  report: PackReport;
};

export type HeaderType = Exclude<TarEntry["type"], "file">;

/**
 * Writes entries into an archive, reading files as they come. It is synchronous: a tree of small files is packed without
 * one promise per file.
 */
export class FilePacker {
  readonly #tar: TarWriter;
  readonly #options: PackerOptions;
  readonly #names: AccountNames = readAccountNames();
  readonly #ownInodes: ReadonlySet<bigint>;
  /** The same objects for all: there may be a hundred thousand. */
  readonly #entry = newEntry();
  #path: Buffer = Buffer.alloc(0);
  #warned = false;
  /** The sum of what was stored of this file; while it comes in pieces, who sums them. */
  #sum: FileSum | null = null;
  #summing: FileSumming | null = null;

  constructor(tar: TarWriter, options: PackerOptions) {
    this.#tar = tar;
    this.#options = options;
    this.#ownInodes = new Set([...options.own].map(inodeOf));
  }

  /** Stores what its header says all about. */
  header(path: Buffer, type: HeaderType, stat: BigIntStats, linkPath: Buffer | null): void {
    this.#begin(path);
    this.#tar.makeRoom(roomFor(0));
    const { written } = this.#tar;
    this.#tar.writeHeader({
      ...this.#memberOf(stat, 0),
      ...(type === "directory" ? { path: Buffer.concat([memberName(path), slash]) } : {}),
      ...(type === "char" || type === "block" ? deviceNumbers(stat.rdev) : {}),
      type,
      linkPath,
    });
    const entry = this.#entryOf(written, stat);
    entry.type = type;
    entry.linkPath = linkPath;
    this.#options.report.stored(entry, true);
  }

  /**
   * Stores a file. One that does not fit into a slab with its header, or must be looked through first, is left to what is
   * answered, which yields whenever slabs are to be taken.
   */
  file(path: Buffer): Generator<undefined> | null {
    this.#begin(path);
    const fd = this.#open(path);
    if (fd === null) return null;
    let steps: Generator<undefined> | null = null;
    try {
      steps = this.#opened(fd);
    } finally {
      if (steps === null) closeSync(fd);
    }
    return steps && closing(fd, steps);
  }

  #begin(path: Buffer): void {
    this.#path = path;
    this.#warned = false;
    this.#sum = null;
    this.#summing = null;
  }

  /** Stores an open file, or says how it is to be stored. */
  #opened(fd: number): Generator<undefined> | null {
    const stat = this.#stat(fd);
    if (stat === null || this.#isOwn(stat)) return null;
    if (!stat.isFile()) {
      this.#skip("skipped: it was replaced while the backup ran");
      return null;
    }
    const linked = stat.nlink > 1n ? this.#options.links.nameOf(stat) : null;
    if (linked) this.header(this.#path, "link", stat, memberName(linked));
    else if (isSparse(stat)) return this.#sparse(fd, stat);
    else if (fitsOneFrame(Number(stat.size))) this.#whole(fd, stat);
    else return this.#pieces(fd, stat);
    return null;
  }

  #isOwn(stat: BigIntStats): boolean {
    return this.#ownInodes.has(stat.ino) && this.#options.own.has(identity(stat));
  }

  #open(path: Buffer): number | null {
    try {
      return openSync(path, openFlags);
    } catch (error) {
      this.#skip(vanishedOr(error));
      return null;
    }
  }

  #stat(fd: number): BigIntStats | null {
    try {
      return fstatSync(fd, { bigint: true });
    } catch (error) {
      this.#skip(vanishedOr(error));
      return null;
    }
  }

  /** Most files of most trees: read by one call, summed by one call, no generator. */
  #whole(fd: number, stat: BigIntStats): void {
    const size = Number(stat.size);
    const tar = this.#tar;
    tar.makeRoom(roomFor(size));
    const { written } = tar;
    tar.writeHeader(this.#memberOf(stat, size));
    const { slab, used } = tar;
    let end = used;
    while (end < used + size) {
      const left = used + size - end;
      // One byte more tells of growth without another call.
      const read = this.#read(fd, slab, end, left + 1, end - used);
      if (read === 0) {
        this.#warnMissing(end - used);
        slab.fill(0, end, used + size);
        end = used + size;
      } else {
        if (read > left) this.#warnGrown(size);
        end += Math.min(read, left);
      }
    }
    if (this.#options.checksums) this.#sum = sumOf(slab.subarray(used, end));
    tar.advance(size);
    tar.pad(size);
    this.#options.tally.sourceBytes += size;
    this.#store(written, stat, size, false);
  }

  /** A large file has frames of its own. */
  *#pieces(fd: number, stat: BigIntStats): Generator<undefined> {
    const size = Number(stat.size);
    this.#tar.flush();
    const { written } = this.#tar;
    this.#tar.writeHeader(this.#memberOf(stat, size));
    const end = yield* this.#copy(fd, { offset: 0, length: size }, true);
    if (end === "grown") this.#warnGrown(size);
    this.#tar.pad(size);
    this.#tar.flush();
    this.#store(written, stat, size, false);
  }

  *#sparse(fd: number, stat: BigIntStats): Generator<undefined> {
    const realSize = Number(stat.size);
    const fits = fitsOneFrame(realSize);
    let segments: Segment[];
    try {
      segments = yield* scanSegments(fd, realSize);
    } catch (error) {
      this.#skip(`skipped: it could not be read: ${errorCode(error)}`);
      return;
    }
    const map = encodeSparseMap(segments);
    const data = segments.reduce((sum, { length }) => sum + length, 0);
    const stored = map.length + data;
    if (fits) this.#tar.makeRoom(roomFor(stored));
    else this.#tar.flush();
    const { written } = this.#tar;
    this.#tar.writeHeader({ ...this.#memberOf(stat, stored), sparse: { realSize } });
    this.#tar.write(map);
    this.#add(map);
    for (const segment of segments) {
      if (segment.length > 0) yield* this.#copy(fd, segment, false);
    }
    this.#tar.pad(stored);
    if (!fits) this.#tar.flush();
    this.#options.tally.sourceBytes += realSize - data;
    const after = fstatSync(fd, { bigint: true });
    // The map was made in a first pass: data that came into a hole since then is not in the archive.
    if (after.mtimeNs !== stat.mtimeNs || after.size !== stat.size) {
      this.#warn("it changed while it was read: what was written meanwhile may be missing");
    }
    this.#store(written, stat, realSize, true);
  }

  #add(bytes: Buffer): void {
    if (!this.#options.checksums) return;
    this.#summing ??= new FileSumming();
    this.#summing.add(bytes);
  }

  /**
   * Copies exactly `length` bytes into the archive; what cannot be read is made up with zeros, since the header has
   * promised the size. With `probe` it asks for one byte more and so notices growth without another call.
   */
  *#copy(fd: number, { offset, length }: Segment, probe: boolean): Generator<undefined, "grown" | "done"> {
    const tar = this.#tar;
    for (let done = 0; done < length; ) {
      const left = length - done;
      const { slab, used } = tar;
      const read = this.#read(fd, slab, used, Math.min(probe ? left + 1 : left, pieceBytes), offset + done);
      if (read === 0) {
        yield* this.#fillMissing(left, offset + done);
        return "done";
      }
      const count = Math.min(read, left);
      this.#add(slab.subarray(used, used + count));
      tar.advance(count);
      this.#options.tally.sourceBytes += count;
      done += count;
      if (tar.used === 0) yield;
      if (read > left) return "grown";
    }
    return "done";
  }

  /** Reads into the archive's slab, as much as there is room for; an error counts as the end of the file, and is told. */
  #read(fd: number, slab: Buffer, at: number, want: number, position: number): number {
    try {
      return readSync(fd, slab, at, Math.min(want, slab.length - at), position);
    } catch (error) {
      this.#warn(`reading failed at byte ${position}: ${errorCode(error)}`);
      return 0;
    }
  }

  *#fillMissing(missing: number, from: number): Generator<undefined> {
    this.#warnMissing(from);
    for (let left = missing; left > 0; ) {
      const { slab, used } = this.#tar;
      const count = this.#tar.writeZeros(Math.min(left, pieceBytes));
      this.#add(slab.subarray(used, used + count));
      left -= count;
      if (this.#tar.used === 0) yield;
    }
  }

  /** The header of a file; other types differ from it in little. */
  #memberOf(stat: BigIntStats, size: number): TarEntry {
    const uid = Number(stat.uid);
    const gid = Number(stat.gid);
    return {
      path: memberName(this.#path),
      type: "file",
      mode: Number(stat.mode) & 0o7777,
      uid,
      gid,
      userName: this.#names.user(uid),
      groupName: this.#names.group(gid),
      size,
      mtimeNs: stat.mtimeNs,
      linkPath: null,
      devMajor: 0,
      devMinor: 0,
      sparse: null,
    };
  }

  #store(offset: number, stat: BigIntStats, size: number, sparse: boolean): void {
    const { links, report } = this.#options;
    if (stat.nlink > 1n) links.store(stat, this.#path);
    const entry = this.#entryOf(offset, stat);
    entry.size = size;
    entry.sparse = sparse;
    entry.sum = this.#sum ?? this.#summing?.sum() ?? null;
    report.stored(entry, !this.#warned);
  }

  #entryOf(offset: number, stat: BigIntStats): IndexEntry {
    const entry = this.#entry;
    entry.path = this.#path;
    entry.type = "file";
    entry.linkPath = null;
    entry.tarOffset = offset;
    entry.size = 0;
    entry.sparse = false;
    entry.sum = null;
    entry.mode = Number(stat.mode) & 0o7777;
    entry.uid = Number(stat.uid);
    entry.gid = Number(stat.gid);
    entry.mtimeNs = stat.mtimeNs;
    entry.ctimeNs = stat.ctimeNs;
    entry.dev = stat.dev;
    entry.ino = stat.ino;
    return entry;
  }

  #skip(reason: string): void {
    this.#warn(reason);
    this.#options.report.leftOut(this.#path);
  }

  #warnGrown(size: number): void {
    this.#warn(`it grew while it was read: the first ${size} bytes are stored`);
  }

  #warnMissing(from: number): void {
    this.#warn(`it shrank or could not be read to its end: zeros are stored from byte ${from} on`);
  }

  #warn(reason: string): void {
    this.#warned = true;
    this.#options.report.warn(this.#path, reason);
  }
}

function* closing(fd: number, steps: Generator<undefined>): Generator<undefined> {
  try {
    yield* steps;
  } finally {
    closeSync(fd);
  }
}

const slash = Buffer.from("/");

const isSparse = (stat: BigIntStats): boolean =>
  Number(stat.size) - Number(stat.blocks) * 512 >= minSparseSavingBytes;

const newEntry = (): IndexEntry => ({
  ...{ path: Buffer.alloc(0), type: "file", sparse: false, size: 0, mode: 0, uid: 0, gid: 0 },
  ...{ mtimeNs: 0n, ctimeNs: 0n, dev: 0n, ino: 0n, linkPath: null, sum: null, tarOffset: 0 },
});

/** Linux's encoding of device numbers. */
const deviceNumbers = (rdev: bigint) => ({
  devMajor: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n)),
  devMinor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)),
});
