import type { BigIntStats } from "node:fs";
import type { IndexEntry, IndexMember } from "./archive-index.ts";
import { sumFromBits } from "./file-sum.ts";
import { BytesIn } from "./index-bytes.ts";
import {
  broken,
  type Columns,
  columnsOf,
  hasXxh64,
  isFileCode,
  isLinkCode,
  isSparseCode,
  lastCode,
  maxPathBytes,
  rowBytes,
  segmentTextBytes,
  typeOfCode,
  unpack,
  widths,
} from "./index-format.ts";
import type { TarEntry } from "./tar-entry.ts";

/** Entries that were packed together. */
export type PackedSegment = { packed: Uint8Array; plainBytes: number; count: number };
/** The same in an index; `first` is the position of the first of them. A `kept` one is as it stands in the base. */
export type Segment = PackedSegment & { first: number; kept: boolean };

/** The entries of a segment in their order, read from where they lie: nothing is made of those that nobody asks for. */
export class EntryReader {
  readonly count: number;
  readonly #plain: Buffer;
  readonly #view: DataView;
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
    this.#view = viewOf(this.#plain);
    this.#columns = columnsOf(count);
    const start = new BytesIn(this.#plain);
    const codesOfRows = start.bytes(rowBytes * count).subarray(0, count);
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
    return typeOfCode(this.#plain[this.#row] as number);
  }

  get linkPath(): Buffer | null {
    return this.#linkPath;
  }

  /** Whether a file's state is the one that was noted. */
  isSame(stat: BigIntStats): boolean {
    const view = this.#view;
    const columns = this.#columns;
    const row = this.#row;
    const mtimeNs = view.getBigInt64(columns.mtime + row * widths.mtime, true);
    return (
      stat.mtimeNs === mtimeNs &&
      stat.ctimeNs ===
        BigInt.asIntN(64, mtimeNs + view.getBigInt64(columns.ctime + row * widths.ctime, true)) &&
      stat.ino === view.getBigUint64(columns.ino + row * widths.ino, true) &&
      (this.type !== "file" ||
        Number(stat.size) === view.getFloat64(columns.size + row * widths.size, true)) &&
      (Number(stat.mode) & 0o7777) === view.getUint16(columns.mode + row * widths.mode, true) &&
      Number(stat.uid) === view.getUint32(columns.uid + row * widths.uid, true) &&
      Number(stat.gid) === view.getUint32(columns.gid + row * widths.gid, true)
    );
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

  /** The same without what tells the state of a file: most of the time goes to those numbers. */
  *members(): Generator<IndexMember> {
    const path = Buffer.allocUnsafeSlow(maxPathBytes);
    for (const segment of this.#segments) yield* this.#content(segment).members(path);
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
      const view = viewOf(plain);
      const { ino } = columnsOf(count);
      for (let row = 0; row < count; row += 1) {
        if (isFileCode(plain[row] as number))
          yield { position: first + row, ino: view.getBigUint64(ino + row * widths.ino, true) };
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
    const content = new SegmentContent(plain, segment, this.#tarBytes, this.#hasBase);
    this.#open = { segment, content };
    return content;
  }
}

/** Texts of all entries, for who asks for entries in any order. */
type Texts = { links: (Buffer | null)[]; paths: Buffer[] };

class SegmentContent {
  readonly #plain: Buffer;
  readonly #count: number;
  readonly #view: DataView;
  readonly #columns: Columns;
  readonly #kept: boolean;
  #texts: Texts | null = null;
  readonly #tarBytes: number;
  readonly #hasBase: boolean;

  constructor(plain: Buffer, { count, kept }: Segment, tarBytes: number, hasBase: boolean) {
    this.#plain = plain;
    this.#count = count;
    this.#view = viewOf(plain);
    this.#kept = kept;
    this.#columns = columnsOf(count);
    this.#tarBytes = tarBytes;
    this.#hasBase = hasBase;
  }

  /** In their order, each made when it is reached. The path is put together in `path`. */
  *members(path: Buffer): Generator<IndexMember> {
    const { codes, links, paths } = this.#columnsOfTexts();
    paths.requireRoom(this.#count, 2);
    let pathBytes = 0;
    for (let row = 0; row < this.#count; row += 1) {
      pathBytes = paths.nextPath(path, pathBytes);
      const link = isLinkCode(codes[row] as number) ? links.text() : null;
      yield this.#member(row, Buffer.from(path.subarray(0, pathBytes)), link);
    }
    paths.requireEnd();
  }

  entry(row: number): IndexEntry {
    const view = this.#view;
    const columns = this.#columns;
    this.#texts ??= this.#readTexts();
    const { links, paths } = this.#texts;
    const member = this.#member(row, paths[row] as Buffer, links[row] ?? null);
    return {
      ...member,
      ctimeNs: BigInt.asIntN(64, member.mtimeNs + view.getBigInt64(columns.ctime + row * widths.ctime, true)),
      dev: view.getBigUint64(columns.dev + row * widths.dev, true),
      ino: view.getBigUint64(columns.ino + row * widths.ino, true),
    };
  }

  /** Where each column of texts begins. */
  #columnsOfTexts(): { codes: Buffer; links: BytesIn; paths: BytesIn } {
    const paths = new BytesIn(this.#plain);
    const codes = paths.bytes(rowBytes * this.#count).subarray(0, this.#count);
    if (codes.some((code) => code > lastCode)) throw broken("it has an entry of an unknown type");
    const links = paths.copy();
    for (const code of codes) if (isLinkCode(code)) paths.text();
    return { codes, links, paths };
  }

  #readTexts(): Texts {
    const { codes, links, paths } = this.#columnsOfTexts();
    const texts: Texts = { links: [], paths: paths.paths(this.#count, 2 * segmentTextBytes) };
    for (const code of codes) texts.links.push(isLinkCode(code) ? links.text() : null);
    paths.requireEnd();
    return texts;
  }

  #member(row: number, path: Buffer, linkPath: Buffer | null): IndexMember {
    const view = this.#view;
    const columns = this.#columns;
    const code = view.getUint8(columns.type + row * widths.type);
    return {
      path,
      type: typeOfCode(code),
      sparse: isSparseCode(code),
      size: this.#size(view.getFloat64(columns.size + row * widths.size, true)),
      mode: view.getUint16(columns.mode + row * widths.mode, true) & 0o7777,
      uid: view.getUint32(columns.uid + row * widths.uid, true),
      gid: view.getUint32(columns.gid + row * widths.gid, true),
      mtimeNs: view.getBigInt64(columns.mtime + row * widths.mtime, true),
      linkPath,
      sum: isFileCode(code)
        ? sumFromBits(view.getUint32(columns.sum + row * widths.sum, true), hasXxh64(code))
        : null,
      tarOffset: this.#kept
        ? -1
        : this.#tarOffset(view.getFloat64(columns.tarOffset + row * widths.tarOffset, true)),
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

/** A view reads 64-bit numbers at once, where a buffer's own calls put them together. */
const viewOf = ({ buffer, byteOffset, length }: Buffer) => new DataView(buffer, byteOffset, length);
