import { createHash } from "node:crypto";
import type { BigIntStats } from "node:fs";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { DamagedArtifact } from "./damaged.ts";
import { errorCode } from "./error-code.ts";
import type { TarEntry } from "./tar-entry.ts";

/** One entry of the tree as it was when it was backed up. Buffers of a decoded entry are views: copy what is kept. */
export type IndexEntry = {
  /** Absolute, without a trailing slash. */
  path: Buffer;
  type: TarEntry["type"];
  /** A file with holes, stored in GNU's sparse format: its map and its data. */
  sparse: boolean;
  /** What the file has on disk, holes included. */
  size: number;
  mode: number;
  uid: number;
  gid: number;
  mtimeNs: bigint;
  /** `unsureCtime` when what was stored may not be what the file was: a later run then reads it again. */
  ctimeNs: bigint;
  dev: bigint;
  ino: bigint;
  linkPath: Buffer | null;
  /** Of a file's content in the archive (a sparse file's map and data); null for everything else. */
  sha256: Buffer | null;
  /** Where its first header block, PAX included, stands in this artifact's tar stream; -1: unchanged, in the base. */
  tarOffset: number;
};

/** No file has this time of change, so none is ever taken for unchanged because of it. */
export const unsureCtime = -1n;

/** One zstd frame of the tar stream. */
export type IndexFrame = { compressedBytes: number; plainBytes: number };
export type IndexBase = { recordId: number; sha256: string };

/**
 * What an artifact holds and where. Entries are in walk order. `deleted` are a differential run's paths of the base that
 * are gone, or another kind of thing now, each standing for what was below it; in a full backup they are the paths
 * that were left out with a warning, so that a later run looks at them again. `base` is a differential run's.
 */
export type ArchiveIndex = {
  frames: IndexFrame[];
  entries: IndexEntries;
  deleted: Buffer[];
  base: IndexBase | null;
};

/** Where an index stands in the plain zstd stream, its skippable frame's header included, and its hash. */
export type IndexPlace = { offsetBytes: number; sizeBytes: number; sha256: string };

/*
 * A zstd skippable frame, which every zstd decoder passes over. In it: segments of up to 8,192 entries each, compressed
 * one by one, so that neither the writer nor the reader holds more than one of them unpacked; a directory, compressed;
 * a footer of fixed size, by which the index is found from the end of the file. All numbers are little-endian.
 *
 * A segment holds its columns one after the other: numbers of fixed width, then hashes of the files, then targets of the
 * links, then paths, each as what it shares with the path before it and the rest.
 */
const frameMagic = 0x184d2a5b;
const frameHeaderBytes = 8;
const footerMagic = Buffer.from("BkpXIdx\0", "latin1");
const formatVersion = 1;
const footerBytes = 28;
const segmentEntries = 8192;
const segmentTextBytes = 4 * 1024 * 1024;
const maxPathBytes = 64 * 1024;
const maxSegmentBytes = 32 * 1024 * 1024;
const maxDirectoryBytes = 256 * 1024 * 1024;
const maxIndexBytes = 1024 * 1024 * 1024;
const hashBytes = 32;

const types: readonly TarEntry["type"][] = ["file", "link", "symlink", "directory", "char", "block", "fifo"];
const sparseCode = types.length;
const codes = new Map(types.map((type, code) => [type, code]));

/** Widths of the fixed columns, in their order. */
const widths = {
  type: 1,
  mode: 2,
  uid: 4,
  gid: 4,
  size: 8,
  mtime: 8,
  ctime: 8,
  dev: 8,
  ino: 8,
  tarOffset: 8,
} as const;
type Columns = Record<keyof typeof widths, number>;
const rowBytes = Object.values(widths).reduce((sum, width) => sum + width, 0);

/** Where each column of a segment of so many entries begins. */
function columnsOf(count: number): Columns {
  let at = 0;
  const columns: Partial<Columns> = {};
  for (const [name, width] of Object.entries(widths)) {
    columns[name as keyof Columns] = at;
    at += width * count;
  }
  return columns as Columns;
}

const fullColumns = columnsOf(segmentEntries);

