import { createHash, type Hash, hash } from "node:crypto";
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { errorCode } from "../pipeline/error-code.ts";
import { slabBytes } from "../pipeline/slabs.ts";
import { blockBytes, encodeSparseMap, type TarWriter } from "../pipeline/tar.ts";
import { memberName, type TarEntry } from "../pipeline/tar-entry.ts";
import { type AccountNames, readAccountNames } from "./account-names.ts";
import { type BatchEntry, PackedWriter } from "./file-batch.ts";
import { minSparseSavingBytes, type Segment, scanSegments } from "./sparse.ts";
import { identity, inodeOf, vanishedOr } from "./walk.ts";

/** Flags that neither follow a link nor hang on a pipe that took the file's place since it was listed. */
export const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** The most that a header takes with its PAX records: twice the longest path there is, and then some. */
const maxHeaderBytes = 12 * 1024;
const maxSmallMapBytes = 64 * 1024;

/** What is read piece by piece is hashed while the piece is still in the processor's cache. */
const pieceBytes = 256 * 1024;

/** Whether a file of this size is packed into one frame with others; larger ones are cut over frames of their own. */
export const fitsOneFrame = (size: number): boolean => roomFor(maxSmallMapBytes + size) <= slabBytes;

/** The most that something with so much content takes. */
export const roomFor = (content: number): number => maxHeaderBytes + content + blockBytes;

/** What is reported about entries, by their place in the batch. */
export type EntryWarning = { entry: number; reason: string };

export type PackerOptions = {
  /** What belongs to the agent and goes into no backup, such as its private key. */
  own: ReadonlySet<string>;
  /** Whether the files' own hashes are wanted. */
  hashing: boolean;
  /** Whether an entry ends in the frame that it begins in; if not, a file may be of any size. */
  whole: boolean;
};

/**
 * Writes entries into an archive, reading files as they come. It is synchronous: there is a thread for it, and a tree of
 * small files is packed without one promise per file.
 */
export class FilePacker {
  results = new PackedWriter();
  warnings: EntryWarning[] = [];
  /** Bytes of files that were packed, holes included. */
  sourceBytes = 0;
  readonly #tar: TarWriter;
  readonly #options: PackerOptions;
  readonly #names: AccountNames = readAccountNames();
  readonly #ownInodes: ReadonlySet<bigint>;
  #entry = 0;
  #rest: { fd: number; owned: boolean; steps: Generator<undefined> } | null = null;

  constructor(tar: TarWriter, options: PackerOptions) {
    this.#tar = tar;
    this.#options = options;
    this.#ownInodes = new Set([...options.own].map(inodeOf));
  }

  /** Begins a new batch: its results, warnings and offsets. */
  begin(): void {
    this.results = new PackedWriter();
    this.warnings = [];
    this.sourceBytes = 0;
    this.#entry = 0;
    this.#tar.written = 0;
  }

  /** Packs what is packed in one go, and says whether that was all; the rest is to be had from `addRest`. */
  add(entry: BatchEntry): boolean {
    this.#rest = null;
    if (entry.kind === "header") this.#addHeader(entry);
    else this.#addFile(entry);
    if (this.#rest === null) this.#entry += 1;
    return this.#rest === null;
  }

  /** The rest of a file that may fill slabs; it yields whenever some are to be taken. */
  *addRest(): Generator<undefined> {
    if (!this.#rest) return;
    const { fd, owned, steps } = this.#rest;
    this.#rest = null;
    try {
      yield* steps;
    } finally {
      if (owned) closeSync(fd);
      this.#entry += 1;
    }
  }

  #addHeader({ path, type, header }: Extract<BatchEntry, { kind: "header" }>): void {
    if (this.#options.whole) this.#tar.makeRoom(roomFor(0));
    const { written } = this.#tar;
    this.#tar.writeHeader({
      ...header,
      path: type === "directory" ? Buffer.concat([memberName(path), slash]) : memberName(path),
      type,
      userName: this.#names.user(header.uid),
      groupName: this.#names.group(header.gid),
      size: 0,
      sparse: null,
    });
    this.results.stored(written, null);
  }

  #addFile({ path, size, fd }: Extract<BatchEntry, { kind: "file" }>): void {
    const opened = fd ?? this.#open(path);
    if (opened === null) return;
    try {
      const steps = this.#addOpened(path, opened, size);
      if (steps) this.#rest = { fd: opened, owned: fd === null, steps };
    } finally {
      if (fd === null && this.#rest === null) closeSync(opened);
    }
  }

