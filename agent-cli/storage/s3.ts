import { createHash } from "node:crypto";
import type { Dispatcher } from "undici";
import { type AbortScope, abortable, abortScope } from "./abortable.ts";
import { exactly, isPage, readText } from "./exchange.ts";
import type { TokenBucket } from "./limited.ts";
import { beginningOf, type ObjectCalls, objectStorage } from "./object-storage.ts";
import { cutParts, joined, type Part, sendParts } from "./parts.ts";
import { beyondEnd, type Range } from "./range.ts";
import { readTime } from "./read-time.ts";
import { childText, escapeXml, type XmlElement } from "./read-xml.ts";
import { defaultRetryPolicy, type RetryPolicy, retry } from "./retry.ts";
import { type PartSizes, partSizesFor } from "./s3-parts.ts";
import { makeS3Send, notS3, readXmlAnswer, type S3Answer, type S3Config, type S3Send } from "./s3-request.ts";
import { defaultStallMs } from "./stall.ts";
import {
  type ListedObject,
  type PutOptions,
  type Storage,
  StorageError,
  type StoredObject,
} from "./storage.ts";

export type { S3Config } from "./s3-request.ts";

export type S3Options = {
  /** Brings the agent's proxy and certificates; without one the storage has its own connections. */
  dispatcher?: Dispatcher;
  /** Caps what is sent and fetched, at the socket. */
  bucket?: TokenBucket;
  stallMs?: number;
  /** For each request of a put. Other calls are retried by `retrying`. */
  retryPolicy?: RetryPolicy;
};

const MiB = 1024 * 1024;
/** Bytes, not only parts, are bounded: parts grow, and four of 64 MiB would be more than a job may use. */
const partLimits = { maxInFlight: 4, maxBytesInFlight: 32 * MiB };
/** Parts that are already up must be gone again within this time, whatever the server does. */
const cleanUpMs = 10_000;
const maxPlainAnswerBytes = 64 * 1024;

/** What the functions below work with. */
type S3 = { send: S3Send; retryPolicy: RetryPolicy; partSizes: PartSizes };

/**
 * A bucket of any service that speaks S3. Small objects go in one request, larger ones in parts; each request
 * of a put is repeated alone, with its bytes kept until they are acknowledged. Deleting a key also gives up
 * the unfinished uploads that a killed process left under it.
 */
export function s3(config: S3Config, options: S3Options = {}): Storage {
  const below = beginningOf(config.prefix);
  const { dispatcher, bucket, stallMs = defaultStallMs } = options;
  const send = makeS3Send(config, {
    stallMs,
    ...(dispatcher === undefined ? {} : { dispatcher }),
    ...(bucket === undefined ? {} : { bucket }),
  });
  const s3: S3 = {
    send,
    retryPolicy: options.retryPolicy ?? defaultRetryPolicy,
    partSizes: partSizesFor(config.endpoint),
  };
  const calls: ObjectCalls = {
    put: (name, body, putOptions) => put(s3, name, body, putOptions),
    read: (name, range, signal) => (range ? getRange(s3, name, range, signal) : getWhole(s3, name, signal)),
    look: (name, signal) => head(s3, name, signal),
    listPages: (prefix, signal) => listPages(s3, prefix, signal),
    async remove(name, signal) {
      await remove(s3, name, signal);
      await abortLeftUploads(s3, name, signal);
    },
  };
  return objectStorage(below, calls, bucket);
}

async function put(
  s3: S3,
  key: string,
  body: AsyncIterable<Uint8Array>,
  { signal, onBytes }: PutOptions,
): Promise<StoredObject> {
  const scope = abortScope(signal);
  const parts = cutParts(abortable(body, scope.signal), s3.partSizes);
  try {
    const first = (await parts.next()).value as Part;
    return first.isLast
      ? await putSmall(s3, key, first.bytes, scope.signal, onBytes)
      : await putInParts(s3, key, joined(first, parts), scope, onBytes);
  } catch (error) {
    scope.abort(error);
    throw error;
  } finally {
    // Closes the source, also when nothing was read beyond the first part.
    await parts.return(undefined);
    scope.end();
  }
}

