import { type SlabSource, slabBytes } from "./slabs.ts";
import type { TarEntry } from "./tar-entry.ts";

export const blockBytes = 512;

const maxOctal7 = 0o7777777;
const maxOctal11 = 0o77777777777;
const nsPerSecond = 1_000_000_000n;
const recordBytes = 10_240;
const zeroDigit = 48;
const zeroBlock = Buffer.alloc(blockBytes);

const typeFlags: Record<TarEntry["type"], string> = {
  file: "0",
  link: "1",
  symlink: "2",
  char: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};

/**
 * Writes a tar stream (ustar, with PAX records only for what ustar cannot say) into slabs.
 *
 * It is synchronous on purpose: a tree of small files is packed without one promise per file. The producer reads file
 * content straight into `slab` at `used`, calls `advance`, and hands on what `take` returns.
 */
export class TarWriter {
  used = 0;
  /** Bytes of the archive so far. */
  written = 0;
  #slab: Buffer | null = null;
  #full: Buffer[] = [];
  readonly #patterns = new Map<number, Pattern>();
  readonly #slabs: SlabSource;

  constructor(slabs: SlabSource) {
    this.#slabs = slabs;
  }

  /** It is taken when it is first needed: a writer that has handed on all that it wrote holds none. */
  get slab(): Buffer {
    this.#slab ??= this.#slabs.take();
    return this.#slab;
  }

  get room(): number {
    return slabBytes - this.used;
  }

  /** Slabs that are complete; they belong to the caller. */
  take(): Buffer[] {
    const full = this.#full;
    if (full.length > 0) this.#full = [];
    return full;
  }

  /** Says that `bytes` bytes were put into `slab` at `used`. */
  advance(bytes: number): void {
    this.used += bytes;
    this.written += bytes;
    if (this.used === slabBytes) this.flush();
  }

  /** Makes what was written complete, so that `take` hands it out. */
  flush(): void {
    if (this.used === 0) return;
    this.#full.push(this.slab.subarray(0, this.used));
    this.used = 0;
    this.#slab = null;
  }

  /** Sees to it that the next `bytes` bytes come into one slab. */
  makeRoom(bytes: number): void {
    if (this.room < bytes) this.flush();
  }

  write(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; ) {
      const count = Math.min(bytes.length - from, this.room);
      this.slab.set(bytes.subarray(from, from + count), this.used);
      this.advance(count);
      from += count;
    }
  }

  /** Zeros, at most one slab of them at a time, so that the caller can hand slabs on in between. */
  writeZeros(bytes: number): number {
    const count = Math.min(bytes, this.room);
    this.slab.fill(0, this.used, this.used + count);
    this.advance(count);
    return count;
  }

  writeHeader(entry: TarEntry): void {
    const seconds = Number(entry.mtimeNs / nsPerSecond);
    if (isPlain(entry, seconds) && this.room >= 3 * blockBytes) this.#writePlain(entry, seconds);
    else this.#writeAny(entry);
  }

  /** What nearly every header is, made in place from the one before it. */
  #writePlain(entry: TarEntry, seconds: number): void {
    const { slab } = this;
    const at = this.used;
    const nanos = Number(entry.mtimeNs % nsPerSecond);
    const header = nanos === 0 ? at : at + 2 * blockBytes;
    if (nanos !== 0) fillPreciseTime(slab, at, seconds, nanos);
    fillFromPattern(slab, header, this.#patternFor(entry), entry, seconds);
    this.advance(header + blockBytes - at);
  }

  /** The last one of the same type and mode, if all else fits too. There are a few dozen of them in a large tree. */
  #patternFor(entry: TarEntry): Pattern {
    const kind = entry.mode * typeFlagRange + typeFlags[entry.type].charCodeAt(0);
    const known = this.#patterns.get(kind);
    if (known && fitsPattern(known, entry)) return known;
    if (this.#patterns.size >= mostPatterns) this.#patterns.clear();
    const made = patternOf(entry);
    this.#patterns.set(kind, made);
    return made;
  }

  #writeAny(entry: TarEntry): void {
    const records = paxRecords(entry);
    if (records.length > 0) this.#writePax(Buffer.concat(records));
    if (this.room < blockBytes) {
      const header = Buffer.alloc(blockBytes);
      fillHeader(header, 0, entry);
      this.write(header);
      return;
    }
    fillHeader(this.slab, this.used, entry);
    this.advance(blockBytes);
  }

  /** Pads to the next block after content of `size` bytes. */
  pad(size: number): void {
    const missing = (blockBytes - (size % blockBytes)) % blockBytes;
    if (missing === 0) return;
    if (this.room < missing) return this.write(zeroBlock.subarray(0, missing));
    const { slab, used } = this;
    slab.fill(0, used, used + missing);
    this.advance(missing);
  }

  /** End of archive: two zero blocks, then zeros to a full record as other tars write it. */
  finish(): Buffer[] {
    this.write(zeroBlock);
    this.write(zeroBlock);
    const rest = this.written % recordBytes;
    if (rest > 0) this.write(Buffer.alloc(recordBytes - rest));
    this.flush();
    return this.take();
  }

  #writePax(body: Buffer): void {
    const header = Buffer.alloc(blockBytes);
    fillPaxHeader(header, body.length);
    this.write(header);
    this.write(body);
    this.pad(body.length);
  }
}

