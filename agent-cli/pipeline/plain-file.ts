import type { Member } from "./segments.ts";
import { blockBytes, headerSum } from "./tar.ts";
import type { TarEntry } from "./tar-entry.ts";

/** A file of an archive, and where its content stands in the bytes that it was read from. */
export type PlainFile = { entry: TarEntry; contentAt: number };

/**
 * Reads the headers of a file as nearly all of them are: ustar's own, and before it at most the precise time. Each field is
 * taken from where it lies, which costs a quarter of what reading any header costs. Null for whatever is otherwise in the
 * least: the strict reader sees to that, and says what is wrong with it. The whole member must be in `bytes`, from `at` on.
 */
export function readPlainFile(bytes: Buffer, at: number, member: Member): PlainFile | null {
  const precise = bytes[at + 156] === letterX ? preciseTime(bytes, at) : null;
  const header = bytes[at + 156] === letterX ? at + 2 * blockBytes : at;
  const contentAt = header + blockBytes;
  if (precise === -1n || contentAt > bytes.length || !isFileHeader(bytes, header)) return null;
  const end = at + member.to - member.from;
  const { size } = member;
  if (contentAt + Math.ceil(size / blockBytes) * blockBytes !== end) return null;
  if (octal(bytes, header + 124, 11) !== size || !hasName(bytes, header, member.path)) return null;
  const [mode, uid, gid] = [
    octal(bytes, header + 100, 7),
    octal(bytes, header + 108, 7),
    octal(bytes, header + 116, 7),
  ];
  const seconds = octal(bytes, header + 136, 11);
  if (mode < 0 || uid < 0 || gid < 0 || seconds < 0) return null;
  const entry: TarEntry = {
    path: member.path.subarray(1),
    type: "file",
    mode: mode & 0o7777,
    uid,
    gid,
    userName: null,
    groupName: null,
    size,
    mtimeNs: precise ?? BigInt(seconds) * nsPerSecond,
    linkPath: null,
    devMajor: 0,
    devMinor: 0,
    sparse: null,
  };
  return { entry, contentAt };
}

const letterX = 0x78;
const zeroDigit = 0x30;
const newline = 0x0a;
const nsPerSecond = 1_000_000_000n;
const magic = text("ustar\0");
/** "30 mtime=1700000000.123456789\n" */
const timeRecord = { key: text("30 mtime="), seconds: 10, fraction: 9, bytes: 30 };

/** The header before a precise time that was found right last: it is the same for every file. */
let knownHeader: Buffer | null = null;

/** The time in a PAX header that holds nothing else, to the nanosecond; -1 for any other. */
function preciseTime(bytes: Buffer, at: number): bigint {
  const body = at + blockBytes;
  const { key, seconds, fraction } = timeRecord;
  if (body + blockBytes > bytes.length || !isTimeHeader(bytes, at) || !has(bytes, body, key)) return -1n;
  const whole = decimal(bytes, body + key.length, seconds);
  const point = body + key.length + seconds;
  const part = decimal(bytes, point + 1, fraction);
  const isRecord = bytes[point] === 0x2e && bytes[point + 1 + fraction] === newline;
  return isRecord && whole >= 0 && part >= 0 ? BigInt(whole) * nsPerSecond + BigInt(part) : -1n;
}

function isTimeHeader(bytes: Buffer, at: number): boolean {
  if (knownHeader !== null && bytes.compare(knownHeader, 0, blockBytes, at, at + blockBytes) === 0)
    return true;
  if (!isHeader(bytes, at) || octal(bytes, at + 124, 11) !== timeRecord.bytes) return false;
  knownHeader = Buffer.from(bytes.subarray(at, at + blockBytes));
  return true;
}

/** A header of a regular file without a prefix before its name. */
const isFileHeader = (bytes: Buffer, at: number): boolean =>
  bytes[at + 156] === zeroDigit && bytes[at + 345] === 0 && isHeader(bytes, at);

const isHeader = (bytes: Buffer, at: number): boolean =>
  has(bytes, at + 257, magic) && octal(bytes, at + 148, 6) === headerSum(bytes, at);

/** Whether the header's name is this absolute path without its first slash. */
function hasName(bytes: Buffer, header: number, path: Buffer): boolean {
  const length = path.length - 1;
  const isWhole = length === 100 || (length > 0 && length < 100 && bytes[header + length] === 0);
  return isWhole && bytes.compare(path, 1, path.length, header, header + length) === 0;
}

/** A few bytes are compared sooner here than a call of Node's would take. */
function has(bytes: Buffer, at: number, wanted: Buffer): boolean {
  for (let i = 0; i < wanted.length; i += 1) if (bytes[at + i] !== wanted[i]) return false;
  return true;
}

function text(latin1: string): Buffer {
  return Buffer.from(latin1, "latin1");
}

const octal = (bytes: Buffer, at: number, digits: number): number => number(bytes, at, digits, 8);
const decimal = (bytes: Buffer, at: number, digits: number): number => number(bytes, at, digits, 10);

/** So many digits and nothing else; -1 for what is none. */
function number(bytes: Buffer, at: number, digits: number, base: number): number {
  let value = 0;
  for (let i = at; i < at + digits; i += 1) {
    const digit = (bytes[i] as number) - zeroDigit;
    if (digit < 0 || digit >= base) return -1;
    value = value * base + digit;
  }
  return value;
}
