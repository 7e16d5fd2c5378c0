import { availableParallelism } from "node:os";
import { gunzipMembers } from "./gunzip.ts";
import { mapInOrder } from "./map-in-order.ts";
import type { Frame } from "./pack-requests.ts";
import type { PackThreads } from "./pack-threads.ts";
import type { Compression } from "./pipeline.ts";
import { slabBytes } from "./slabs.ts";
import { decodeZstd } from "./unzstd.ts";

/** Node decompresses on four threads, however many cores there are; more frames in flight would only cost memory. */
const maxThreads = 4;

/** Two more than can be worked on, so that no core waits while the next one is being fetched. */
const framesInFlight = (): number => Math.min(availableParallelism(), maxThreads) + 2;

/**
 * Packs a stream into what the standard tools read: independent zstd frames, independent gzip members, or as it is.
 * Frames are made in parallel and come out in order; memory is bounded whatever the length. Each frame's memory is its own.
 */
export async function* compress(
  source: AsyncIterable<Uint8Array>,
  threads: PackThreads,
): AsyncGenerator<Frame> {
  const frame = ({ slab, used }: Piece): Promise<Frame> => threads.frame(slab, used);
  yield* mapInOrder(inSlabs(source, threads), threads.inFlight, frame);
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

type Piece = { slab: ArrayBuffer; used: number };

/** The same bytes in slabs, all of them full but the last; at least one, if an empty one. */
async function* inSlabs(source: AsyncIterable<Uint8Array>, { slabs }: PackThreads): AsyncGenerator<Piece> {
  let slab = slabs.take();
  let used = 0;
  let any = false;
  for await (const chunk of source) {
    if (used === 0 && isWholeSlab(chunk)) {
      yield { slab: chunk.buffer as ArrayBuffer, used: slabBytes };
      any = true;
      continue;
    }
    for (let from = 0; from < chunk.length; ) {
      const part = chunk.subarray(from, from + slabBytes - used);
      slab.set(part, used);
      used += part.length;
      from += part.length;
      if (used < slabBytes) continue;
      yield { slab: slab.buffer as ArrayBuffer, used };
      any = true;
      slab = slabs.take();
      used = 0;
    }
  }
  if (used > 0 || !any) yield { slab: slab.buffer as ArrayBuffer, used };
}

/** One that the source has filled itself, and will not look at again. */
const isWholeSlab = ({ buffer, length }: Uint8Array): boolean =>
  length === slabBytes && buffer.byteLength === slabBytes && buffer instanceof ArrayBuffer;