async function putSmall(
  s3: S3,
  key: string,
  bytes: Uint8Array,
  signal: AbortSignal,
  onBytes: PutOptions["onBytes"],
): Promise<StoredObject> {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const headers = { "content-type": "application/octet-stream" };
  let isAcknowledged = false;
  try {
    await retry(s3.retryPolicy, signal, async () =>
      acknowledged(await s3.send({ method: "PUT", key, headers, body: bytes, sha256, signal })),
    );
    isAcknowledged = true;
    await confirm(s3, key, bytes.length, signal);
  } catch (error) {
    const etag = createHash("md5").update(bytes).digest("hex");
    await tidy((tidySignal) =>
      isAcknowledged ? remove(s3, key, tidySignal) : removeIfOurs(s3, key, etag, bytes.length, tidySignal),
    );
    throw error;
  }
  onBytes?.(bytes.length);
  return { sizeBytes: bytes.length };
}

async function putInParts(
  s3: S3,
  key: string,
  parts: AsyncIterable<Part>,
  scope: AbortScope,
  onBytes: PutOptions["onBytes"],
): Promise<StoredObject> {
  const { signal } = scope;
  const uploadId = await beginUpload(s3, key, signal);
  let sizeBytes = 0;
  let state: "sending" | "completing" | "complete" = "sending";
  let etags: string[] = [];
  try {
    etags = await sendParts(parts, partLimits, scope, async (part) => {
      const etag = await sendPart(s3, key, uploadId, part, signal);
      sizeBytes += part.bytes.length;
      onBytes?.(part.bytes.length);
      return etag;
    });
    state = "completing";
    await completeUpload(s3, key, uploadId, etags, sizeBytes, signal);
    state = "complete";
    await confirm(s3, key, sizeBytes, signal);
    return { sizeBytes };
  } catch (error) {
    await tidy(async (tidySignal) => {
      if (state === "complete") return remove(s3, key, tidySignal);
      await abortUpload(s3, key, uploadId, tidySignal);
      if (state === "completing") await removeIfOurs(s3, key, joinedEtag(etags), sizeBytes, tidySignal);
    });
    throw error;
  }
}

/** A try whose answer was lost may have begun an upload that nobody knows of, so those of this key are given up. */
async function beginUpload(s3: S3, key: string, signal: AbortSignal): Promise<string> {
  const headers = { "content-type": "application/octet-stream" };
  try {
    return await retry(s3.retryPolicy, signal, async (number) => {
      if (number > 1) await abortLeftUploads(s3, key, signal);
      const answer = await s3.send({ method: "POST", key, query: { uploads: "" }, headers, signal });
      const uploadId = childText(await readXmlAnswer(answer, "InitiateMultipartUploadResult"), "UploadId");
      if (!uploadId) throw notS3(answer, "it holds no upload id");
      return uploadId;
    });
  } catch (error) {
    await tidy((tidySignal) => abortLeftUploads(s3, key, tidySignal));
    throw error;
  }
}

async function sendPart(
  s3: S3,
  key: string,
  uploadId: string,
  part: Part,
  signal: AbortSignal,
): Promise<string> {
  const sha256 = createHash("sha256").update(part.bytes).digest("hex");
  const query = { partNumber: String(part.number), uploadId };
  return retry(s3.retryPolicy, signal, async () =>
    acknowledged(await s3.send({ method: "PUT", key, query, body: part.bytes, sha256, signal })),
  );
}

/** An answer without an ETag comes from something that stored nothing. */
async function acknowledged(answer: S3Answer): Promise<string> {
  await readText(answer, maxPlainAnswerBytes);
  const etag = answer.headers.etag;
  if (!etag || isPage(answer)) throw notS3(answer, "it holds no ETag");
  return etag;
}