const paxName = Buffer.from("PaxHeaders/entry");

const mostPatterns = 256;
const typeFlagRange = 128;

/** A header without what differs from one entry to the next: most have their owner and mode in common with others. */
type Pattern = { like: TarEntry; block: Buffer; sum: number };

/** Whether ustar can say all about an entry, but for the fraction of its time. */
const isPlain = (entry: TarEntry, seconds: number): boolean =>
  entry.sparse === null &&
  entry.path.length <= 100 &&
  (entry.linkPath === null || entry.linkPath.length <= 100) &&
  entry.size <= maxOctal11 &&
  entry.uid <= maxOctal7 &&
  entry.gid <= maxOctal7 &&
  seconds >= 1_000_000_000 &&
  seconds <= maxOctal11;

const fitsPattern = ({ like }: Pattern, entry: TarEntry): boolean =>
  like.uid === entry.uid &&
  like.gid === entry.gid &&
  like.userName === entry.userName &&
  like.groupName === entry.groupName &&
  like.devMajor === entry.devMajor &&
  like.devMinor === entry.devMinor;

const noBytes = Buffer.alloc(0);

function patternOf(entry: TarEntry): Pattern {
  const block = Buffer.alloc(blockBytes);
  fillHeader(block, 0, { ...entry, path: noBytes, linkPath: null, size: 0, mtimeNs: 0n });
  return { like: entry, block, sum: headerSum(block, 0) };
}

function fillFromPattern(slab: Buffer, at: number, pattern: Pattern, entry: TarEntry, seconds: number): void {
  const { path, linkPath, size } = entry;
  slab.set(pattern.block, at);
  let sum = pattern.sum + setBytes(slab, at, path);
  if (linkPath) sum += setBytes(slab, at + 157, linkPath);
  sum += writeOctal(slab, at + 124, 12, size) + writeOctal(slab, at + 136, 12, seconds);
  // The pattern has zeros in digits there, each of which counts as one.
  writeOctal(slab, at + 148, 7, sum - 2 * 11 * zeroDigit);
}

function setBytes(slab: Buffer, at: number, bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 1) {
    const byte = bytes[i] as number;
    slab[at + i] = byte;
    sum += byte;
  }
  return sum;
}

const timeRecord = Buffer.from("30 mtime=0000000000.000000000\n");

