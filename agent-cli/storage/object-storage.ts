import { checkRoundTrip } from "./check-round-trip.ts";
import { checkKey, checkPrefix } from "./key.ts";
import { paced, type TokenBucket } from "./limited.ts";
import { checkRange, type Range } from "./range.ts";
import type { ListedObject, PutOptions, Storage, StoredObject } from "./storage.ts";

/** What a bucket can do with an object under its full name. `look` answers null where there is none. */
export type ObjectCalls = {
  put(name: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<StoredObject>;
  read(name: string, range: Range | undefined, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  look(name: string, signal: AbortSignal): Promise<StoredObject | null>;
  listPages(prefix: string, signal: AbortSignal): AsyncIterable<ListedObject>;
  remove(name: string, signal: AbortSignal): Promise<void>;
};

/** What stands before every key of a storage with that prefix. Throws for one that no key could have. */
export function beginningOf(prefix = ""): string {
  const bare = prefix.replace(/^\/+|\/+$/g, "");
  return bare === "" ? "" : `${checkKey(bare)}/`;
}

/** A storage of the objects whose names begin with `below`; with a token bucket, what is read keeps to its pace. */
export function objectStorage(below: string, calls: ObjectCalls, bucket?: TokenBucket): Storage {
  const nameOf = (key: string) => below + checkKey(key);
  const storage: Omit<Storage, "check"> = {
    put: (key, body, options) => calls.put(nameOf(key), body, options),

    async get(key, { signal, range }) {
      const name = nameOf(key);
      if (range) checkRange(range);
      const body = await calls.read(name, range, signal);
      return bucket ? paced(body, bucket, signal) : body;
    },

    stat: (key, { signal }) =>
      calls.look(nameOf(key), signal).then((found) => found && { sizeBytes: found.sizeBytes }),

    async *list(keyPrefix, { signal }) {
      checkPrefix(keyPrefix);
      for await (const { key, ...listed } of calls.listPages(below + keyPrefix, signal)) {
        yield { key: key.slice(below.length), ...listed };
      }
    },

    delete: (key, { signal }) => calls.remove(nameOf(key), signal),
  };
  return { ...storage, check: (options) => checkRoundTrip(storage, options) };
}