async function completeUpload(
  s3: S3,
  key: string,
  uploadId: string,
  etags: string[],
  sizeBytes: number,
  signal: AbortSignal,
): Promise<void> {
  const parts = etags.map(
    (etag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${escapeXml(etag)}</ETag></Part>`,
  );
  const xml = `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts.join("")}</CompleteMultipartUpload>`;
  const call = {
    method: "POST",
    key,
    query: { uploadId },
    headers: { "content-type": "application/xml" },
    body: Buffer.from(xml),
    signal,
  } as const;
  await retry(s3.retryPolicy, signal, async (number) => {
    try {
      await readXmlAnswer(await s3.send(call), "CompleteMultipartUploadResult");
    } catch (error) {
      // The first try may have worked with its answer lost: then the upload is gone and the object is there.
      const mayBeDone = number > 1 && error instanceof StorageError && error.kind === "not_found";
      if (!mayBeDone || !(await isOurs(s3, key, joinedEtag(etags), sizeBytes, signal))) throw error;
    }
  });
}

/** The last proof: what the server now has under the key is as long as what was sent. */
async function confirm(s3: S3, key: string, sizeBytes: number, signal: AbortSignal): Promise<void> {
  const found = await retry(s3.retryPolicy, signal, () => head(s3, key, signal));
  if (found?.sizeBytes === sizeBytes) return;
  throw new StorageError(
    "corrupt",
    `the server took ${sizeBytes} bytes but ${found === null ? "has no object" : `holds ${found.sizeBytes}`} afterwards`,
  );
}

/** Cleans up after a failure that matters more, under a signal of its own since the caller's may be aborted. */
async function tidy(action: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const signal = AbortSignal.timeout(cleanUpMs);
  await action(signal).catch(() => {});
}

/** A put whose answer was lost may have landed; what it did not replace is left alone. */
async function removeIfOurs(
  s3: S3,
  key: string,
  etag: string,
  sizeBytes: number,
  signal: AbortSignal,
): Promise<void> {
  if (await isOurs(s3, key, etag, sizeBytes, signal)) await remove(s3, key, signal);
}

async function isOurs(
  s3: S3,
  key: string,
  etag: string,
  sizeBytes: number,
  signal: AbortSignal,
): Promise<boolean> {
  const found = await head(s3, key, signal);
  return found !== null && found.sizeBytes === sizeBytes && found.etag === etag;
}

/** The ETag that S3 gives to an object made of parts: the MD5 of the parts' MD5s, and their number. */
function joinedEtag(etags: string[]): string {
  const md5 = createHash("md5");
  for (const etag of etags) md5.update(Buffer.from(unquoted(etag), "hex"));
  return `${md5.digest("hex")}-${etags.length}`;
}

const unquoted = (etag: string) => etag.replace(/^(?:W\/)?"|"$/g, "");

async function getWhole(s3: S3, key: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  const answer = await s3.send({ method: "GET", key, signal });
  return exactly(answer, objectLength(answer), signal);
}

async function getRange(
  s3: S3,
  key: string,
  range: Range,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  // HTTP has no way to ask for nothing at all.
  if (range.length === 0) return nothingOf(s3, key, range, signal);
  const headers = { range: `bytes=${range.offset}-${range.offset + range.length - 1}` };
  const answer = await s3.send({ method: "GET", key, headers, signal });
  const sizeBytes = objectLength(answer);
  if (answer.status === 206 && sizeBytes === range.length) return exactly(answer, sizeBytes, signal);
  answer.discard();
  if (answer.status === 206 && sizeBytes < range.length) throw beyondEnd(range);
  throw new StorageError("failed", `the server sent ${sizeBytes} bytes for a range of ${range.length}`);
}

async function nothingOf(
  s3: S3,
  key: string,
  range: Range,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const found = await head(s3, key, signal);
  if (found === null) throw new StorageError("not_found", "there is no such object");
  if (range.offset > found.sizeBytes) throw beyondEnd(range, found.sizeBytes);
  return (async function* () {})();
}

/** The length that an object's answer announces. Objects are never stored as pages, so a page is somebody else's. */
function objectLength(answer: S3Answer): number {
  const length = answer.headers["content-length"] ?? "";
  if (/^\d+$/.test(length) && answer.headers.etag && !isPage(answer)) return Number(length);
  answer.discard();
  throw notS3(answer, "an object has an ETag and a length");
}

async function head(
  s3: S3,
  key: string,
  signal: AbortSignal,
): Promise<{ sizeBytes: number; etag: string } | null> {
  try {
    const answer = await s3.send({ method: "HEAD", key, signal });
    await readText(answer, 0);
    return { sizeBytes: objectLength(answer), etag: unquoted(answer.headers.etag ?? "") };
  } catch (error) {
    if (error instanceof StorageError && error.kind === "not_found") return null;
    throw error;
  }
}

async function* listPages(s3: S3, prefix: string, signal: AbortSignal): AsyncGenerator<ListedObject> {
  let token = "";
  do {
    const query = { "list-type": "2", prefix, ...(token ? { "continuation-token": token } : {}) };
    const page = await readXmlAnswer(await s3.send({ method: "GET", query, signal }), "ListBucketResult");
    for (const entry of page.children) {
      signal.throwIfAborted();
      if (entry.name === "Contents") yield* listedObject(entry, prefix);
    }
    token = nextToken(page, token);
  } while (token);
}

function* listedObject(entry: XmlElement, prefix: string): Generator<ListedObject> {
  // Not childText: a key may begin or end with a space.
  const key = entry.children.find(({ name }) => name === "Key")?.text ?? "";
  const size = childText(entry, "Size");
  if (!key.startsWith(prefix) || !/^\d+$/.test(size)) {
    throw new StorageError("failed", "the server's list holds an entry without a proper key or size");
  }
  // Consoles make such empty objects to show folders; nothing here writes or could read them.
  if (!key.endsWith("/"))
    yield { key, sizeBytes: Number(size), modifiedAt: readTime(childText(entry, "LastModified")) };
}

function nextToken(page: XmlElement, last: string): string {
  if (childText(page, "IsTruncated") !== "true") return "";
  const next = childText(page, "NextContinuationToken");
  if (next && next !== last) return next;
  throw new StorageError("failed", "the server's list says that it goes on, but not where");
}

async function remove(s3: S3, key: string, signal: AbortSignal): Promise<void> {
  await deleteCall(s3, { key }, signal);
}

async function abortUpload(s3: S3, key: string, uploadId: string, signal: AbortSignal): Promise<void> {
  await retry(s3.retryPolicy, signal, () => deleteCall(s3, { key, query: { uploadId } }, signal));
}

async function deleteCall(
  s3: S3,
  what: { key: string; query?: Record<string, string> },
  signal: AbortSignal,
): Promise<void> {
  try {
    await readText(await s3.send({ method: "DELETE", ...what, signal }), maxPlainAnswerBytes);
  } catch (error) {
    if (!(error instanceof StorageError) || error.kind !== "not_found") throw error;
  }
}

/** Not every service lists uploads, and not every key may: the object itself is deleted by then, which is what counts. */
async function abortLeftUploads(s3: S3, key: string, signal: AbortSignal): Promise<void> {
  try {
    const answer = await s3.send({ method: "GET", query: { uploads: "", prefix: key }, signal });
    const page = await readXmlAnswer(answer, "ListMultipartUploadsResult");
    const uploads = page.children.filter(
      (child) => child.name === "Upload" && childText(child, "Key") === key,
    );
    for (const upload of uploads) {
      await deleteCall(s3, { key, query: { uploadId: childText(upload, "UploadId") } }, signal);
    }
  } catch {
    signal.throwIfAborted();
  }
}
