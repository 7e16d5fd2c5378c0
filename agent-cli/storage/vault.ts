import { createHash } from "node:crypto";
import { type AbortScope, abortable, abortScope } from "./abortable.ts";
import { checkKey } from "./key.ts";
import { cutParts, type Part, sendParts } from "./parts.ts";
import { checkRange, type Range } from "./range.ts";
import { defaultRetryPolicy, type RetryPolicy, retry } from "./retry.ts";
import { defaultStallMs, failWhenStalled } from "./stall.ts";
import { type PutOptions, type Storage, StorageError, type StoredObject } from "./storage.ts";

/** An upload that the master has begun. Every part but the last has exactly this size. */
export type VaultUpload = { key: string; uploadId: string; partSizeBytes: number };
export type VaultPart = { number: number; etag: string };

/**
 * The calls to the master that this storage needs. They throw StorageErrors whose `permanent` is right: an error
 * of another kind is taken as one that may pass. They give up when `signal` aborts. Repeating any of them is safe.
 */
export type VaultClient = {
  begin(key: string, signal: AbortSignal): Promise<{ uploadId: string; partSizeBytes: number }>;
  /** Resolves only once the master holds exactly these bytes, by their SHA-256. An object of 0 bytes has one empty part. */
  part(
    upload: VaultUpload,
    number: number,
    bytes: Uint8Array,
    sha256Hex: string,
    signal: AbortSignal,
  ): Promise<{ etag: string }>;
  /** Makes the object appear, or nothing. The answer's size is the object's, as the vault sees it. */
  complete(
    upload: VaultUpload,
    parts: VaultPart[],
    total: { sizeBytes: number; sha256: string },
    signal: AbortSignal,
  ): Promise<{ sizeBytes: number }>;
  abort(upload: VaultUpload, signal: AbortSignal): Promise<void>;
  /**
   * Rejects with kind "not_found" if there is none, "invalid" if the range reaches beyond its end. A stream that is
   * shorter than the answer announced throws.
   */
  open(key: string, range: Range | undefined, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  stat(key: string, signal: AbortSignal): Promise<{ sizeBytes: number } | null>;
  /** Has the master write, read and delete a small object, since an agent may only touch its own records. */
  check(signal: AbortSignal): Promise<void>;
};

export type VaultOptions = {
  stallMs?: number;
  /** How long one part may take: the client shows no progress inside of one. */
  partTimeoutMs?: number;
  /** For each call of a put. Other calls are retried by `retrying`. */
  retryPolicy?: RetryPolicy;
};

const MiB = 1024 * 1024;
const maxParts = 10_000;
const maxPartBytes = 64 * MiB;
/** Beside these, one part is being filled: with three on their way a backup would take more than 250 MiB. */
const partLimits = { maxInFlight: 2, maxBytesInFlight: 2 * maxPartBytes };
const cleanUpMs = 10_000;
const defaultPartTimeoutMs = 10 * 60_000;

type Vault = { client: VaultClient; retryPolicy: RetryPolicy; partTimeoutMs: number };

/**
 * The master's own store. An agent may add and read what belongs to its records; listing and deleting are the
 * master's business, so both are refused here.
 */
export function vault(client: VaultClient, options: VaultOptions = {}): Storage {
  const { stallMs = defaultStallMs, partTimeoutMs = defaultPartTimeoutMs } = options;
  const deps = { client, retryPolicy: options.retryPolicy ?? defaultRetryPolicy, partTimeoutMs };
  return {
    put: (key, body, putOptions) => put(deps, key, body, putOptions),

    async get(key, { signal, range }) {
      checkKey(key);
      if (range) checkRange(range);
      const body = await inWords(signal, () => client.open(key, range, signal));
      return exactly(failWhenStalled(body, stallMs, signal, "the vault"), range?.length);
    },

    async stat(key, { signal }) {
      checkKey(key);
      return inWords(signal, () => client.stat(key, signal));
    },

    // biome-ignore lint/correctness/useYield: it only ever refuses
    async *list() {
      throw new StorageError("denied", "an agent cannot list the vault: the master keeps that list");
    },

    async delete() {
      throw new StorageError("denied", "an agent cannot delete from the vault: the master does that itself");
    },

    check: ({ signal }) => inWords(signal, () => client.check(signal)),
  };
}

async function put(
  vault: Vault,
  key: string,
  body: AsyncIterable<Uint8Array>,
  { signal, onBytes }: PutOptions,
): Promise<StoredObject> {
  checkKey(key);
  const scope = abortScope(signal);
  try {
    const begun = await again(vault, scope.signal, () => vault.client.begin(key, scope.signal));
    const upload = { key, ...begun };
    try {
      return await putInParts(vault, upload, body, scope, onBytes);
    } catch (error) {
      await vault.client.abort(upload, AbortSignal.timeout(cleanUpMs)).catch(() => {});
      throw error;
    }
  } finally {
    scope.end();
  }
}

async function putInParts(
  vault: Vault,
  upload: VaultUpload,
  body: AsyncIterable<Uint8Array>,
  scope: AbortScope,
  onBytes: PutOptions["onBytes"],
): Promise<StoredObject> {
  const { signal } = scope;
  const total = { sizeBytes: 0, hash: createHash("sha256") };
  const parts = counted(cutParts(abortable(body, signal), partSizes(upload.partSizeBytes)), total);
  const sent = await sendParts(parts, partLimits, scope, async (part) => {
    const { etag } = await sendPart(vault, upload, part, signal);
    onBytes?.(part.bytes.length);
    return { number: part.number, etag };
  });
  const { sizeBytes } = total;
  const sums = { sizeBytes, sha256: total.hash.digest("hex") };
  const stored = await again(vault, signal, () => vault.client.complete(upload, sent, sums, signal));
  if (stored.sizeBytes === sizeBytes) return { sizeBytes };
  throw new StorageError(
    "corrupt",
    `the vault holds ${stored.sizeBytes} bytes of the ${sizeBytes} that were sent`,
  );
}

function partSizes(partSizeBytes: number): (number: number) => number {
  if (!Number.isInteger(partSizeBytes) || partSizeBytes < 1 || partSizeBytes > maxPartBytes) {
    throw new StorageError("invalid", `the master asks for parts of ${partSizeBytes} bytes, which cannot be`);
  }
  return (number) => {
    if (number <= maxParts) return partSizeBytes;
    throw new StorageError(
      "invalid",
      `the object is larger than ${maxParts} parts of ${partSizeBytes} bytes`,
    );
  };
}

/** Sums up the parts in their order, before they leave side by side. */
async function* counted(
  parts: AsyncIterable<Part>,
  total: { sizeBytes: number; hash: ReturnType<typeof createHash> },
): AsyncGenerator<Part> {
  for await (const part of parts) {
    total.hash.update(part.bytes);
    total.sizeBytes += part.bytes.length;
    yield part;
  }
}

async function sendPart(
  vault: Vault,
  upload: VaultUpload,
  part: Part,
  signal: AbortSignal,
): Promise<{ etag: string }> {
  const sha256 = createHash("sha256").update(part.bytes).digest("hex");
  return again(vault, signal, async () => {
    const scope = abortScope(signal);
    const slow = () => scope.abort(new StorageError("unreachable", `part ${part.number} took too long`));
    const timer = setTimeout(slow, vault.partTimeoutMs);
    try {
      return await inWords(scope.signal, () =>
        vault.client.part(upload, part.number, part.bytes, sha256, scope.signal),
      );
    } finally {
      clearTimeout(timer);
      scope.end();
    }
  });
}

const again = <T>(vault: Vault, signal: AbortSignal, call: () => Promise<T>): Promise<T> =>
  retry(vault.retryPolicy, signal, () => inWords(signal, call));

/** An abort is thrown as its reason, whatever the client made of it. */
async function inWords<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  try {
    return await call();
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof StorageError) throw error;
    const words = error instanceof Error ? error.message : String(error);
    throw new StorageError("failed", `the vault: ${words}`, { cause: error });
  }
}

async function* exactly(
  source: AsyncIterable<Uint8Array>,
  sizeBytes: number | undefined,
): AsyncGenerator<Uint8Array> {
  let seenBytes = 0;
  for await (const chunk of source) {
    seenBytes += chunk.length;
    yield chunk;
  }
  if (sizeBytes === undefined || seenBytes === sizeBytes) return;
  throw new StorageError("unreachable", `the vault's stream ended at byte ${seenBytes} of ${sizeBytes}`);
}
