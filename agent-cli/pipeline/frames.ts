import { availableParallelism } from "node:os";
import { promisify } from "node:util";
import { constants, gzip, zstdCompress } from "node:zlib";
import { gunzipMembers } from "./gunzip.ts";
import { mapInOrder } from "./map-in-order.ts";
import type { Compression } from "./pipeline.ts";
import { type SlabPool, slabBytes } from "./slabs.ts";
import { decodeZstd } from "./unzstd.ts";

/** gzip has a window of 32 KiB, so smaller members lose nothing. */
const zstdFrameBytes = slabBytes;
const gzipMemberBytes = 1024 * 1024;
const defaultLevel = { zstd: 1, gzip: 6 };
const levelRange = { zstd: [1, 22], gzip: [1, 9] } as const;

/** Node compresses on four threads, however many cores there are; more frames in flight would only cost memory. */
const maxThreads = 4;

/** Two more than can be worked on, so that no core waits while the next slab is being filled. */
const framesInFlight = (): number => Math.min(availableParallelism(), maxThreads) + 2;

const compressZstd = promisify(zstdCompress);
const compressGzip = promisify(gzip);

/**
 * Compresses a stream into what the standard tools read: independent zstd frames, independent gzip members, or as it is.
 * Pieces are compressed in parallel and come out in order; memory is bounded whatever the length. What was compressed
 * goes back to `slabs`, so the source must not look at a chunk again that it has handed out.
 */
export function compress(
  source: AsyncIterable<Uint8Array>,
  compression: Compression,
  level: number | null,
  slabs: SlabPool,
): AsyncIterable<Uint8Array> {
  switch (compression) {
    case "none":
      return source;
    case "gzip": {
      const options = { level: checkedLevel("gzip", level) };
      return mapInOrder(
        inPieces(source, gzipMemberBytes, () => Buffer.allocUnsafeSlow(gzipMemberBytes)),
        framesInFlight(),
        (piece) => compressGzip(piece, options),
      );
    }
    case "zstd": {
      const options = zstdOptions(checkedLevel("zstd", level));
      // A whole frame per call: the stream class loses data with workers and adds empty frames of its own.
      const packFrame = async (piece: Uint8Array) => {
        const sizes = { pledgedSrcSize: piece.length, chunkSize: zstdBound(piece.length) };
        const frame = await compressZstd(piece, { ...options, ...sizes });
        slabs.give(piece);
        return frame;
      };
      return mapInOrder(
        inPieces(source, zstdFrameBytes, () => slabs.take()),
        framesInFlight(),
        packFrame,
      );
    }
  }
}

/** The reverse of `compress`, for any stream of that format. Damage or a missing end throws `DamagedArtifact`. */
export function decompress(
  source: AsyncIterable<Uint8Array>,
  compression: Compression,
): AsyncIterable<Uint8Array> {
  switch (compression) {
    case "none":
      return source;
    case "gzip":
      return gunzipMembers(source);
    case "zstd":
      return decodeZstd(source, framesInFlight());
  }
}

function checkedLevel(compression: "zstd" | "gzip", level: number | null): number {
  const value = level ?? defaultLevel[compression];
  const [min, max] = levelRange[compression];
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new Error(`compression level ${value} is not one of ${compression} (${min} to ${max})`);
}

function zstdOptions(level: number) {
  return {
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_checksumFlag]: 1,
      [constants.ZSTD_c_contentSizeFlag]: 1,
    },
  };
}

/** The most that zstd can make of so many bytes: with it as chunk size, the output is one piece. */
const zstdBound = (size: number): number => size + Math.ceil(size / 128) + 1024;

/** The same bytes in pieces of exactly `size`, the last one shorter; at least one piece, if an empty one. */
async function* inPieces(
  source: AsyncIterable<Uint8Array>,
  size: number,
  allocate: () => Buffer,
): AsyncGenerator<Uint8Array> {
  let piece: Buffer | null = null;
  let used = 0;
  let any = false;
  for await (const chunk of source) {
    let rest = chunk;
    while (rest.length > 0) {
      any = true;
      if (piece === null && rest.length >= size) {
        yield rest.subarray(0, size);
        rest = rest.subarray(size);
        continue;
      }
      piece ??= allocate();
      const part = rest.subarray(0, size - used);
      piece.set(part, used);
      used += part.length;
      rest = rest.subarray(part.length);
      if (used < size) continue;
      yield piece;
      piece = null;
      used = 0;
    }
  }
  if (piece) yield piece.subarray(0, used);
  else if (!any) yield Buffer.alloc(0);
}
