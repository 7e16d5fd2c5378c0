import { randomBytes } from "node:crypto";
import type { AgeHeader } from "./age-header.ts";
import { type ChunkRun, chunkBytes, payloadKey, payloadNonceBytes, sealChunk } from "./age-payload.ts";
import { mapInOrder } from "./map-in-order.ts";

/** Seals a run of chunks; in another thread, if that helps. */
export type SealRun = (run: ChunkRun) => Promise<Uint8Array>;

/**
 * Encrypts a stream into the age format. The library that opens headers could do this too, but its streams do some
 * 60 MB/s. Chunks are counted, so that `seal` may be at work on several runs of them at once. What it is given is
 * its own: nothing of a chunk of the source is looked at again.
 */
export async function* encrypt(
  source: AsyncIterable<Uint8Array>,
  header: AgeHeader,
  seal: SealRun,
): AsyncGenerator<Uint8Array> {
  const nonce = randomBytes(payloadNonceBytes);
  yield Buffer.concat([header.bytes, nonce]);
  const key = payloadKey(header.fileKey, nonce);
  const cut = new ChunkCutter(key.export());
  yield* mapInOrder(cut.runs(source), runsInFlight, seal);
  yield sealChunk({ key, place: cut.next, last: true, chunk: cut.rest });
}

const runsInFlight = 3;

/** Cuts a stream into runs of whole chunks; what is left at the end is the last chunk. */
class ChunkCutter {
  /** The place of the next chunk. */
  next = 0;
  /** What waits for more: a whole chunk waits too, because the last one is sealed as the last. */
  rest: Uint8Array = Buffer.alloc(0);
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  async *runs(source: AsyncIterable<Uint8Array>): AsyncGenerator<ChunkRun> {
    for await (const piece of source) {
      const total = this.rest.length + piece.length;
      const count = Math.ceil(total / chunkBytes) - 1;
      if (count < 1) {
        this.rest = Buffer.concat([this.rest, piece]);
        continue;
      }
      const cut = count * chunkBytes - this.rest.length;
      const run = { key: this.#key, first: this.next, tail: this.rest, bytes: piece.subarray(0, cut) };
      this.rest = Buffer.from(piece.subarray(cut));
      this.next += count;
      yield run;
    }
  }
}
