import { createHash, randomBytes } from "node:crypto";

export const MiB = 1024 * 1024;
/** Odd lengths, so that no border of a chunk falls on the border of a part. */
const chunkLengths = [1, 65_537, 3, 1_000_003, 262_144, 77];

/** Random bytes of that length, and their SHA-256. */
export function randomData(length: number) {
  const bytes = randomBytes(length);
  return { bytes, sha256: sha256(bytes) };
}

export const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** The bytes in chunks of odd lengths; each chunk is wiped once the reader asks for the next one. */
export async function* oddChunks(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (let index = 0; at < bytes.length; index += 1) {
    const chunk = Uint8Array.from(bytes.subarray(at, at + (chunkLengths[index % chunkLengths.length] ?? 1)));
    at += chunk.length;
    yield chunk;
    chunk.fill(0);
  }
}

/** The first `length` bytes of `bytes`, then `then`, which throws or waits. */
export async function* brokenAfter(
  bytes: Uint8Array,
  length: number,
  then: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  yield* oddChunks(bytes.subarray(0, length));
  await then();
}

/** All of a stream. */
export async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A list's keys, sorted, since storages promise no order. */
export async function keysOf(list: AsyncIterable<{ key: string }>): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of list) keys.push(key);
  return keys.sort();
}

export const never = () => new Promise<void>(() => {});
