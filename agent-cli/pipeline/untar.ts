import { DamagedArtifact } from "./damaged.ts";
import { blockBytes, headerSum } from "./tar.ts";
import { contentSize, type TarEntry } from "./tar-entry.ts";

/** Bounds on what an archive may make us hold in memory. */
const maxMetadataBytes = 1024 * 1024;
const maxSparseMapBytes = 8 * 1024 * 1024;

/** Receives an archive's members in order. `data` comes only for files; `offset` is the position in the restored file. */
export type TarHandler = {
  entry(entry: TarEntry): void;
  /** After `entry` of a sparse file: its map, as it stands in the archive. */
  sparseMap?(map: Buffer): void;
  data(bytes: Buffer, offset: number): void;
  endEntry(): void;
};

type Segment = { offset: number; length: number };
type State =
  | { at: "header" }
  | { at: "metadata"; flag: string; size: number; parts: Buffer[]; left: number }
  | {
      at: "sparseMap";
      entry: TarEntry;
      read: number;
      map: SparseMapParser;
      blocks: Buffer[];
      block: Buffer[];
      blockLeft: number;
    }
  | { at: "data"; left: number; offset: number; segments: Segment[] | null; padding: number }
  | { at: "padding"; left: number }
  | { at: "secondZeroBlock" }
  | { at: "end" };

/**
 * Reads a tar stream, strictly: every checksum and size must fit, the end-of-archive blocks must be there, and nothing
 * but zeros may follow them. It understands ustar, PAX (with GNU sparse 1.0) and GNU's long names and large numbers.
 * Push chunks of any size, then call `end`; both throw `DamagedArtifact`. Like the writer it is synchronous.
 */
export class TarReader {
  #state: State = { at: "header" };
  #pending: Buffer = Buffer.alloc(0);
  #global: PaxRecords = new Map();
  #pax: PaxRecords | null = null;
  #longName: Buffer | null = null;
  #longLink: Buffer | null = null;
  readonly #handler: TarHandler;

  constructor(handler: TarHandler) {
    this.#handler = handler;
  }

  push(chunk: Buffer): void {
    let rest: Buffer = this.#pending.length > 0 ? Buffer.concat([this.#pending, chunk]) : chunk;
    this.#pending = Buffer.alloc(0);
    while (rest.length > 0) {
      const used = this.#step(rest);
      if (used === 0) {
        this.#pending = Buffer.from(rest);
        return;
      }
      rest = rest.subarray(used);
    }
  }

  end(): void {
    if (this.#state.at !== "end" || this.#pending.length > 0) {
      throw new DamagedArtifact("the archive stops before its end");
    }
  }