  /** Packs an open file, or says how it is to be packed. */
  #addOpened(path: Buffer, fd: number, expected: number): Generator<undefined> | null {
    const stat = this.#stat(fd);
    if (stat === null) return null;
    if (this.#isOwn(stat)) this.results.skipped();
    else if (!stat.isFile()) this.#skip("skipped: it was replaced while the backup ran");
    else if (isSparse(stat)) return this.#addSparse(path, fd, stat, expected);
    else if (this.#options.whole) this.#addWhole(path, fd, stat, expected);
    else return this.#addPieces(path, fd, stat);
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

  /** Most files of most trees: read by one call, hashed by one call, no generator. */
  #addWhole(path: Buffer, fd: number, stat: BigIntStats, expected: number): void {
    const found = Number(stat.size);
    // It has grown so much since it was listed that it would not fit any more.
    const size = found > expected && !fitsOneFrame(found) ? expected : found;
    const tar = this.#tar;
    tar.makeRoom(roomFor(size));
    const { written } = tar;
    tar.writeHeader(this.#entryOf(path, stat, size));
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
    const sha256 = this.#options.hashing ? hash("sha256", slab.subarray(used, end), "binary") : noHash;
    tar.advance(size);
    tar.pad(size);
    this.sourceBytes += size;
    this.#store(written, stat, size, false, sha256);
  }

  *#addPieces(path: Buffer, fd: number, stat: BigIntStats): Generator<undefined> {
    const size = Number(stat.size);
    const { written } = this.#tar;
    this.#tar.writeHeader(this.#entryOf(path, stat, size));
    const hasher = this.#hasher();
    const end = yield* this.#copy(fd, { offset: 0, length: size }, true, hasher);
    if (end === "grown") this.#warnGrown(size);
    this.#tar.pad(size);
    this.#store(written, stat, size, false, hasher?.digest("binary") ?? noHash);
  }

  *#addSparse(path: Buffer, fd: number, stat: BigIntStats, expected: number): Generator<undefined> {
    const found = Number(stat.size);
    const realSize = this.#options.whole && !fitsOneFrame(found) ? Math.min(found, expected) : found;
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
    if (this.#options.whole) this.#tar.makeRoom(roomFor(stored));
    const { written } = this.#tar;
    this.#tar.writeHeader({ ...this.#entryOf(path, stat, stored), sparse: { realSize } });
    const hasher = this.#hasher();
    this.#tar.write(map);
    hasher?.update(map);
    for (const segment of segments) {
      if (segment.length > 0) yield* this.#copy(fd, segment, false, hasher);
    }
    this.#tar.pad(stored);
    this.sourceBytes += realSize - data;
    const after = fstatSync(fd, { bigint: true });
    // The map was made in a first pass: data that came into a hole since then is not in the archive.
    if (after.mtimeNs !== stat.mtimeNs || after.size !== stat.size) {
      this.#warn("it changed while it was read: what was written meanwhile may be missing");
    }
    this.#store(written, stat, realSize, true, hasher?.digest("binary") ?? noHash);
  }

  #hasher(): Hash | null {
    return this.#options.hashing ? createHash("sha256") : null;
  }

  /**
   * Copies exactly `length` bytes into the archive; what cannot be read is made up with zeros, since the header has
   * promised the size. With `probe` it asks for one byte more and so notices growth without another call.
   */
  *#copy(
    fd: number,
    { offset, length }: Segment,
    probe: boolean,
    hasher: Hash | null,
  ): Generator<undefined, "grown" | "done"> {
    const tar = this.#tar;
    for (let done = 0; done < length; ) {
      const left = length - done;
      const { slab, used } = tar;
      const read = this.#read(fd, slab, used, Math.min(probe ? left + 1 : left, pieceBytes), offset + done);
      if (read === 0) {
        yield* this.#fillMissing(left, offset + done, hasher);
        return "done";
      }
      const count = Math.min(read, left);
      hasher?.update(slab.subarray(used, used + count));
      tar.advance(count);
      this.sourceBytes += count;
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

  *#fillMissing(missing: number, from: number, hasher: Hash | null): Generator<undefined> {
    this.#warnMissing(from);
    for (let left = missing; left > 0; ) {
      const { slab, used } = this.#tar;
      const count = this.#tar.writeZeros(Math.min(left, pieceBytes));
      hasher?.update(slab.subarray(used, used + count));
      left -= count;
      if (this.#tar.used === 0) yield;
    }
  }

  #entryOf(path: Buffer, stat: BigIntStats, size: number): TarEntry {
    const uid = Number(stat.uid);
    const gid = Number(stat.gid);
    return {
      path: memberName(path),
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

  #store(offset: number, stat: BigIntStats, size: number, sparse: boolean, sha256: string): void {
    this.results.stored(offset, {
      size,
      sparse,
      mode: Number(stat.mode) & 0o7777,
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      mtimeNs: stat.mtimeNs,
      ctimeNs: stat.ctimeNs,
      dev: stat.dev,
      ino: stat.ino,
      sha256,
    });
  }

  #skip(reason: string): void {
    this.results.skipped();
    this.#warn(reason);
  }

  #warnGrown(size: number): void {
    this.#warn(`it grew while it was read: the first ${size} bytes are stored`);
  }

  #warnMissing(from: number): void {
    this.#warn(`it shrank or could not be read to its end: zeros are stored from byte ${from} on`);
  }

  #warn(reason: string): void {
    this.warnings.push({ entry: this.#entry, reason });
  }
}

const slash = Buffer.from("/");
const noHash = "\0".repeat(32);

const isSparse = (stat: BigIntStats): boolean =>
  Number(stat.size) - Number(stat.blocks) * 512 >= minSparseSavingBytes;
