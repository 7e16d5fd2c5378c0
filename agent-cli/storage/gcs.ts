import { createHash } from "node:crypto";
import type { Dispatcher } from "undici";
import { abortable, abortScope } from "./abortable.ts";
import { exactly, type HttpAnswer, isPage, readText } from "./exchange.ts";
import { type GcsConfig, type GcsSend, makeGcsSend, notGoogle, readJson } from "./gcs-request.ts";
import type { TokenBucket } from "./limited.ts";
import { beginningOf, type ObjectCalls, objectStorage } from "./object-storage.ts";
import { cutParts, type Part, sendParts } from "./parts.ts";
import { checkRangeWithin } from "./range.ts";
import { readTime } from "./read-time.ts";
import { defaultRetryPolicy, type RetryPolicy, retry } from "./retry.ts";
import { defaultStallMs } from "./stall.ts";
import {
  type ListedObject,
  type PutOptions,
  type Storage,
  StorageError,
  type StoredObject,
} from "./storage.ts";

export type GcsOptions = {
  dispatcher?: Dispatcher;
  /** Kept to at the socket: pieces would otherwise leave in bursts. */
  bucket?: TokenBucket;
  stallMs?: number;
  /** For each piece and call of a put. Other calls are retried by `retrying`. */
  retryPolicy?: RetryPolicy;
};

const MiB = 1024 * 1024;
/** Google takes multiples of 256 KiB, one piece after the other; the next one is filled while one is on its way. */
const pieceBytes = 8 * MiB;
const pieceLimits = { maxInFlight: 1, maxBytesInFlight: pieceBytes };
const maxJsonBytes = 8 * MiB;
const cleanUpMs = 10_000;
/** "Resume incomplete": what Google answers to a piece that was not the last. */
const resumeIncomplete = 308;

type Bucket = { send: GcsSend; name: string; retryPolicy: RetryPolicy };
type Session = { uri: string; signal: AbortSignal };
/** What an upload has become: so many bytes of it are stored, or all of it is an object. */
type Progress = { storedBytes: number } | { object: GcsObject };
type GcsObject = { sizeBytes: number; md5: string; generation: string };

/**
 * A bucket of Google Cloud Storage. A put is one resumable upload, of which nothing is seen until its last piece is
 * accepted; that piece carries the MD5 of the whole, and the object's own is compared again afterwards.
 */
export function gcs(config: GcsConfig, options: GcsOptions = {}): Storage {
  const below = beginningOf(config.prefix);
  const { bucket: limit, dispatcher, stallMs = defaultStallMs } = options;
  const send = makeGcsSend(config, {
    stallMs,
    ...(dispatcher === undefined ? {} : { dispatcher }),
    ...(limit === undefined ? {} : { bucket: limit }),
  });
  const bucket: Bucket = {
    send,
    name: config.bucket,
    retryPolicy: options.retryPolicy ?? defaultRetryPolicy,
  };
  const calls: ObjectCalls = {
    put: (name, body, putOptions) => put(bucket, name, body, putOptions),
    read: (name, range, signal) => read(bucket, name, range, signal),
    look: (name, signal) => look(bucket, name, signal),
    listPages: (prefix, signal) => listPages(bucket, prefix, signal),
    remove: (name, signal) => remove(bucket, name, {}, signal),
  };
  return objectStorage(below, calls, limit);
}

const objectPath = ({ name }: Bucket, object: string) =>
  `/storage/v1/b/${encodeURIComponent(name)}/o/${encodeURIComponent(object)}`;

async function put(
  bucket: Bucket,
  name: string,
  body: AsyncIterable<Uint8Array>,
  { signal, onBytes }: PutOptions,
): Promise<StoredObject> {
  signal.throwIfAborted();
  const scope = abortScope(signal);
  const source = abortable(body, scope.signal);
  let session: Session | null = null;
  try {
    session = { uri: await begin(bucket, name, scope.signal), signal: scope.signal };
    const upload = new Upload(bucket, session);
    const pieces = hashed(
      cutParts(source, () => pieceBytes),
      upload,
    );
    await sendParts(pieces, pieceLimits, scope, async (piece) => {
      await upload.send(piece);
      if (piece.bytes.length > 0) onBytes?.(piece.bytes.length);
    });
    return { sizeBytes: upload.proveWhole() };
  } catch (error) {
    scope.abort(error);
    if (session) await giveUp(bucket, name, session);
    throw error;
  } finally {
    // Closes the source, also when nothing was read beyond the first piece.
    await source.return(undefined);
    scope.end();
  }
}