  /** Consumes some of `rest` and says how much; 0 means that it takes more bytes to go on. */
  #step(rest: Buffer): number {
    const state = this.#state;
    switch (state.at) {
      case "header":
      case "secondZeroBlock":
        if (rest.length < blockBytes) return 0;
        this.#block(rest.subarray(0, blockBytes), state.at === "secondZeroBlock");
        return blockBytes;
      case "metadata":
        return this.#metadata(state, rest);
      case "sparseMap":
        return this.#sparseMap(state, rest);
      case "data":
        return this.#data(state, rest);
      case "padding": {
        const used = Math.min(state.left, rest.length);
        state.left -= used;
        if (state.left === 0) this.#state = { at: "header" };
        return used;
      }
      case "end":
        if (!isZero(rest)) throw new DamagedArtifact("there is data after the end of the archive");
        return rest.length;
    }
  }

  #block(block: Buffer, zeroExpected: boolean): void {
    const zero = isZero(block);
    if (zeroExpected) {
      if (!zero) throw new DamagedArtifact("the end of the archive is broken");
      this.#state = { at: "end" };
    } else if (zero) {
      if (this.#pax || this.#longName || this.#longLink) throw new DamagedArtifact("a header has no member");
      this.#state = { at: "secondZeroBlock" };
    } else this.#header(block);
  }

  #header(block: Buffer): void {
    if (octal(block, 148, 8) !== headerSum(block, 0))
      throw new DamagedArtifact("a header's checksum is wrong");
    if (block.toString("latin1", 257, 262) !== "ustar")
      throw new DamagedArtifact("this is not a tar archive");
    const flag = String.fromCharCode(block[156] as number);
    if ("xgLK".includes(flag)) {
      const size = number(block, 124, 12);
      if (size === 0 || size > maxMetadataBytes) throw new DamagedArtifact("a header of an impossible size");
      this.#state = { at: "metadata", flag, size, parts: [], left: size + padding(size) };
      return;
    }
    this.#begin(this.#toEntry(block, flag));
  }

  #metadata(state: State & { at: "metadata" }, rest: Buffer): number {
    const used = Math.min(state.left, rest.length);
    state.parts.push(Buffer.from(rest.subarray(0, used)));
    state.left -= used;
    if (state.left > 0) return used;
    const body = Buffer.concat(state.parts).subarray(0, state.size);
    if (state.flag === "x") this.#pax = parsePax(body);
    else if (state.flag === "g") for (const [key, value] of parsePax(body)) this.#global.set(key, value);
    else if (state.flag === "L") this.#longName = untilNul(body);
    else this.#longLink = untilNul(body);
    this.#state = { at: "header" };
    return used;
  }

  #toEntry(block: Buffer, flag: string): TarEntry {
    const pax = (key: string) => this.#pax?.get(key) ?? this.#global.get(key);
    const type = entryType(flag);
    const size = paxNumber(pax("size")) ?? number(block, 124, 12);
    const sparse = sparseSize(pax, type);
    const own = this.#longName ?? ustarPath(block);
    const path =
      (sparse === null ? undefined : this.#pax?.get("GNU.sparse.name")) ?? this.#pax?.get("path") ?? own;
    const linkPath = this.#pax?.get("linkpath") ?? this.#longLink ?? untilNul(block.subarray(157, 257));
    const isLink = type === "link" || type === "symlink";
    if (path.length === 0 || path.includes(0)) throw new DamagedArtifact("a member has no proper name");
    if (isLink && (linkPath.length === 0 || linkPath.includes(0)))
      throw new DamagedArtifact("a link leads nowhere");
    const entry: TarEntry = {
      // A v7 archive marks a directory only by its trailing slash.
      path,
      type: type === "file" && path.at(-1) === 47 ? "directory" : type,
      mode: number(block, 100, 8) & 0o7777,
      uid: paxNumber(pax("uid")) ?? number(block, 108, 8),
      gid: paxNumber(pax("gid")) ?? number(block, 116, 8),
      userName: pax("uname")?.toString() ?? (untilNul(block.subarray(265, 297)).toString() || null),
      groupName: pax("gname")?.toString() ?? (untilNul(block.subarray(297, 329)).toString() || null),
      size: type === "file" ? size : 0,
      mtimeNs: paxTime(pax("mtime")) ?? BigInt(number(block, 136, 12)) * 1_000_000_000n,
      linkPath: isLink ? linkPath : null,
      devMajor: type === "char" || type === "block" ? number(block, 329, 8) : 0,
      devMinor: type === "char" || type === "block" ? number(block, 337, 8) : 0,
      sparse,
    };
    if (size !== 0 && (type === "symlink" || type === "link"))
      throw new DamagedArtifact("a link has content");
    this.#pax = null;
    this.#longName = null;
    this.#longLink = null;
    return entry;
  }

  #begin(entry: TarEntry): void {
    if (entry.sparse) {
      const map = new SparseMapParser();
      this.#state = { at: "sparseMap", entry, read: 0, map, blocks: [], block: [], blockLeft: blockBytes };
      return;
    }
    this.#handler.entry(entry);
    if (entry.size === 0) this.#finishEntry(0);
    else
      this.#state = { at: "data", left: entry.size, offset: 0, segments: null, padding: padding(entry.size) };
  }

  #sparseMap(state: State & { at: "sparseMap" }, rest: Buffer): number {
    const used = Math.min(state.blockLeft, rest.length);
    state.block.push(Buffer.from(rest.subarray(0, used)));
    state.blockLeft -= used;
    if (state.blockLeft > 0) return used;
    state.read += blockBytes;
    if (state.read > state.entry.size || state.read > maxSparseMapBytes) throw brokenSparse();
    const block = Buffer.concat(state.block);
    state.map.push(block);
    state.blocks.push(block);
    state.block = [];
    state.blockLeft = blockBytes;
    const segments = state.map.segments;
    if (segments) this.#beginSparse(state, segments);
    return used;
  }

  #beginSparse({ entry, read, blocks }: State & { at: "sparseMap" }, segments: Segment[]): void {
    checkSegments(segments, contentSize(entry), entry.size - read);
    this.#handler.entry(entry);
    this.#handler.sparseMap?.(Buffer.concat(blocks));
    const used = segments.filter((segment) => segment.length > 0);
    const first = used.shift();
    if (!first) {
      this.#finishEntry(0);
      return;
    }
    // Segments are consumed from the end of the list, which is cheap.
    const waiting = used.reverse();
    this.#state = {
      at: "data",
      left: first.length,
      offset: first.offset,
      segments: waiting,
      padding: padding(entry.size),
    };
  }

  #data(state: State & { at: "data" }, rest: Buffer): number {
    const used = Math.min(state.left, rest.length);
    this.#handler.data(rest.subarray(0, used), state.offset);
    state.offset += used;
    state.left -= used;
    if (state.left > 0) return used;
    const next = state.segments?.pop();
    if (next) {
      state.left = next.length;
      state.offset = next.offset;
    } else this.#finishEntry(state.padding);
    return used;
  }

  #finishEntry(paddingLeft: number): void {
    this.#state = paddingLeft > 0 ? { at: "padding", left: paddingLeft } : { at: "header" };
    this.#handler.endEntry();
  }
}

