import { constants, zstdCompressSync } from "node:zlib";
import type { IndexEntry } from "./archive-index.ts";
import { DamagedArtifact, NewerFormat } from "./damaged.ts";
import { errorCode } from "./error-code.ts";
import { isXxh64 } from "./file-sum.ts";
import { decodeOnce } from "./frame-decoder.ts";
import type { TarEntry } from "./tar-entry.ts";

/*
 * A zstd skippable frame, which every zstd decoder passes over. In it: segments of up to 4,096 entries each (8,192 in
 * older ones), compressed one by one, so that neither the writer nor the reader holds more than one of them unpacked; a
 * directory, compressed; a footer of fixed size, by which the index is found from the end of the file. All numbers are
 * little-endian.
 *
 * A segment holds its columns one after the other: numbers of fixed width, then targets of the links, then paths, each as
 * what it shares with the path before it and the rest. Formats 4 and 6 have segments that are taken over from the base as
 * they are, which the directory says: where they lead to is in the base. In 3 and 4 the sum of a file is a CRC-32; from 5 on an
 * entry's type says whether it is that or XXH64, for a differential backup may stand on an older one. Formats 1 and 2 had other
 * columns, and are not read.
 */
export const frameMagic = 0x184d2a5b;
export const frameHeaderBytes = 8;
const footerMagic = Buffer.from("BkpXIdx\0", "latin1");
const formats = { plain: 5, withKept: 6 };
const oldestFormat = 3;
/** What is beyond is no number of a format, but damage. */
const mostPlausibleFormat = 15;
/** In the directory, with the number of a segment's entries: it is the base's. */
export const keptFlag = 0x80000000;
export const footerBytes = 28;
/** Two threads share the segments of a base: with larger ones, one of the two waits at the end. */
export const segmentEntries = 4096;
export const maxSegmentEntries = 8192;
export const segmentTextBytes = 4 * 1024 * 1024;
export const maxPathBytes = 64 * 1024;
export const maxSegmentBytes = 32 * 1024 * 1024;
export const maxDirectoryBytes = 256 * 1024 * 1024;
export const maxIndexBytes = 1024 * 1024 * 1024;
/** Of the SHA-256 by which a differential backup knows its base. */
export const baseHashBytes = 32;

export const types: readonly TarEntry["type"][] = [
  "file",
  "link",
  "symlink",
  "directory",
  "char",
  "block",
  "fifo",
];
/** An entry's code is its type's place in that list; files have other codes if they are sparse, or their sum is XXH64. */
const sparseCode = types.length;
const fileXxh64Code = sparseCode + 1;
const sparseXxh64Code = sparseCode + 2;
export const lastCode = sparseXxh64Code;

export function codeOf({ type, sparse, sum }: Pick<IndexEntry, "type" | "sparse" | "sum">): number {
  if (type !== "file") return types.indexOf(type);
  if (sum !== null && isXxh64(sum)) return sparse ? sparseXxh64Code : fileXxh64Code;
  return sparse ? sparseCode : 0;
}

/** Widths of the fixed columns, in their order. */
export const widths = {
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
  sum: 4,
} as const;
export type Columns = Record<keyof typeof widths, number>;
export const rowBytes = Object.values(widths).reduce((sum, width) => sum + width, 0);

/**
 * Where each column of a segment of so many entries begins. A row's number is looked for there by the column's own property,
 * not by one function that takes its name, which V8 cannot see through: that took a third of the time of reading an index.
 */
export function columnsOf(count: number): Columns {
  let at = 0;
  const columns: Partial<Columns> = {};
  for (const [name, width] of Object.entries(widths)) {
    columns[name as keyof Columns] = at;
    at += width * count;
  }
  return columns as Columns;
}

export const isLink = (type: TarEntry["type"]): boolean => type === "link" || type === "symlink";
export const isFileCode = (code: number): boolean => code === 0 || code >= sparseCode;
export const isSparseCode = (code: number): boolean => code === sparseCode || code === sparseXxh64Code;
export const hasXxh64 = (code: number): boolean => code >= fileXxh64Code;
export const typeOfCode = (code: number): TarEntry["type"] =>
  isFileCode(code) ? "file" : (types[code] as TarEntry["type"]);
export const isLinkCode = (code: number): boolean => code === 1 || code === 2;

export type Footer = {
  frameBytes: number;
  directoryBytes: number;
  directoryPlainBytes: number;
  segments: number;
};

/** The footer at the end of `bytes`; null when there is none. */
export function readFooter(bytes: Buffer): Footer | null {
  if (bytes.length < footerBytes) return null;
  const footer = bytes.subarray(bytes.length - footerBytes);
  if (!footer.subarray(20).equals(footerMagic)) return null;
  const version = footer.readUInt32LE(16);
  if (version > formats.withKept && version <= mostPlausibleFormat)
    throw new NewerFormat(
      `its index is of the format ${version}, and this agent knows up to ${formats.withKept}`,
    );
  if (version < oldestFormat || version > formats.withKept)
    throw broken(`it is of the format ${version}, which there is not or no longer`);
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

export function writeFooter(footer: Buffer, { hasKept, ...what }: Footer & { hasKept: boolean }): void {
  footer.writeUInt32LE(what.frameBytes, 0);
  footer.writeUInt32LE(what.directoryBytes, 4);
  footer.writeUInt32LE(what.directoryPlainBytes, 8);
  footer.writeUInt32LE(what.segments, 12);
  // An agent that knows only the first of the two can still read what needs no other.
  footer.writeUInt32LE(hasKept ? formats.withKept : formats.plain, 16);
  footerMagic.copy(footer, 20);
}

const packing = { params: { [constants.ZSTD_c_checksumFlag]: 1 } };

export const pack = (plain: Buffer): Buffer => zstdCompressSync(plain, packing);

export function unpack(packed: Uint8Array, plainBytes: number): Buffer {
  const plain = decodeOnce(packed, plainBytes, (error) => broken(errorCode(error)));
  if (plain === null) throw broken("a part of it has not the size that it says");
  return plain;
}

export const broken = (what: string) => new DamagedArtifact(`its index: ${what}`);