async function begin(bucket: Bucket, name: string, signal: AbortSignal): Promise<string> {
  return retry(bucket.retryPolicy, signal, async () => {
    const answer = await bucket.send({
      method: "POST",
      path: `/upload/storage/v1/b/${encodeURIComponent(bucket.name)}/o`,
      query: { uploadType: "resumable", name },
      headers: {
        "content-type": "application/json; charset=UTF-8",
        "x-upload-content-type": "application/octet-stream",
      },
      body: Buffer.from("{}"),
      signal,
    });
    await readText(answer, maxJsonBytes);
    const uri = answer.headers["location"] ?? "";
    if (!/^https?:\/\//.test(uri)) throw notGoogle(answer, "it names no upload session");
    return uri;
  });
}

/** Sums up the pieces in their order, before they leave. */
async function* hashed(pieces: AsyncIterable<Part>, upload: Upload): AsyncGenerator<Part> {
  for await (const piece of pieces) {
    upload.hash.update(piece.bytes);
    yield piece;
  }
}

/** One resumable upload: its pieces go one after the other, each from where the server says that it is. */
class Upload {
  readonly hash = createHash("md5");
  readonly #bucket: Bucket;
  readonly #session: Session;
  #sentBytes = 0;
  #md5 = "";
  #object: GcsObject | null = null;

  constructor(bucket: Bucket, session: Session) {
    this.#bucket = bucket;
    this.#session = session;
  }

  async send({ bytes, isLast }: Part): Promise<void> {
    const from = this.#sentBytes;
    const end = from + bytes.length;
    // The last piece is hashed before it is sent, and nothing follows it.
    if (isLast) this.#md5 = this.hash.digest("base64");
    let at = from;
    await retry(this.#bucket.retryPolicy, this.#session.signal, async (attempt) => {
      // After a failure it is the server that knows how much of the piece has arrived.
      let progress: Progress = attempt === 1 ? { storedBytes: at } : await this.#ask();
      while ("storedBytes" in progress && (progress.storedBytes < end || isLast)) {
        at = progress.storedBytes;
        if (at < from || at > end) throw lostPlace(at, from);
        progress = await this.#sendFrom(bytes.subarray(at - from), at, isLast ? end : null);
        const moved = !("storedBytes" in progress) || progress.storedBytes > at;
        if (!moved)
          throw new StorageError("unreachable", `the server stored nothing of what follows byte ${at}`);
      }
      if ("object" in progress) {
        if (!isLast) throw new StorageError("failed", "the server ended the upload before its last piece");
        this.#object = progress.object;
      }
    });
    this.#sentBytes = end;
  }

  /** The size of the object, once it is proved to be what was sent. */
  proveWhole(): number {
    const object = this.#object;
    if (object?.sizeBytes === this.#sentBytes && object.md5 === this.#md5) return this.#sentBytes;
    throw new StorageError(
      "corrupt",
      `the server holds ${object?.sizeBytes ?? "none"} of the ${this.#sentBytes} bytes that were sent, or others`,
    );
  }

  #ask(): Promise<Progress> {
    return askSession(this.#bucket, this.#session);
  }

  /** `totalBytes` is told with the last piece only, and with it the hash that the server shall compare. */
  async #sendFrom(bytes: Uint8Array, at: number, totalBytes: number | null): Promise<Progress> {
    const range = bytes.length === 0 ? "*" : `${at}-${at + bytes.length - 1}`;
    const answer = await this.#bucket.send({
      method: "PUT",
      path: this.#session.uri,
      headers: {
        "content-type": "application/octet-stream",
        "content-range": `bytes ${range}/${totalBytes ?? "*"}`,
        ...(totalBytes === null ? {} : { "x-goog-hash": `md5=${this.#md5}` }),
      },
      body: bytes,
      accepts: [resumeIncomplete],
      signal: this.#session.signal,
    });
    return progressOf(answer);
  }
}

const lostPlace = (at: number, from: number) =>
  new StorageError(
    "failed",
    `the server holds ${at} bytes of this upload, though it had confirmed ${from}: they cannot be sent again`,
    { permanent: true },
  );

async function askSession({ send }: Bucket, { uri, signal }: Session): Promise<Progress> {
  const headers = { "content-range": "bytes */*" };
  return progressOf(await send({ method: "PUT", path: uri, headers, accepts: [resumeIncomplete], signal }));
}

async function progressOf(answer: HttpAnswer): Promise<Progress> {
  if (answer.status !== resumeIncomplete)
    return { object: objectOf(await readJson(answer, maxJsonBytes), answer) };
  await readText(answer, maxJsonBytes);
  // No range: nothing has arrived yet.
  const range = answer.headers["range"];
  if (range === undefined) return { storedBytes: 0 };
  const match = /^bytes=0-(\d+)$/.exec(range);
  if (!match) throw notGoogle(answer, "its range cannot be read");
  return { storedBytes: Number(match[1]) + 1 };
}