const zeros = Buffer.alloc(64 * 1024);

function isZero(bytes: Buffer): boolean {
  for (let from = 0; from < bytes.length; from += zeros.length) {
    const part = bytes.subarray(from, from + zeros.length);
    if (!part.equals(zeros.subarray(0, part.length))) return false;
  }
  return true;
}

const padding = (size: number): number => (blockBytes - (size % blockBytes)) % blockBytes;

function untilNul(field: Buffer): Buffer {
  const end = field.indexOf(0);
  // A copy: the field is a view of a chunk of megabytes that must not stay alive for a name.
  return Buffer.from(end < 0 ? field : field.subarray(0, end));
}

function ustarPath(block: Buffer): Buffer {
  const name = untilNul(block.subarray(0, 100));
  // GNU's own format ("ustar  ") keeps times where ustar has the prefix.
  if (block[262] !== 0) return name;
  const prefix = untilNul(block.subarray(345, 500));
  return prefix.length > 0 ? Buffer.concat([prefix, Buffer.from("/"), name]) : name;
}

const entryTypes: Record<string, TarEntry["type"]> = {
  "0": "file",
  "\0": "file",
  "7": "file",
  "1": "link",
  "2": "symlink",
  "3": "char",
  "4": "block",
  "5": "directory",
  "6": "fifo",
};

function entryType(flag: string): TarEntry["type"] {
  const type = entryTypes[flag];
  if (!type) throw new DamagedArtifact(`a member of the unsupported type ${JSON.stringify(flag)}`);
  return type;
}

/** A numeric field: octal text, or GNU's base-256 when the first bit is set. */
function number(block: Buffer, at: number, width: number): number {
  const first = block[at] as number;
  if ((first & 0x80) === 0) return octal(block, at, width);
  if (first !== 0x80) throw new DamagedArtifact("a header has an impossible number");
  let value = 0;
  for (let i = at + 1; i < at + width; i += 1) value = value * 256 + (block[i] as number);
  return safe(value);
}

