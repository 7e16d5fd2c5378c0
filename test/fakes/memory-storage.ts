import { type Storage, StorageError } from "../../agent-cli/storage/storage.ts";

export type MemoryStorage = Storage & {
  objects: Map<string, Buffer>;
  /** Makes a put fail after it took so many bytes. */
  failAfterBytes: number | null;
  /** Waits so long before each chunk that a put takes. */
  delayMs: number;
  gets: number;
};

/** A storage in memory that keeps the interface's promises; some of its knobs break things on purpose. */
export function memoryStorage(): MemoryStorage {
  const objects = new Map<string, Buffer>();
  const storage: MemoryStorage = {
    objects,
    failAfterBytes: null,
    delayMs: 0,
    gets: 0,
    async put(key, body, { signal, onBytes }) {
      const parts: Uint8Array[] = [];
      let sizeBytes = 0;
      for await (const chunk of body) {
        signal.throwIfAborted();
        if (storage.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, storage.delayMs));
        parts.push(Uint8Array.from(chunk));
        sizeBytes += chunk.length;
        onBytes?.(chunk.length);
        if (storage.failAfterBytes !== null && sizeBytes > storage.failAfterBytes) {
          throw new StorageError("unreachable", "the connection broke");
        }
      }
      signal.throwIfAborted();
      objects.set(key, Buffer.concat(parts));
      return { sizeBytes };
    },
    async get(key, { signal, range }) {
      storage.gets += 1;
      const object = objects.get(key);
      if (!object) throw new StorageError("not_found", `there is no object ${key}`);
      const { offset, length } = range ?? { offset: 0, length: object.length };
      return inChunks(object.subarray(offset, offset + length), signal);
    },
    async stat(key) {
      const object = objects.get(key);
      return object ? { sizeBytes: object.length } : null;
    },
    async *list(prefix) {
      for (const [key, object] of objects)
        if (key.startsWith(prefix)) yield { key, sizeBytes: object.length, modifiedAt: null };
    },
    async delete(key) {
      objects.delete(key);
    },
    async check() {},
  };
  return storage;
}

async function* inChunks(bytes: Buffer, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  // An odd size, so that no structure of the content lines up with it.
  for (let from = 0; from < bytes.length; from += 65_521) {
    signal.throwIfAborted();
    yield bytes.subarray(from, from + 65_521);
  }
}
