import { createHash } from "node:crypto";
import { DamagedArtifact } from "./damaged.ts";
import type { FileSum } from "./file-sum.ts";
import { BytesIn } from "./index-bytes.ts";
import { IndexEntries, type Segment } from "./index-entries.ts";
import {
  baseHashBytes,
  broken,
  footerBytes,
  frameHeaderBytes,
  frameMagic,
  keptFlag,
  maxDirectoryBytes,
  maxSegmentBytes,
  maxSegmentEntries,
  readFooter,
  unpack,
} from "./index-format.ts";
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
  sum: FileSum | null;
  /** Where its first header block, PAX included, stands in this artifact's tar stream; -1: unchanged, in the base. */
  tarOffset: number;
};

/** An entry without what only the next backup asks for. */
export type IndexMember = Omit<IndexEntry, "ctimeNs" | "dev" | "ino">;

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
  const segments = readTable(
    reader,
    footer.segments,
    frame.subarray(frameHeaderBytes, directoryAt),
    base !== null,
  );
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

function readBase(reader: BytesIn): IndexBase | null {
  const recordId = reader.double();
  const hash = reader.bytes(baseHashBytes);
  if (hash.every((byte) => byte === 0)) return null;
  if (!Number.isSafeInteger(recordId) || recordId < 0) throw broken("it has an impossible base");
  return { recordId, sha256: hash.toString("hex") };
}

function readTable(reader: BytesIn, count: number, body: Buffer, hasBase: boolean): Segment[] {
  reader.requireRoom(count, 12);
  const segments: Segment[] = [];
  let at = 0;
  let first = 0;
  for (let i = 0; i < count; i += 1) {
    const packedBytes = reader.uint32();
    const plainBytes = reader.uint32();
    const countAndFlag = reader.uint32();
    const kept = countAndFlag >= keptFlag;
    const entries = kept ? countAndFlag - keptFlag : countAndFlag;
    const possible = entries > 0 && entries <= maxSegmentEntries && plainBytes <= maxSegmentBytes;
    if (kept && !hasBase) throw broken("it has a base's segment, and no base");
    if (!possible || at + packedBytes > body.length) throw broken("it has an impossible segment");
    segments.push({ packed: body.subarray(at, at + packedBytes), plainBytes, count: entries, first, kept });
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