/** A PAX header with nothing but a time of ten digits and nine; the header itself is always the same. */
const preciseTime = (() => {
  const blocks = Buffer.alloc(2 * blockBytes);
  fillPaxHeader(blocks, timeRecord.length);
  timeRecord.copy(blocks, blockBytes);
  return blocks;
})();

function fillPreciseTime(slab: Buffer, at: number, seconds: number, nanos: number): void {
  slab.set(preciseTime, at);
  writeDecimal(slab, at + blockBytes + 9, 10, seconds);
  writeDecimal(slab, at + blockBytes + 20, 9, nanos);
}

function writeDecimal(target: Buffer, at: number, width: number, value: number): void {
  let rest = value;
  for (let i = at + width - 1; i >= at; i -= 1) {
    const next = Math.floor(rest / 10);
    target[i] = zeroDigit + (rest - 10 * next);
    rest = next;
  }
}

function fillPaxHeader(target: Buffer, size: number): void {
  fillFields(target, 0, {
    name: paxName,
    prefix: null,
    mode: 0o644,
    uid: 0,
    gid: 0,
    size,
    seconds: 0,
    flag: "x",
  });
  fillChecksum(target, 0);
}

/** The map that stands before the data of a sparse file (GNU sparse format 1.0), padded to whole blocks. */
export function encodeSparseMap(segments: readonly { offset: number; length: number }[]): Buffer {
  const lines = [String(segments.length)];
  for (const { offset, length } of segments) lines.push(String(offset), String(length));
  const text = Buffer.from(`${lines.join("\n")}\n`);
  const padding = (blockBytes - (text.length % blockBytes)) % blockBytes;
  return Buffer.concat([text, Buffer.alloc(padding)]);
}

function paxRecords(entry: TarEntry): Buffer[] {
  const records: Buffer[] = [];
  const binary: Buffer[] = [];
  const name = (key: string, value: Buffer) => {
    records.push(paxRecord(key, value));
    binary.push(value);
  };
  if (entry.sparse) {
    records.push(paxRecord("GNU.sparse.major", "1"), paxRecord("GNU.sparse.minor", "0"));
    name("GNU.sparse.name", entry.path);
    records.push(paxRecord("GNU.sparse.realsize", String(entry.sparse.realSize)));
  } else if (splitName(entry.path) === null) name("path", entry.path);
  if (entry.linkPath && entry.linkPath.length > 100) name("linkpath", entry.linkPath);
  if (entry.size > maxOctal11) records.push(paxRecord("size", String(entry.size)));
  if (entry.uid > maxOctal7) records.push(paxRecord("uid", String(entry.uid)));
  if (entry.gid > maxOctal7) records.push(paxRecord("gid", String(entry.gid)));
  if (needsPaxTime(entry.mtimeNs)) records.push(paxRecord("mtime", decimalSeconds(entry.mtimeNs)));
  // PAX values are UTF-8 unless the header says otherwise; file names can be any bytes.
  if (binary.some((value) => !isUtf8Text(value))) records.unshift(paxRecord("hdrcharset", "BINARY"));
  return records;
}

const isUtf8Text = (bytes: Buffer): boolean => Buffer.from(bytes.toString()).equals(bytes);

/** `<length> <key>=<value>\n`, where the length counts itself. */
function paxRecord(key: string, value: string | Buffer): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  const rest = key.length + bytes.length + 3;
  let total = rest + String(rest).length;
  if (String(total).length > String(rest).length) total = rest + String(total).length;
  return Buffer.concat([Buffer.from(`${total} ${key}=`), bytes, newline]);
}

const newline = Buffer.from("\n");

function needsPaxTime(mtimeNs: bigint): boolean {
  return mtimeNs < 0n || mtimeNs % nsPerSecond !== 0n || mtimeNs / nsPerSecond > BigInt(maxOctal11);
}

function decimalSeconds(ns: bigint): string {
  const size = ns < 0n ? -ns : ns;
  const fraction = String(size % nsPerSecond).padStart(9, "0");
  return `${ns < 0n ? "-" : ""}${size / nsPerSecond}.${fraction}`;
}