function objectOf(json: Record<string, unknown>, answer: HttpAnswer): GcsObject {
  const { size, md5Hash, generation } = json;
  if (typeof size !== "string" || !/^\d+$/.test(size) || typeof generation !== "string") {
    throw notGoogle(answer, "an object's size was expected");
  }
  return { sizeBytes: Number(size), md5: typeof md5Hash === "string" ? md5Hash : "", generation };
}

/** Ends the session, and takes back an object that it has become all the same. Has its own signal. */
async function giveUp(bucket: Bucket, name: string, { uri }: Session): Promise<void> {
  const signal = AbortSignal.timeout(cleanUpMs);
  try {
    const progress = await retry(bucket.retryPolicy, signal, () => askSession(bucket, { uri, signal }));
    if ("object" in progress) {
      const { generation } = progress.object;
      await retry(bucket.retryPolicy, signal, () => remove(bucket, name, { generation }, signal));
      return;
    }
    // 499 is Google's word for a session that was cancelled.
    const answer = await bucket.send({ method: "DELETE", path: uri, accepts: [499], signal });
    answer.discard();
  } catch {
    // The failure that led here is the one to tell; an open session is forgotten after a week.
  }
}

async function read(
  bucket: Bucket,
  name: string,
  range: { offset: number; length: number } | undefined,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const found = await look(bucket, name, signal);
  if (found === null) throw new StorageError("not_found", "there is no such object");
  if (range) checkRangeWithin(range, found.sizeBytes);
  const { offset, length } = range ?? { offset: 0, length: found.sizeBytes };
  if (length === 0) return (async function* () {})();
  const answer = await bucket.send({
    method: "GET",
    path: objectPath(bucket, name),
    query: { alt: "media", generation: found.generation },
    headers: { range: `bytes=${offset}-${offset + length - 1}` },
    signal,
  });
  if (answer.status === 206 && !isPage(answer)) return exactly(answer, length, signal);
  answer.discard();
  throw notGoogle(answer, "a part of an object was expected");
}

async function look(bucket: Bucket, name: string, signal: AbortSignal): Promise<GcsObject | null> {
  try {
    const query = { fields: "size,md5Hash,generation" };
    const answer = await bucket.send({ method: "GET", path: objectPath(bucket, name), query, signal });
    return objectOf(await readJson(answer, maxJsonBytes), answer);
  } catch (error) {
    if (error instanceof StorageError && error.kind === "not_found") return null;
    throw error;
  }
}

async function* listPages(bucket: Bucket, prefix: string, signal: AbortSignal): AsyncGenerator<ListedObject> {
  let pageToken = "";
  do {
    const query = {
      prefix,
      maxResults: "1000",
      fields: "items(name,size,updated),nextPageToken",
      ...(pageToken ? { pageToken } : {}),
    };
    const path = `/storage/v1/b/${encodeURIComponent(bucket.name)}/o`;
    const answer = await bucket.send({ method: "GET", path, query, signal });
    const { items = [], nextPageToken = "" } = await readJson(answer, maxJsonBytes);
    if (!Array.isArray(items) || typeof nextPageToken !== "string")
      throw notGoogle(answer, "a list was expected");
    for (const item of items) {
      signal.throwIfAborted();
      yield listedObject(item, prefix);
    }
    if (nextPageToken && nextPageToken === pageToken)
      throw new StorageError("failed", "the server's list says that it goes on, but not where");
    pageToken = nextPageToken;
  } while (pageToken);
}

function listedObject(item: unknown, prefix: string): ListedObject {
  const { name, size, updated } = (item ?? {}) as { name?: unknown; size?: unknown; updated?: unknown };
  if (
    typeof name !== "string" ||
    !name.startsWith(prefix) ||
    typeof size !== "string" ||
    !/^\d+$/.test(size)
  ) {
    throw new StorageError("failed", "the server's list holds an entry without a proper name or size");
  }
  return { key: name, sizeBytes: Number(size), modifiedAt: readTime(updated) };
}

async function remove(
  bucket: Bucket,
  name: string,
  query: { generation?: string },
  signal: AbortSignal,
): Promise<void> {
  try {
    const answer = await bucket.send({ method: "DELETE", path: objectPath(bucket, name), query, signal });
    await readText(answer, maxJsonBytes);
  } catch (error) {
    if (!(error instanceof StorageError) || error.kind !== "not_found") throw error;
  }
}
