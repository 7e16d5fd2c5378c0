import { randomBytes } from "node:crypto";
import { Encrypter } from "age-encryption";
import {
  type ChunkRun,
  chunkBytes,
  payloadKey,
  payloadNonceBytes,
  sealChunk,
  tagBytes,
} from "./age-payload.ts";
import { mapInOrder } from "./map-in-order.ts";

/** The head of one age file: who can open it, and the key that only they get to know. */
export type AgeHeader = { bytes: Uint8Array; fileKey: Uint8Array };

/** Makes a header with a fresh key for X25519 recipients (`age1…`). Throws when one of them is none. */
export async function makeHeader(recipients: readonly string[]): Promise<AgeHeader> {
  if (recipients.length === 0) throw new Error("encryption needs at least one recipient");
  const encrypter = new Encrypter();
  for (const [i, recipient] of recipients.entries()) addRecipient(encrypter, recipient, i + 1);
  let fileKey: Uint8Array | null = null;
  // A recipient that adds nothing to the header, but hears the key.
  encrypter.addRecipient({
    wrapFileKey: (key) => {
      fileKey = Uint8Array.from(key);
      return [];
    },
  });
  const empty = await encrypter.encrypt(new Uint8Array(0));
  if (fileKey === null) throw new Error("the header was made without a key");
  // What follows the header of an empty file is a nonce and one chunk of nothing; the payload gets a nonce of its own.
  return { bytes: empty.subarray(0, empty.length - payloadNonceBytes - tagBytes), fileKey };
}

function addRecipient(encrypter: Encrypter, recipient: string, position: number): void {
  // What was given is not repeated: it may be a private key that somebody mistook for a public one.
  if (!/^age1[02-9ac-hj-np-z]{58}$/.test(recipient)) throw notARecipient(position);
  try {
    encrypter.addRecipient(recipient);
  } catch {
    throw notARecipient(position);
  }
}

const notARecipient = (position: number) =>
  new Error(`recipient ${position} is not an age public key (age1 and 58 more characters)`);

/** Seals a run of chunks; in another thread, if that helps. */
export type SealRun = (run: ChunkRun) => Promise<Uint8Array>;

/**
 * Encrypts a stream into the age format. The library makes headers; the payload is done here because its streams do
 * some 60 MB/s. Chunks are counted, so that `seal` may be at work on several runs of them at once. What it is given is
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
