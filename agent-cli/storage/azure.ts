import { createHash, randomBytes } from "node:crypto";
import type { Dispatcher } from "undici";
import { type AbortScope, abortable, abortScope } from "./abortable.ts";
import {
  type AzureCall,
  type AzureConfig,
  type AzureSend,
  makeAzureSend,
  notAzure,
} from "./azure-request.ts";
import { exactly, type HttpAnswer, isPage, readText } from "./exchange.ts";
import type { TokenBucket } from "./limited.ts";
import { beginningOf, type ObjectCalls, objectStorage } from "./object-storage.ts";
import { cutParts, joined, type Part, sendParts } from "./parts.ts";
import { checkRangeWithin } from "./range.ts";
import { readTime } from "./read-time.ts";
import { childText, readXml, type XmlElement } from "./read-xml.ts";
import { defaultRetryPolicy, type RetryPolicy, retry } from "./retry.ts";
import { defaultStallMs } from "./stall.ts";
import {
  type ListedObject,
  type PutOptions,
  type Storage,
  StorageError,
  type StoredObject,
} from "./storage.ts";

export type AzureOptions = {
  dispatcher?: Dispatcher;
  /** Kept to at the socket: blocks would otherwise leave in bursts. */
  bucket?: TokenBucket;
  stallMs?: number;
  /** For each block and call of a put. Other calls are retried by `retrying`. */
  retryPolicy?: RetryPolicy;
};

const MiB = 1024 * 1024;
const partLimits = { maxInFlight: 4, maxBytesInFlight: 128 * MiB };
const maxBlocks = 50_000;
const maxPlainAnswerBytes = 64 * 1024;
const maxXmlBytes = 16 * MiB;
const cleanUpMs = 10_000;
/** Which put an object came from, so that one whose answer was lost can be told from what it should replace. */
const putHeader = "x-ms-meta-backupxput";

type Azure = { send: AzureSend; retryPolicy: RetryPolicy };
type Upload = { name: string; id: string; signal: AbortSignal };

/**
 * A container of Azure Blob Storage. Blocks are sent side by side and nothing is seen of them until the list that joins
 * them is accepted. Blocks of a put that failed are nobody's, and Azure drops them after a week.
 */
export function azure(config: AzureConfig, options: AzureOptions = {}): Storage {
  const below = beginningOf(config.prefix);
  const { bucket, dispatcher, stallMs = defaultStallMs } = options;
  const send = makeAzureSend(config, {
    stallMs,
    ...(dispatcher === undefined ? {} : { dispatcher }),
    ...(bucket === undefined ? {} : { bucket }),
  });
  const account: Azure = { send, retryPolicy: options.retryPolicy ?? defaultRetryPolicy };
  const calls: ObjectCalls = {
    put: (name, body, putOptions) => put(account, name, body, putOptions),
    read: (name, range, signal) => read(account, name, range, signal),
    look: (name, signal) => head(account, name, signal),
    listPages: (prefix, signal) => listPages(account, prefix, signal),
    remove: (name, signal) => remove(account, name, signal),
  };
  return objectStorage(below, calls, bucket);
}

/** 50,000 blocks are allowed, so they grow: 10,000 of 8 MiB and 40,000 of 64 make 2.5 TiB. */
function blockSizeBytes(number: number): number {
  if (number > maxBlocks) {
    throw new StorageError(
      "invalid",
      `the object is larger than ${maxBlocks} blocks, which is all that Azure takes`,
    );
  }
  return number <= 10_000 ? 8 * MiB : 64 * MiB;
}

