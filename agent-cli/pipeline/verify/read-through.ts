import { createHash } from "node:crypto";
import type { VerifyJob } from "./finding.ts";

/**
 * Reads an artifact once from its first byte to its last: all of it is hashed, and `look` gets the same bytes, as far as
 * it wants them. Whatever `look` dies of, the rest is read for the hash.
 */
export async function readThrough(
  { storage, key, signal }: VerifyJob,
  look: ((bytes: AsyncIterable<Uint8Array>) => Promise<void>) | null,
  fetched: { bytes: number },
): Promise<{ sha256: string; sizeBytes: number }> {
  const hash = createHash("sha256");
  const chunks = counted(await storage.get(key, { signal }), (chunk) => {
    signal.throwIfAborted();
    hash.update(chunk);
    fetched.bytes += chunk.length;
  });
  try {
    // Without `return`: who stops early does not end the reading.
    await look?.({ [Symbol.asyncIterator]: () => ({ next: () => chunks.next() }) });
    for (let next = await chunks.next(); !next.done; next = await chunks.next());
  } finally {
    await chunks.return(undefined);
  }
  return { sha256: hash.digest("hex"), sizeBytes: fetched.bytes };
}

async function* counted(
  source: AsyncIterable<Uint8Array>,
  onChunk: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    onChunk(chunk);
    yield chunk;
  }
}
