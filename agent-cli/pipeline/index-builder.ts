import type { IndexBase, IndexEntry, IndexFrame } from "./archive-index.ts";
import { bitsOf, type FileSum } from "./file-sum.ts";
import type { PackedSegment } from "./index-entries.ts";
import {
  baseHashBytes,
  type Columns,
  codeOf,
  columnsOf,
  footerBytes,
  frameHeaderBytes,
  frameMagic,
  isLink,
  keptFlag,
  maxDirectoryBytes,
  maxIndexBytes,
  maxPathBytes,
  pack,
  rowBytes,
  segmentEntries,
  segmentTextBytes,
  widths,
  writeFooter,
} from "./index-format.ts";

const fullColumns = columnsOf(segmentEntries);

/** Takes entries one by one and keeps them packed, some 60 bytes each. */
export class ArchiveIndexBuilder {
  readonly #fixed = Buffer.allocUnsafeSlow(rowBytes * segmentEntries);
  /** A view writes 64-bit numbers at once, where a buffer's own calls take them apart. */
  readonly #view = new DataView(this.#fixed.buffer);
  readonly #links = new GrowingBytes();
  readonly #paths = new PathList();
  readonly #frames = new GrowingBytes();
  readonly #deleted = new PathList();
  readonly #segments: Uint8Array[] = [];
  readonly #table = new GrowingBytes();
  #count = 0;
  #hasKept = false;
  #frameCount = 0;
  #deletedCount = 0;

  /** Its path must not be written to afterwards, the rest of it may be. */
  add(entry: IndexEntry): void {
    const row = this.#count;
    const at = fullColumns;
    const view = this.#view;
    view.setUint8(at.type + row * widths.type, codeOf(entry));
    view.setUint16(at.mode + row * widths.mode, entry.mode, true);
    view.setUint32(at.uid + row * widths.uid, entry.uid, true);
    view.setUint32(at.gid + row * widths.gid, entry.gid, true);
    view.setFloat64(at.size + row * widths.size, entry.size, true);
    view.setBigInt64(at.mtime + row * widths.mtime, entry.mtimeNs, true);
    // Mostly the same as the other time, and then nothing to store.
    view.setBigInt64(at.ctime + row * widths.ctime, entry.ctimeNs - entry.mtimeNs, true);
    view.setBigUint64(at.dev + row * widths.dev, entry.dev, true);
    view.setBigUint64(at.ino + row * widths.ino, entry.ino, true);
    view.setFloat64(at.tarOffset + row * widths.tarOffset, entry.tarOffset, true);
    view.setUint32(at.sum + row * widths.sum, entry.type === "file" ? bitsOf(requireSum(entry)) : 0, true);
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

  /** A segment of the base in which nothing has changed: it is taken over as it is. */
  addUnchanged({ packed, plainBytes, count }: PackedSegment): void {
    if (this.#count > 0) this.#closeSegment();
    this.#addSegment(packed, plainBytes, count | keptFlag);
    this.#hasKept = true;
  }

  #addSegment(packed: Uint8Array, plainBytes: number, countAndFlag: number): void {
    this.#segments.push(packed);
    for (const number of [packed.length, plainBytes, countAndFlag >>> 0]) this.#table.uint32(number);
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
    const around = [Buffer.alloc(frameHeaderBytes), Buffer.alloc(footerBytes)] as const;
    const frame = Buffer.concat([around[0], ...this.#segments, directory, around[1]]);
    if (frame.length > maxIndexBytes || plain.length > maxDirectoryBytes) throw tooMany();
    frame.writeUInt32LE(frameMagic, 0);
    frame.writeUInt32LE(frame.length - frameHeaderBytes, 4);
    writeFooter(frame.subarray(frame.length - footerBytes), {
      frameBytes: frame.length,
      directoryBytes: directory.length,
      directoryPlainBytes: plain.length,
      segments: this.#segments.length,
      hasKept: this.#hasKept,
    });
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
    const plain = Buffer.concat([...columns, this.#links.take(), this.#paths.take()]);
    this.#addSegment(pack(plain), plain.length, count);
    this.#count = 0;
  }

  #directory(base: IndexBase | null): Buffer {
    const counts = Buffer.alloc(16);
    counts.writeUInt32LE(this.#frameCount, 0);
    counts.writeUInt32LE(this.#deletedCount, 4);
    counts.writeDoubleLE(base?.recordId ?? 0, 8);
    const baseHash = base ? Buffer.from(base.sha256, "hex") : Buffer.alloc(baseHashBytes);
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

function requireSum({ sum, path }: IndexEntry): FileSum {
  if (sum === null) throw new Error(`the file ${path} has no checksum`);
  return sum;
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

const tooMany = () => new Error("there are too many entries for one archive's index");