/** Digits, with spaces before and spaces or NULs behind them; nothing at all is 0. */
function octal(block: Buffer, at: number, width: number): number {
  const end = at + width;
  let i = at;
  while (i < end && isBlank(block[i] as number)) i += 1;
  let value = 0;
  for (; i < end; i += 1) {
    const digit = (block[i] as number) - 48;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  while (i < end && isFiller(block[i] as number)) i += 1;
  if (i < end) throw new DamagedArtifact("a header has an impossible number");
  return value;
}

const isBlank = (byte: number): boolean => byte === 32 || (byte >= 9 && byte <= 13);
const isFiller = (byte: number): boolean => byte === 0 || byte === 32;

function safe(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new DamagedArtifact("a header has an impossible number");
  return value;
}

type PaxRecords = Map<string, Buffer>;

function parsePax(body: Buffer): PaxRecords {
  const records: PaxRecords = new Map();
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(32, at);
    const length = Number(body.toString("latin1", at, Math.max(at, space)) || "NaN");
    const equals = body.indexOf(61, space);
    const end = at + length;
    if (!(Number.isInteger(length) && space > at && equals > space && equals < end && body[end - 1] === 10)) {
      throw new DamagedArtifact("a PAX header is malformed");
    }
    records.set(body.toString("utf8", space + 1, equals), body.subarray(equals + 1, end - 1));
    at = end;
  }
  return records;
}

function paxNumber(value: Buffer | undefined): number | null {
  if (value === undefined) return null;
  const text = value.toString("latin1");
  if (!/^\d+$/.test(text)) throw new DamagedArtifact("a PAX header has an impossible number");
  return safe(Number(text));
}

function paxTime(value: Buffer | undefined): bigint | null {
  if (value === undefined) return null;
  const match = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(value.toString("latin1"));
  if (!match) throw new DamagedArtifact("a PAX header has an impossible time");
  const [, sign, seconds = "0", fraction = ""] = match;
  const ns = BigInt(seconds) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, "0"));
  return sign === "-" ? -ns : ns;
}

/** The real size of a file in GNU's sparse format 1.0, null for a plain file. */
function sparseSize(
  pax: (key: string) => Buffer | undefined,
  type: TarEntry["type"],
): { realSize: number } | null {
  const major = pax("GNU.sparse.major")?.toString();
  const minor = pax("GNU.sparse.minor")?.toString();
  if (major === undefined && minor === undefined) {
    if (pax("GNU.sparse.map") || pax("GNU.sparse.numblocks")) throw unsupportedSparse();
    return null;
  }
  if (major !== "1" || minor !== "0" || type !== "file") throw unsupportedSparse();
  const realSize = paxNumber(pax("GNU.sparse.realsize"));
  if (realSize === null) throw brokenSparse();
  return { realSize };
}

const unsupportedSparse = () => new DamagedArtifact("a sparse file in an unsupported format");
const brokenSparse = () => new DamagedArtifact("the map of a sparse file is broken");

/** Reads `count\n` and then `offset\nlength\n` pairs, in blocks; `segments` is set once all are there. */
class SparseMapParser {
  segments: Segment[] | null = null;
  #numbers: number[] = [];
  #rest = "";

  push(block: Buffer): void {
    const lines = (this.#rest + block.toString("latin1")).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (this.#complete()) break;
      if (!/^\d{1,16}$/.test(line)) throw brokenSparse();
      this.#numbers.push(safe(Number(line)));
    }
    if (this.#complete()) this.segments = this.#pairs();
  }

  #complete(): boolean {
    const count = this.#numbers[0];
    return count !== undefined && this.#numbers.length === 1 + 2 * count;
  }

  #pairs(): Segment[] {
    const segments: Segment[] = [];
    for (let i = 1; i < this.#numbers.length; i += 2) {
      segments.push({ offset: this.#numbers[i] ?? 0, length: this.#numbers[i + 1] ?? 0 });
    }
    return segments;
  }
}

function checkSegments(segments: Segment[], realSize: number, stored: number): void {
  let end = 0;
  let total = 0;
  for (const { offset, length } of segments) {
    if (offset < end || offset + length > realSize) throw brokenSparse();
    end = offset + length;
    total += length;
  }
  if (total !== stored) throw brokenSparse();
}