/** Takes entries one by one and keeps them packed, some 60 bytes each. */
export class ArchiveIndexBuilder {
  readonly #fixed = Buffer.allocUnsafeSlow(rowBytes * segmentEntries);
  readonly #hashes = new GrowingBytes();
  readonly #links = new GrowingBytes();
  readonly #paths = new PathList();
  readonly #frames = new GrowingBytes();
  readonly #deleted = new PathList();
  readonly #segments: Uint8Array[] = [];
  readonly #table = new GrowingBytes();
  #count = 0;
  #frameCount = 0;
  #deletedCount = 0;

  /** Its path must not be written to afterwards, the rest of it may be. */
  add(entry: IndexEntry): void {
    const row = this.#count;
    const at = (column: keyof Columns) => fullColumns[column] + row * widths[column];
    const fixed = this.#fixed;
    fixed[at("type")] = entry.sparse ? sparseCode : (codes.get(entry.type) as number);
    fixed.writeUInt16LE(entry.mode, at("mode"));
    fixed.writeUInt32LE(entry.uid, at("uid"));
    fixed.writeUInt32LE(entry.gid, at("gid"));
    fixed.writeDoubleLE(entry.size, at("size"));
    fixed.writeBigInt64LE(BigInt.asIntN(64, entry.mtimeNs), at("mtime"));
    // Mostly the same as the other time, and then nothing to store.
    fixed.writeBigInt64LE(BigInt.asIntN(64, entry.ctimeNs - entry.mtimeNs), at("ctime"));
    fixed.writeBigUInt64LE(BigInt.asUintN(64, entry.dev), at("dev"));
    fixed.writeBigUInt64LE(BigInt.asUintN(64, entry.ino), at("ino"));
    fixed.writeDoubleLE(entry.tarOffset, at("tarOffset"));
    if (entry.type === "file") this.#hashes.append(requireHash(entry));
    if (isLink(entry.type)) this.#addLink(entry);
    this.#paths.append(entry.path);
    this.#count += 1;
    const textBytes = this.#paths.expandedBytes + this.#links.size;
    if (this.#count === segmentEntries || textBytes >= segmentTextBytes) this.#closeSegment();
  }

  addFrame(frame: IndexFrame): void {
    this.#frames.uint32(frame.compressedBytes);
    this.#frames.uint32(frame.plainBytes);
    this.#frameCount += 1;
  }

  /** A segment of the base in which nothing has changed, as `EntryReader.unchanged` gives it. */
  addUnchanged({ packed, plainBytes, count }: PackedSegment): void {
    if (this.#count > 0) this.#closeSegment();
    this.#segments.push(packed);
    for (const number of [packed.length, plainBytes, count]) this.#table.uint32(number);
  }

  /** A path of the base that is no longer there. */
  addDeleted(path: Buffer): void {
    this.#deleted.append(path);
    this.#deletedCount += 1;
    if (this.#deleted.expandedBytes > maxDirectoryBytes) throw tooMany();
  }

  /** The index as a skippable frame: it is to follow the last frame of the artifact, uncompressed. */
  finish(base: IndexBase | null): Buffer {
    if (this.#count > 0) this.#closeSegment();
    const plain = this.#directory(base);
    const directory = pack(plain);
    const body = Buffer.concat([...this.#segments, directory]);
    const frame = Buffer.concat([Buffer.alloc(frameHeaderBytes), body, Buffer.alloc(footerBytes)]);
    if (frame.length > maxIndexBytes || plain.length > maxDirectoryBytes) throw tooMany();
    frame.writeUInt32LE(frameMagic, 0);
    frame.writeUInt32LE(frame.length - frameHeaderBytes, 4);
    const footer = frame.subarray(frame.length - footerBytes);
    footer.writeUInt32LE(frame.length, 0);
    footer.writeUInt32LE(directory.length, 4);
    footer.writeUInt32LE(plain.length, 8);
    footer.writeUInt32LE(this.#segments.length, 12);
    footer.writeUInt32LE(formatVersion, 16);
    footerMagic.copy(footer, 20);
    return frame;
  }

  #addLink(entry: IndexEntry): void {
    const target = entry.linkPath;
    if (!target || target.length === 0) throw new Error(`the link ${entry.path} has no target`);
    this.#links.varint(target.length);
    this.#links.append(target);
  }

  #closeSegment(): void {
    const count = this.#count;
    const columns = Object.entries(widths).map(([name, width]) => {
      const from = fullColumns[name as keyof Columns];
      return this.#fixed.subarray(from, from + width * count);
    });
    const parts = [...columns, this.#hashes.take(), this.#links.take(), this.#paths.take()];
    const plain = Buffer.concat(parts);
    const packed = pack(plain);
    this.#segments.push(packed);
    for (const number of [packed.length, plain.length, count]) this.#table.uint32(number);
    this.#count = 0;
  }

  #directory(base: IndexBase | null): Buffer {
    const counts = Buffer.alloc(16);
    counts.writeUInt32LE(this.#frameCount, 0);
    counts.writeUInt32LE(this.#deletedCount, 4);
    counts.writeDoubleLE(base?.recordId ?? 0, 8);
    const baseHash = base ? Buffer.from(base.sha256, "hex") : Buffer.alloc(hashBytes);
    return Buffer.concat([counts, baseHash, this.#table.take(), this.#frames.take(), this.#deleted.take()]);
  }
}

/** An index of entries that are all at hand. */
export function encodeArchiveIndex(index: {
  frames: readonly IndexFrame[];
  entries: Iterable<IndexEntry>;
  deleted: readonly Buffer[];
  base: IndexBase | null;
}): Buffer {
  const builder = new ArchiveIndexBuilder();
  for (const frame of index.frames) builder.addFrame(frame);
  for (const entry of index.entries) builder.add(entry);
  for (const path of index.deleted) builder.addDeleted(path);
  return builder.finish(index.base);
}

/** Opens an index, given as its whole skippable frame. What does not fit together throws `DamagedArtifact`. */
export function decodeArchiveIndex(frame: Buffer): ArchiveIndex {
  const footer = readFooter(frame);
  if (footer?.frameBytes !== frame.length) throw broken("its end is not one");
  if (frame.readUInt32LE(0) !== frameMagic || frame.readUInt32LE(4) !== frame.length - frameHeaderBytes)
    throw broken("its beginning is not one");
  const directoryAt = frame.length - footerBytes - footer.directoryBytes;
  const directory = unpack(frame.subarray(directoryAt, -footerBytes), footer.directoryPlainBytes);
  const reader = new BytesIn(directory);
  const frameCount = reader.uint32();
  const deletedCount = reader.uint32();
  const base = readBase(reader);
  const segments = readTable(reader, footer.segments, frame.subarray(frameHeaderBytes, directoryAt));
  const frames = readFrames(reader, frameCount);
  const deleted = reader.paths(deletedCount, maxDirectoryBytes);
  reader.requireEnd();
  const tarBytes = frames.reduce((sum, { plainBytes }) => sum + plainBytes, 0);
  return { frames, deleted, base, entries: new IndexEntries(segments, tarBytes, base !== null) };
}

/**
 * Finds and opens the index at the end of a plain zstd stream of `sizeBytes`; null when there is none. It reads the end
 * first and, of a large index, what is missing.
 */
export async function readArchiveIndex(
  readRange: (offset: number, length: number) => Promise<Buffer>,
  sizeBytes: number,
): Promise<{ index: ArchiveIndex; place: IndexPlace } | null> {
  const endBytes = Math.min(sizeBytes, 64 * 1024);
  const end = await exactly(readRange, sizeBytes - endBytes, endBytes);
  const footer = readFooter(end);
  if (!footer) return null;
  const offsetBytes = sizeBytes - footer.frameBytes;
  if (offsetBytes < 0) throw broken("it is larger than what it stands in");
  const frame =
    footer.frameBytes <= endBytes
      ? end.subarray(endBytes - footer.frameBytes)
      : Buffer.concat([await exactly(readRange, offsetBytes, footer.frameBytes - endBytes), end]);
  const index = decodeArchiveIndex(frame);
  if (index.frames.reduce((sum, { compressedBytes }) => sum + compressedBytes, 0) !== offsetBytes)
    throw broken("its frames are not those of this archive");
  const sha256 = createHash("sha256").update(frame).digest("hex");
  return { index, place: { offsetBytes, sizeBytes: frame.length, sha256 } };
}

async function exactly(
  readRange: (offset: number, length: number) => Promise<Buffer>,
  offset: number,
  length: number,
): Promise<Buffer> {
  const bytes = await readRange(offset, length);
  if (bytes.length !== length) throw new DamagedArtifact("it is cut off");
  return bytes;
}

/** Entries that were packed together. */
export type PackedSegment = { packed: Uint8Array; plainBytes: number; count: number };
/** The same in an index; `first` is the position of the first of them. */
export type Segment = PackedSegment & { first: number };

/** The entries of a segment in their order, read from where they lie: nothing is made of those that nobody asks for. */
export class EntryReader {
  readonly count: number;
  readonly #plain: Buffer;
  readonly #columns: Columns;
  readonly #paths: BytesIn;
  readonly #links: BytesIn;
  readonly #path = Buffer.allocUnsafeSlow(maxPathBytes);
  #pathBytes = 0;
  #linkPath: Buffer | null = null;
  #row = -1;

  constructor({ packed, plainBytes, count }: PackedSegment) {
    this.count = count;
    this.#plain = unpack(packed, plainBytes);
    this.#columns = columnsOf(count);
    const start = new BytesIn(this.#plain);
    const codesOfRows = start.bytes(rowBytes * count).subarray(0, count);
    start.bytes(hashBytes * codesOfRows.reduce((files, code) => files + (isFileCode(code) ? 1 : 0), 0));
    this.#links = start.copy();
    for (const code of codesOfRows) if (isLinkCode(code)) start.text();
    this.#paths = start;
  }

  /** Goes to the next entry; false when there is none. */
  next(): boolean {
    if (this.#row + 1 >= this.count) return false;
    this.#row += 1;
    this.#pathBytes = this.#paths.nextPath(this.#path, this.#pathBytes);
    this.#linkPath = isLinkCode(this.#plain[this.#row] as number) ? this.#links.text() : null;
    return true;
  }

  /** The path of this entry, valid until the next one. */
  get path(): Buffer {
    return this.#path.subarray(0, this.#pathBytes);
  }

  get type(): TarEntry["type"] {
    const code = this.#plain[this.#row] as number;
    return code === sparseCode ? "file" : (types[code] as TarEntry["type"]);
  }

  get linkPath(): Buffer | null {
    return this.#linkPath;
  }

  /** Whether a file's state is the one that was noted. */
  isSame(stat: BigIntStats): boolean {
    const plain = this.#plain;
    const mtimeNs = plain.readBigInt64LE(this.#at("mtime"));
    return (
      stat.mtimeNs === mtimeNs &&
      stat.ctimeNs === BigInt.asIntN(64, mtimeNs + plain.readBigInt64LE(this.#at("ctime"))) &&
      stat.ino === plain.readBigUInt64LE(this.#at("ino")) &&
      (this.type !== "file" || Number(stat.size) === plain.readDoubleLE(this.#at("size"))) &&
      (Number(stat.mode) & 0o7777) === plain.readUInt16LE(this.#at("mode")) &&
      Number(stat.uid) === plain.readUInt32LE(this.#at("uid")) &&
      Number(stat.gid) === plain.readUInt32LE(this.#at("gid"))
    );
  }

  /** The same segment as it stands in a differential backup in which nothing of it has changed. */
  unchanged(): PackedSegment {
    const from = this.#columns.tarOffset;
    for (let row = 0; row < this.count; row += 1)
      this.#plain.writeDoubleLE(-1, from + row * widths.tarOffset);
    return { packed: pack(this.#plain), plainBytes: this.#plain.length, count: this.count };
  }

  #at(column: keyof Columns): number {
    return this.#columns[column] + this.#row * widths[column];
  }
}

/** The entries of an index. Segments are unpacked when they are reached; reading in order unpacks each once. */
export class IndexEntries implements Iterable<IndexEntry> {
  readonly length: number;
  readonly #segments: Segment[];
  readonly #tarBytes: number;
  readonly #hasBase: boolean;
  #open: { segment: Segment; content: SegmentContent } | null = null;

  constructor(segments: Segment[], tarBytes: number, hasBase: boolean) {
    const last = segments.at(-1);
    this.#segments = segments;
    this.#tarBytes = tarBytes;
    this.#hasBase = hasBase;
    this.length = last ? last.first + last.count : 0;
  }

  *[Symbol.iterator](): Generator<IndexEntry> {
    for (const segment of this.#segments) yield* this.of(segment);
  }

  /** The entries of one of its segments. */
  *of(segment: Segment): Generator<IndexEntry> {
    const content = this.#content(segment);
    for (let i = 0; i < segment.count; i += 1) yield content.entry(i);
  }

  /** The inode numbers of its files, read past everything else. */
  *fileInodes(): Generator<{ position: number; ino: bigint }> {
    for (const { packed, plainBytes, count, first } of this.#segments) {
      const plain = unpack(packed, plainBytes);
      const { ino } = columnsOf(count);
      for (let row = 0; row < count; row += 1) {
        if (isFileCode(plain[row] as number))
          yield { position: first + row, ino: plain.readBigUInt64LE(ino + row * widths.ino) };
      }
    }
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  at(position: number): IndexEntry {
    const segment = this.#segments.findLast(({ first }) => first <= position);
    if (!segment || position - segment.first >= segment.count) throw new RangeError(`no entry ${position}`);
    return this.#content(segment).entry(position - segment.first);
  }

  #content(segment: Segment): SegmentContent {
    if (this.#open?.segment === segment) return this.#open.content;
    const plain = unpack(segment.packed, segment.plainBytes);
    const content = new SegmentContent(plain, segment.count, this.#tarBytes, this.#hasBase);
    this.#open = { segment, content };
    return content;
  }
}

class SegmentContent {
  readonly #plain: Buffer;
  readonly #columns: Columns;
  readonly #hashes: (Buffer | null)[] = [];
  readonly #links: (Buffer | null)[] = [];
  readonly #paths: Buffer[];
  readonly #tarBytes: number;
  readonly #hasBase: boolean;

  constructor(plain: Buffer, count: number, tarBytes: number, hasBase: boolean) {
    this.#plain = plain;
    this.#columns = columnsOf(count);
    this.#tarBytes = tarBytes;
    this.#hasBase = hasBase;
    const reader = new BytesIn(plain);
    const codesOfRows = reader.bytes(rowBytes * count).subarray(0, count);
    for (const code of codesOfRows) {
      if (code > sparseCode) throw broken("it has an entry of an unknown type");
      this.#hashes.push(isFileCode(code) ? reader.bytes(hashBytes) : null);
    }
    for (const code of codesOfRows) this.#links.push(isLinkCode(code) ? reader.text() : null);
    this.#paths = reader.paths(count, 2 * segmentTextBytes);
    reader.requireEnd();
  }

  entry(row: number): IndexEntry {
    const plain = this.#plain;
    const at = (column: keyof Columns) => this.#columns[column] + row * widths[column];
    const code = plain[at("type")] as number;
    const mtimeNs = plain.readBigInt64LE(at("mtime"));
    return {
      path: this.#paths[row] as Buffer,
      type: code === sparseCode ? "file" : (types[code] as TarEntry["type"]),
      sparse: code === sparseCode,
      size: this.#size(plain.readDoubleLE(at("size"))),
      mode: plain.readUInt16LE(at("mode")) & 0o7777,
      uid: plain.readUInt32LE(at("uid")),
      gid: plain.readUInt32LE(at("gid")),
      mtimeNs,
      ctimeNs: BigInt.asIntN(64, mtimeNs + plain.readBigInt64LE(at("ctime"))),
      dev: plain.readBigUInt64LE(at("dev")),
      ino: plain.readBigUInt64LE(at("ino")),
      linkPath: this.#links[row] ?? null,
      sha256: this.#hashes[row] ?? null,
      tarOffset: this.#tarOffset(plain.readDoubleLE(at("tarOffset"))),
    };
  }

  #size(value: number): number {
    if (!Number.isSafeInteger(value) || value < 0) throw broken("it has an impossible size");
    return value;
  }

  #tarOffset(value: number): number {
    if (value === -1 && this.#hasBase) return value;
    if (!Number.isSafeInteger(value) || value < 0 || value % 512 !== 0 || value >= this.#tarBytes)
      throw broken("it leads to a place that the archive does not have");
    return value;
  }
}

const isLink = (type: TarEntry["type"]): boolean => type === "link" || type === "symlink";
const isFileCode = (code: number): boolean => code === 0 || code === sparseCode;
const isLinkCode = (code: number): boolean => code === 1 || code === 2;

function requireHash({ sha256, path }: IndexEntry): Buffer {
  if (sha256?.length !== hashBytes) throw new Error(`the file ${path} has no hash`);
  return sha256;
}

type Footer = { frameBytes: number; directoryBytes: number; directoryPlainBytes: number; segments: number };

/** The footer at the end of `bytes`; null when there is none. */
function readFooter(bytes: Buffer): Footer | null {
  if (bytes.length < footerBytes) return null;
  const footer = bytes.subarray(bytes.length - footerBytes);
  if (!footer.subarray(20).equals(footerMagic)) return null;
  const version = footer.readUInt32LE(16);
  if (version !== formatVersion)
    throw broken(`it is of the format ${version}, which this program does not know`);
  const found = {
    frameBytes: footer.readUInt32LE(0),
    directoryBytes: footer.readUInt32LE(4),
    directoryPlainBytes: footer.readUInt32LE(8),
    segments: footer.readUInt32LE(12),
  };
  if (found.frameBytes > maxIndexBytes || found.directoryPlainBytes > maxDirectoryBytes)
    throw broken("it is too large to be one");
  if (found.directoryBytes + footerBytes + frameHeaderBytes > found.frameBytes)
    throw broken("its parts are larger than the whole");
  return found;
}

function readBase(reader: BytesIn): IndexBase | null {
  const recordId = reader.double();
  const hash = reader.bytes(hashBytes);
  if (hash.every((byte) => byte === 0)) return null;
  if (!Number.isSafeInteger(recordId) || recordId < 0) throw broken("it has an impossible base");
  return { recordId, sha256: hash.toString("hex") };
}

function readTable(reader: BytesIn, count: number, body: Buffer): Segment[] {
  reader.requireRoom(count, 12);
  const segments: Segment[] = [];
  let at = 0;
  let first = 0;
  for (let i = 0; i < count; i += 1) {
    const packedBytes = reader.uint32();
    const plainBytes = reader.uint32();
    const entries = reader.uint32();
    const possible = entries > 0 && entries <= segmentEntries && plainBytes <= maxSegmentBytes;
    if (!possible || at + packedBytes > body.length) throw broken("it has an impossible segment");
    segments.push({ packed: body.subarray(at, at + packedBytes), plainBytes, count: entries, first });
    at += packedBytes;
    first += entries;
  }
  if (at !== body.length) throw broken("there is more in it than its segments");
  return segments;
}

function readFrames(reader: BytesIn, count: number): IndexFrame[] {
  reader.requireRoom(count, 8);
  return Array.from({ length: count }, () => {
    const compressedBytes = reader.uint32();
    return { compressedBytes, plainBytes: reader.uint32() };
  });
}

const packing = { params: { [constants.ZSTD_c_checksumFlag]: 1 } };

const pack = (plain: Buffer): Buffer => zstdCompressSync(plain, packing);

function unpack(packed: Uint8Array, plainBytes: number): Buffer {
  try {
    const plain = zstdDecompressSync(packed, {
      maxOutputLength: Math.max(plainBytes, 1),
      chunkSize: Math.max(plainBytes, 1024),
    });
    if (plain.length === plainBytes) return plain;
  } catch (error) {
    throw broken(errorCode(error));
  }
  throw broken("a part of it has not the size that it says");
}

/** Bytes that are added at the end; memory grows by doubling and is kept for the next use. */
class GrowingBytes {
  #bytes = Buffer.allocUnsafeSlow(4096);
  #used = 0;

  get size(): number {
    return this.#used;
  }

  append(bytes: Uint8Array): void {
    this.#makeRoom(bytes.length);
    this.#bytes.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  varint(value: number): void {
    this.#makeRoom(5);
    let rest = value;
    for (; rest >= 0x80; rest >>>= 7) this.#bytes[this.#used++] = (rest & 0x7f) | 0x80;
    this.#bytes[this.#used++] = rest;
  }

  uint32(value: number): void {
    this.#makeRoom(4);
    this.#used = this.#bytes.writeUInt32LE(value, this.#used);
  }

  /** What was added; it is valid until something is added again. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#used);
    this.#used = 0;
    return taken;
  }

  #makeRoom(bytes: number): void {
    if (this.#used + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#used + bytes));
    larger.set(this.#bytes.subarray(0, this.#used));
    this.#bytes = larger;
  }
}

/** Paths, each as what it shares with the one before it and the rest. */
class PathList {
  expandedBytes = 0;
  readonly #bytes = new GrowingBytes();
  #previous: Buffer = Buffer.alloc(0);

  append(path: Buffer): void {
    if (path.length > maxPathBytes) throw new Error("a path is too long for the archive's index");
    const shared = sharedBytes(this.#previous, path);
    this.#bytes.varint(shared);
    this.#bytes.varint(path.length - shared);
    this.#bytes.append(path.subarray(shared));
    this.#previous = path;
    this.expandedBytes += path.length;
  }

  take(): Buffer {
    this.#previous = Buffer.alloc(0);
    this.expandedBytes = 0;
    return this.#bytes.take();
  }
}

function sharedBytes(a: Buffer, b: Buffer): number {
  const most = Math.min(a.length, b.length);
  let shared = 0;
  while (shared < most && a[shared] === b[shared]) shared += 1;
  return shared;
}

/** Reads what the builder wrote, and throws rather than read beyond the end. */
class BytesIn {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  bytes(count: number): Buffer {
    this.requireRoom(count, 1);
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  uint32(): number {
    return this.bytes(4).readUInt32LE(0);
  }

  double(): number {
    return this.bytes(8).readDoubleLE(0);
  }

  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) break;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw broken("it is cut off");
  }

  /** A text with its length before it. */
  text(): Buffer {
    const length = this.varint();
    if (length === 0 || length > maxPathBytes) throw broken("it has an impossible link");
    return this.bytes(length);
  }

  /** Puts the next path of a path list over the one before it; returns its length. */
  nextPath(into: Buffer, previousBytes: number): number {
    const shared = this.varint();
    const length = this.varint();
    if (shared > previousBytes || shared + length > into.length) throw broken("it has an impossible path");
    const from = this.#at;
    this.#at += length;
    if (this.#at > this.#bytes.length) throw broken("it is cut off");
    this.#bytes.copy(into, shared, from, this.#at);
    return shared + length;
  }

  /** Another reader that begins where this one is. */
  copy(): BytesIn {
    const twin = new BytesIn(this.#bytes);
    twin.#at = this.#at;
    return twin;
  }

  /** `count` paths of a path list, which together are no longer than `maxBytes`. */
  paths(count: number, maxBytes: number): Buffer[] {
    this.requireRoom(count, 2);
    const paths: Buffer[] = [];
    let previous: Buffer = Buffer.alloc(0);
    let total = 0;
    for (let i = 0; i < count; i += 1) {
      const shared = this.varint();
      const length = this.varint();
      total += shared + length;
      if (shared > previous.length || shared + length > maxPathBytes || total > maxBytes)
        throw broken("it has an impossible path");
      const rest = this.bytes(length);
      const path = Buffer.allocUnsafe(shared + length);
      previous.copy(path, 0, 0, shared);
      rest.copy(path, shared);
      paths.push(path);
      previous = path;
    }
    return paths;
  }

  /** Whether `count` items of at least `bytes` each can be there at all: before memory is taken for them. */
  requireRoom(count: number, bytes: number): void {
    if (count * bytes > this.#bytes.length - this.#at) throw broken("it is cut off");
  }

  requireEnd(): void {
    if (this.#at !== this.#bytes.length) throw broken("there is more in it than it says");
  }
}

const tooMany = () => new Error("there are too many entries for one archive's index");

const broken = (what: string) => new DamagedArtifact(`its index: ${what}`);
