import { randomBytes } from "node:crypto";
import { Encrypter } from "age-encryption";
import { ChunkSealer, chunkBytes, payloadKey, payloadNonceBytes, tagBytes } from "./age-payload.ts";
import { type SlabPool, slabBytes } from "./slabs.ts";

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

/**
 * Encrypts a stream into the age format. The library makes headers; the payload is done here because its streams do
 * some 60 MB/s. Nothing of a chunk is looked at again once the next one was asked for, and whole slabs go back to
 * `slabs`.
 */
export async function* encrypt(
  source: AsyncIterable<Uint8Array>,
  header: AgeHeader,
  slabs: SlabPool,
): AsyncGenerator<Uint8Array> {
  const nonce = randomBytes(payloadNonceBytes);
  yield Buffer.concat([header.bytes, nonce]);
  const sealer = new ChunkSealer(payloadKey(header.fileKey, nonce));
  const pending = { bytes: Buffer.allocUnsafeSlow(chunkBytes), used: 0 };
  for await (const piece of source) {
    const sealed = sealFull(sealer, pending, piece);
    if (piece.length === slabBytes) slabs.give(piece);
    if (sealed.length > 0) yield sealed;
  }
  const last = Buffer.allocUnsafeSlow(pending.used + tagBytes);
  sealer.seal(pending.bytes.subarray(0, pending.used), true, last, 0);
  yield last;
}

type Pending = { bytes: Buffer; used: number };

/** Seals every chunk that is full and known not to be the last one; the rest waits in `pending`. */
function sealFull(sealer: ChunkSealer, pending: Pending, piece: Uint8Array): Buffer {
  const chunks = Math.max(0, Math.ceil((pending.used + piece.length) / chunkBytes) - 1);
  const out = Buffer.allocUnsafeSlow(chunks * (chunkBytes + tagBytes));
  let at = 0;
  let rest = piece;
  for (let i = 0; i < chunks; i += 1) {
    if (pending.used === 0) {
      at += sealer.seal(rest.subarray(0, chunkBytes), false, out, at);
      rest = rest.subarray(chunkBytes);
    } else {
      rest = fill(pending, rest);
      at += sealer.seal(pending.bytes, false, out, at);
      pending.used = 0;
    }
  }
  fill(pending, rest);
  return out;
}

/** Puts what there is room for into `pending`; says what is left. */
function fill(pending: Pending, bytes: Uint8Array): Uint8Array {
  const part = bytes.subarray(0, chunkBytes - pending.used);
  pending.bytes.set(part, pending.used);
  pending.used += part.length;
  return bytes.subarray(part.length);
}