function fillHeader(target: Buffer, at: number, entry: TarEntry): void {
  const fitting = entry.sparse ? null : splitName(entry.path);
  const seconds = needsPaxTime(entry.mtimeNs)
    ? wholeSeconds(entry.mtimeNs)
    : Number(entry.mtimeNs / nsPerSecond);
  fillFields(target, at, {
    name: fitting?.name ?? shortenedName(entry.path),
    prefix: fitting?.prefix ?? null,
    mode: entry.mode,
    uid: entry.uid > maxOctal7 ? 0 : entry.uid,
    gid: entry.gid > maxOctal7 ? 0 : entry.gid,
    size: entry.size > maxOctal11 ? 0 : entry.size,
    seconds,
    flag: typeFlags[entry.type],
  });
  entry.linkPath?.copy(target, at + 157, 0, Math.min(100, entry.linkPath.length));
  if (entry.userName) target.write(entry.userName, at + 265, 31);
  if (entry.groupName) target.write(entry.groupName, at + 297, 31);
  if (entry.type === "char" || entry.type === "block") {
    writeOctal(target, at + 329, 8, entry.devMajor);
    writeOctal(target, at + 337, 8, entry.devMinor);
  }
  fillChecksum(target, at);
}

const wholeSeconds = (ns: bigint): number => {
  const seconds = Number(ns / nsPerSecond);
  return seconds < 0 || seconds > maxOctal11 ? 0 : seconds;
};

type Fields = {
  name: Buffer;
  prefix: Buffer | null;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  seconds: number;
  flag: string;
};

function fillFields(target: Buffer, at: number, fields: Fields): void {
  target.fill(0, at, at + blockBytes);
  fields.name.copy(target, at);
  writeOctal(target, at + 100, 8, fields.mode);
  writeOctal(target, at + 108, 8, fields.uid);
  writeOctal(target, at + 116, 8, fields.gid);
  writeOctal(target, at + 124, 12, fields.size);
  writeOctal(target, at + 136, 12, fields.seconds);
  target[at + 156] = fields.flag.charCodeAt(0);
  target.write("ustar\x0000", at + 257, 8, "latin1");
  fields.prefix?.copy(target, at + 345);
}

/** Writes digits and a zero byte after them; says what they sum up to. */
function writeOctal(target: Buffer, at: number, width: number, value: number): number {
  let rest = value;
  let sum = 0;
  for (let i = at + width - 2; i >= at; i -= 1) {
    const next = Math.floor(rest / 8);
    const digit = zeroDigit + (rest - 8 * next);
    target[i] = digit;
    sum += digit;
    rest = next;
  }
  target[at + width - 1] = 0;
  return sum;
}

function fillChecksum(target: Buffer, at: number): void {
  target.fill(32, at + 148, at + 156);
  writeOctal(target, at + 148, 7, headerSum(target, at));
}

/** The sum of a header's bytes with its checksum field read as spaces. */
export function headerSum(block: Buffer, at: number): number {
  let sum = 8 * 32;
  for (let i = at; i < at + 148; i += 1) sum += block[i] as number;
  for (let i = at + 156; i < at + blockBytes; i += 1) sum += block[i] as number;
  return sum;
}

/** The ustar name and prefix of a path, null when it needs a PAX record. */
function splitName(path: Buffer): { name: Buffer; prefix: Buffer | null } | null {
  if (path.length <= 100) return { name: path, prefix: null };
  if (path.length > 256) return null;
  const cut = path.indexOf(47, path.length - 101);
  if (cut < 1 || cut > 155 || cut >= path.length - 1) return null;
  return { name: path.subarray(cut + 1), prefix: path.subarray(0, cut) };
}

/** What a reader without PAX would see: the end of the name, which keeps a directory's trailing slash. */
const shortenedName = (path: Buffer): Buffer => path.subarray(Math.max(0, path.length - 100));