async function put(
  account: Azure,
  name: string,
  body: AsyncIterable<Uint8Array>,
  { signal, onBytes }: PutOptions,
): Promise<StoredObject> {
  signal.throwIfAborted();
  const scope = abortScope(signal);
  const upload = { name, id: randomBytes(8).toString("hex"), signal: scope.signal };
  const parts = cutParts(abortable(body, scope.signal), blockSizeBytes);
  let isShown = false;
  const show = () => {
    isShown = true;
  };
  try {
    const first = (await parts.next()).value as Part;
    const sizeBytes = first.isLast
      ? await putWhole(account, upload, first, show)
      : await putInBlocks(account, upload, joined(first, parts), scope, show, onBytes);
    if (first.isLast && sizeBytes > 0) onBytes?.(sizeBytes);
    await confirm(account, upload, sizeBytes);
    return { sizeBytes };
  } catch (error) {
    scope.abort(error);
    if (isShown) await removeIfOurs(account, upload);
    throw error;
  } finally {
    // Closes the source, also when nothing was read beyond the first part.
    await parts.return(undefined);
    scope.end();
  }
}

async function putWhole(account: Azure, upload: Upload, { bytes }: Part, show: () => void): Promise<number> {
  const headers = { "x-ms-blob-type": "BlockBlob", [putHeader]: upload.id, ...contentHeaders(bytes) };
  show();
  await putCall(account, { name: upload.name, headers, body: bytes, signal: upload.signal });
  return bytes.length;
}

async function putInBlocks(
  account: Azure,
  upload: Upload,
  parts: AsyncIterable<Part>,
  scope: AbortScope,
  show: () => void,
  onBytes: PutOptions["onBytes"],
): Promise<number> {
  const { name, signal } = upload;
  let sizeBytes = 0;
  const ids = await sendParts(parts, partLimits, scope, async ({ number, bytes }) => {
    const blockid = blockIdOf(upload, number);
    const query = { comp: "block", blockid };
    await putCall(account, { name, query, headers: contentHeaders(bytes), body: bytes, signal });
    sizeBytes += bytes.length;
    onBytes?.(bytes.length);
    return blockid;
  });
  const list = ids.map((id) => `<Latest>${id}</Latest>`).join("");
  const body = Buffer.from(`<?xml version="1.0" encoding="utf-8"?><BlockList>${list}</BlockList>`);
  const headers = {
    ...contentHeaders(body),
    "content-type": "application/xml",
    "x-ms-blob-content-type": "application/octet-stream",
    [putHeader]: upload.id,
  };
  show();
  // Repeating it is safe: blocks that are part of the object already count too.
  await putCall(account, { name, query: { comp: "blocklist" }, headers, body, signal });
  return sizeBytes;
}

/** All ids of a blob need the same length; those of two puts must differ. */
const blockIdOf = ({ id }: Upload, number: number) =>
  Buffer.from(`${id}-${String(number).padStart(6, "0")}`).toString("base64");

const contentHeaders = (bytes: Uint8Array) => ({
  "content-type": "application/octet-stream",
  "content-md5": createHash("md5").update(bytes).digest("base64"),
});

async function putCall(account: Azure, call: Omit<AzureCall, "method">): Promise<void> {
  await retry(account.retryPolicy, call.signal, async () => {
    const answer = await account.send({ method: "PUT", ...call });
    await readText(answer, maxPlainAnswerBytes);
    if (answer.status !== 201 || !answer.headers["x-ms-request-id"])
      throw notAzure(answer, "201 was expected");
  });
}

/** The last proof: what the server now has under the name is this put's, and as long as what was sent. */
async function confirm(account: Azure, { name, id, signal }: Upload, sizeBytes: number): Promise<void> {
  const found = await retry(account.retryPolicy, signal, () => head(account, name, signal));
  if (found?.sizeBytes === sizeBytes && found.putId === id) return;
  throw new StorageError(
    "corrupt",
    `the server took ${sizeBytes} bytes but ${found === null ? "has no object" : `holds ${found.sizeBytes} bytes of some put`} afterwards`,
  );
}

