import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from "node:crypto";
import { release } from "./own-memory.ts";

/** The payload of an age file: chunks of 64 KiB, each sealed for itself, counted, and the last one marked as the last. */
export const chunkBytes = 64 * 1024;
export const tagBytes = 16;
export const payloadNonceBytes = 16;

const algorithm = "chacha20-poly1305";
const options = { authTagLength: tagBytes };

/** The key of one file's payload. */
export const payloadKey = (fileKey: Uint8Array, nonce: Uint8Array): KeyObject =>
  createSecretKey(Buffer.from(hkdfSync("sha256", fileKey, nonce, "payload", 32)));

/** Whole chunks to be sealed, none of them the last: the first of them begins with `tail`. */
export type ChunkRun = { key: Uint8Array; first: number; tail: Uint8Array; bytes: Uint8Array };

/** Seals a run of chunks, into memory of their own. */
export function sealRun({ key, first, tail, bytes }: ChunkRun): Buffer {
  const count = (tail.length + bytes.length) / chunkBytes;
  const out = Buffer.allocUnsafeSlow(count * (chunkBytes + tagBytes));
  const secret = createSecretKey(key);
  let from = 0;
  for (let i = 0; i < count; i += 1) {
    const part = bytes.subarray(from, from + chunkBytes - (i === 0 ? tail.length : 0));
    const chunk = i === 0 && tail.length > 0 ? Buffer.concat([tail, part]) : part;
    sealInto(out, i * (chunkBytes + tagBytes), { key: secret, place: first + i, last: false, chunk });
    if (chunk !== part) release(chunk);
    from += part.length;
  }
  return out;
}

/** The same, and gives the memory back that the run lay in. */
export function sealAndRelease(run: ChunkRun): Buffer {
  const sealed = sealRun(run);
  release(run.tail);
  release(run.bytes);
  return sealed;
}

type Chunk = { key: KeyObject; place: number; last: boolean; chunk: Uint8Array };

/** One sealed chunk. */
export function sealChunk(chunk: Chunk): Buffer {
  const out = Buffer.allocUnsafeSlow(chunk.chunk.length + tagBytes);
  sealInto(out, 0, chunk);
  return out;
}

function sealInto(out: Buffer, at: number, { key, place, last, chunk }: Chunk): void {
  const cipher = createCipheriv(algorithm, key, chunkNonce(place, last), options);
  const sealed = cipher.update(chunk);
  out.set(sealed, at);
  release(sealed);
  cipher.final();
  out.set(cipher.getAuthTag(), at + chunk.length);
}

/** The content of a sealed chunk; null when it is not the very chunk that was sealed at this place. */
export function openChunk(key: KeyObject, sealed: Uint8Array, place: number, last: boolean): Buffer | null {
  if (sealed.length < tagBytes) return null;
  const end = sealed.length - tagBytes;
  const decipher = createDecipheriv(algorithm, key, chunkNonce(place, last), options);
  decipher.setAuthTag(sealed.subarray(end));
  const content = decipher.update(sealed.subarray(0, end));
  try {
    decipher.final();
    return content;
  } catch {
    return null;
  }
}

/** Eleven bytes of counter, one byte that says whether more follows. */
function chunkNonce(place: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(place, 5, 6);
  nonce[11] = last ? 1 : 0;
  return nonce;
}
