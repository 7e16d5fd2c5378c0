import { randomBytes } from "node:crypto";
import { type CallOptions, type Storage, StorageError } from "./storage.ts";

const cleanUpMs = 10_000;

/** Writes a small object, reads it back, compares and deletes it: what most storages do for `check`. */
export async function checkRoundTrip(
  storage: Omit<Storage, "check">,
  { signal }: CallOptions,
): Promise<void> {
  const random = randomBytes(8).toString("hex");
  const key = `.backupx-check-${random}`;
  const written = Buffer.from(`BackupX wrote this to see whether it can: ${random}\n`);
  try {
    await storage.put(key, once(written), { signal });
    const read = await collect(await storage.get(key, { signal }), written.length + 1);
    if (!read.equals(written)) {
      throw new StorageError("corrupt", "what was read back is not what was written");
    }
    await storage.delete(key, { signal });
  } catch (error) {
    await deleteQuietly(storage, key);
    throw error;
  }
}

/** Has its own signal: it must also work after the caller's was aborted. */
async function deleteQuietly(storage: Omit<Storage, "check">, key: string): Promise<void> {
  await storage.delete(key, { signal: AbortSignal.timeout(cleanUpMs) }).catch(() => {});
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function collect(source: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of source) {
    chunks.push(chunk);
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) break;
  }
  return Buffer.concat(chunks);
}