/** Has its own signal, since the caller's may be aborted. What the put did not replace is left alone. */
async function removeIfOurs(account: Azure, { name, id }: Upload): Promise<void> {
  const signal = AbortSignal.timeout(cleanUpMs);
  try {
    const found = await retry(account.retryPolicy, signal, () => head(account, name, signal));
    if (found?.putId === id) await retry(account.retryPolicy, signal, () => remove(account, name, signal));
  } catch {
    // The failure that led here is the one to tell.
  }
}

async function read(
  account: Azure,
  name: string,
  range: { offset: number; length: number } | undefined,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const found = await head(account, name, signal);
  if (found === null) throw new StorageError("not_found", "there is no such object");
  if (range) checkRangeWithin(range, found.sizeBytes);
  const { offset, length } = range ?? { offset: 0, length: found.sizeBytes };
  if (length === 0) return (async function* () {})();
  const headers = { "x-ms-range": `bytes=${offset}-${offset + length - 1}` };
  const answer = await account.send({ method: "GET", name, headers, signal });
  if (answer.status === 206 && !isPage(answer)) return exactly(answer, length, signal);
  answer.discard();
  throw notAzure(answer, "a part of an object was expected");
}

async function head(
  account: Azure,
  name: string,
  signal: AbortSignal,
): Promise<{ sizeBytes: number; putId: string } | null> {
  try {
    const answer = await account.send({ method: "HEAD", name, signal });
    await readText(answer, 0);
    const length = answer.headers["content-length"] ?? "";
    if (!/^\d+$/.test(length) || !answer.headers["x-ms-request-id"])
      throw notAzure(answer, "it tells no length");
    return { sizeBytes: Number(length), putId: answer.headers[putHeader] ?? "" };
  } catch (error) {
    if (error instanceof StorageError && error.kind === "not_found") return null;
    throw error;
  }
}

async function* listPages(account: Azure, prefix: string, signal: AbortSignal): AsyncGenerator<ListedObject> {
  let marker = "";
  do {
    const query = { restype: "container", comp: "list", prefix, ...(marker ? { marker } : {}) };
    const answer = await account.send({ method: "GET", query, signal });
    const page = readPage(await readText(answer, maxXmlBytes), answer);
    const blobs = page.children.find(({ name }) => name === "Blobs")?.children ?? [];
    for (const blob of blobs) {
      signal.throwIfAborted();
      if (blob.name === "Blob") yield listedObject(blob, prefix);
    }
    const next = childText(page, "NextMarker");
    if (next && next === marker)
      throw new StorageError("failed", "the server's list says that it goes on, but not where");
    marker = next;
  } while (marker);
}

function readPage(text: string, answer: HttpAnswer): XmlElement {
  try {
    const root = readXml(text.replace(/^\uFEFF/, ""));
    if (root.name === "EnumerationResults") return root;
  } catch {
    // Whatever it is, it is not a list.
  }
  throw notAzure(answer, "a list was expected");
}

function listedObject(blob: XmlElement, prefix: string): ListedObject {
  // Not childText: a name may begin or end with a space.
  const key = blob.children.find(({ name }) => name === "Name")?.text ?? "";
  const properties = blob.children.find(({ name }) => name === "Properties");
  const size = properties ? childText(properties, "Content-Length") : "";
  if (!key.startsWith(prefix) || !/^\d+$/.test(size)) {
    throw new StorageError("failed", "the server's list holds an entry without a proper name or size");
  }
  const modifiedAt = properties ? readTime(childText(properties, "Last-Modified")) : null;
  return { key, sizeBytes: Number(size), modifiedAt };
}

async function remove(account: Azure, name: string, signal: AbortSignal): Promise<void> {
  try {
    // An object with snapshots is deleted only along with them.
    const headers = { "x-ms-delete-snapshots": "include" };
    await readText(await account.send({ method: "DELETE", name, headers, signal }), maxPlainAnswerBytes);
  } catch (error) {
    if (!(error instanceof StorageError) || error.kind !== "not_found") throw error;
  }
}
