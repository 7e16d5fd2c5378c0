/**
 * A place that keeps artifacts under slash-separated keys. Every implementation passes the one conformance
 * suite in test/storage/. Retry, limits and logging are wrappers of this same interface.
 *
 * Promises:
 * - `put` takes a stream of unknown length and makes the object appear whole or not at all: nobody ever reads a
 *   half upload under its final key, and a put that fails or is aborted leaves nothing behind. An object that was
 *   there under the key is replaced only by a put that succeeded. It is done with a piece of its body when it asks for the
 *   next one: the source may use that memory again.
 * - `get` rejects with a StorageError of kind "not_found" when there is no such object; a stream that breaks throws,
 *   it never just ends early.
 * - `list` sees every put that has resolved.
 * - `delete` succeeds when the object is already gone.
 * - every call stops soon after `signal` aborts, and then rejects with the signal's reason.
 */
export type Storage = {
  put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<StoredObject>;
  get(key: string, options: GetOptions): Promise<AsyncIterable<Uint8Array>>;
  stat(key: string, options: CallOptions): Promise<StoredObject | null>;
  list(prefix: string, options: CallOptions): AsyncIterable<ListedObject>;
  delete(key: string, options: CallOptions): Promise<void>;
  /** Proves that this place can be used by writing, reading back and deleting a small object; throws the reason. */
  check(options: CallOptions): Promise<void>;
  /** Where the object is when it is a file of this machine, which may then be read there as well. */
  pathOf?(key: string): string;
};

export type CallOptions = { signal: AbortSignal };
export type PutOptions = CallOptions & {
  /** Called with the number of bytes that this put has handed over since the last call. */
  onBytes?: (bytes: number) => void;
};
export type GetOptions = CallOptions & { range?: { offset: number; length: number } };
export type StoredObject = { sizeBytes: number };
export type ListedObject = {
  key: string;
  sizeBytes: number;
  /** When it got its bytes, by the storage's clock, in milliseconds since 1970; null where a list does not tell. */
  modifiedAt: number | null;
};

export type StorageErrorKind =
  | "not_found"
  | "denied"
  | "full"
  | "unreachable"
  | "corrupt"
  | "invalid"
  | "failed";

/** What went wrong in a storage, in words for people, and whether trying again can help. No secret in the text. */
export class StorageError extends Error {
  readonly kind: StorageErrorKind;
  readonly permanent: boolean;
  constructor(kind: StorageErrorKind, message: string, options?: { cause?: unknown; permanent?: boolean }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = "StorageError";
    this.kind = kind;
    this.permanent = options?.permanent ?? (kind !== "unreachable" && kind !== "failed");
  }
}
