import type { Dispatcher } from "undici";
import { sleep } from "./abortable.ts";
import { checkRoundTrip } from "./check-round-trip.ts";
import {
  encodePath,
  exactly,
  exchange,
  type HttpAnswer,
  isPage,
  kindOfStatus,
  makeOwnDispatcher,
  readText,
  withoutSecrets,
} from "./exchange.ts";
import { checkKey, checkPrefix, isPartialName } from "./key.ts";
import { putByRename, type RenamingPut } from "./put-by-rename.ts";
import { checkRange, checkRangeWithin } from "./range.ts";
import { readTime } from "./read-time.ts";
import { childText, readXml, type XmlElement } from "./read-xml.ts";
import { defaultRetryPolicy, type RetryPolicy, retry } from "./retry.ts";
import { defaultStallMs } from "./stall.ts";
import { type ListedObject, type Storage, StorageError, type StorageErrorKind } from "./storage.ts";

export type WebdavConfig = {
  /** The collection that keys are below. Only its last segment is made when it is missing. */
  url: string;
  username?: string;
  password?: string;
};

export type WebdavOptions = {
  dispatcher?: Dispatcher;
  stallMs?: number;
  /** For each request of a put. Other calls are retried by `retrying`. */
  retryPolicy?: RetryPolicy;
};

const MiB = 1024 * 1024;
/** WebDAV cannot go on with a broken PUT, so one is repeated only while all that was sent is still kept. */
const windowBytes = 16 * MiB;
const maxPlainAnswerBytes = 64 * 1024;
/** A collection of some hundred thousand files. */
const maxListBytes = 128 * MiB;
const cleanUpMs = 10_000;
const lateWritesMs = [0, 100, 400];
const wanted =
  '<?xml version="1.0" encoding="utf-8"?><D:propfind xmlns:D="DAV:"><D:prop><D:resourcetype/><D:getcontentlength/><D:getlastmodified/></D:prop></D:propfind>';

type Send = (
  method: string,
  path: string,
  signal: AbortSignal,
  more?: { headers?: Record<string, string>; body?: Uint8Array | AsyncIterable<Uint8Array> },
) => Promise<HttpAnswer>;
type Webdav = { send: Send; retryPolicy: RetryPolicy; made: Set<string> };
type Entry = { path: string; isCollection: boolean; sizeBytes: number; modifiedAt: number | null };

/**
 * A WebDAV server. An object under `a/b` is the file `a/b`; while it is written it is `a/b.partial-<random>`, then
 * MOVE gives it its name. Empty collections stay: WebDAV has no way to remove one only if it is still empty.
 */
export function webdav(config: WebdavConfig, options: WebdavOptions = {}): Storage {
  const dav: Webdav = {
    send: makeSend(config, options),
    retryPolicy: options.retryPolicy ?? defaultRetryPolicy,
    made: new Set(),
  };

  const storage: Omit<Storage, "check"> = {
    put: (key, body, putOptions) =>
      putByRename(checkKey(key), body, putOptions, renamingPut(dav, key, putOptions.signal)),

    async get(key, { signal, range }) {
      checkKey(key);
      if (range) checkRange(range);
      const found = await statFile(dav, key, signal);
      if (!found) throw new StorageError("not_found", "there is no such object");
      if (range) checkRangeWithin(range, found.sizeBytes);
      const { offset, length } = range ?? { offset: 0, length: found.sizeBytes };
      if (length === 0) return (async function* () {})();
      const isWhole = length === found.sizeBytes;
      const answer = await dav.send("GET", key, signal, {
        headers: {
          "accept-encoding": "identity",
          ...(isWhole ? {} : { range: `bytes=${offset}-${offset + length - 1}` }),
        },
      });
      if (answer.status === (isWhole ? 200 : 206)) return exactly(answer, length, signal);
      answer.discard();
      throw new StorageError("failed", `the server answered ${answer.status} to a read of ${length} bytes`);
    },

    async stat(key, { signal }) {
      const found = await statFile(dav, checkKey(key), signal);
      return found && { sizeBytes: found.sizeBytes };
    },

    async *list(prefix, { signal }) {
      checkPrefix(prefix);
      signal.throwIfAborted();
      yield* listBelow(dav, prefix.slice(0, prefix.lastIndexOf("/") + 1), prefix, signal);
    },

    async delete(key, { signal }) {
      checkKey(key);
      // DELETE takes a collection with all that is in it, so it must be sure that this is a file.
      if (await statFile(dav, key, signal)) await remove(dav, key, signal);
      await removePartials(dav, key, signal);
    },
  };
  return { ...storage, check: (checkOptions) => checkRoundTrip(storage, checkOptions) };
}

/** One put of this place, as `putByRename` asks for it. */
function renamingPut(dav: Webdav, key: string, signal: AbortSignal): RenamingPut {
  return {
    windowBytes,
    retryPolicy: dav.retryPolicy,
    async send(partial, replay) {
      await makeParents(dav, key, signal);
      const answer = await dav.send("PUT", partial, signal, {
        headers: { "content-type": "application/octet-stream" },
        body: replay.from(0),
      });
      await readText(answer, maxPlainAnswerBytes);
      await confirm(dav, partial, replay.endBytes, signal);
    },
    async resumeAt() {
      dav.made.clear();
      return 0;
    },
    rename: (partial, sizeBytes) => move(dav, partial, key, sizeBytes, signal),
    tidy: (partial, mayBeMoved) => tidy(dav, partial, mayBeMoved ? key : undefined),
  };
}

/** The proof that all arrived: what the server now has is as long as what was sent. */
async function confirm(dav: Webdav, path: string, sizeBytes: number, signal: AbortSignal): Promise<void> {
  const found = await retry(dav.retryPolicy, signal, () => statFile(dav, path, signal));
  if (found?.sizeBytes === sizeBytes) return;
  throw new StorageError(
    "corrupt",
    `the server took ${sizeBytes} bytes but ${found ? `holds ${found.sizeBytes}` : "has no file"} afterwards`,
    { permanent: false },
  );
}

async function move(
  dav: Webdav,
  from: string,
  to: string,
  sizeBytes: number,
  signal: AbortSignal,
): Promise<void> {
  await retry(dav.retryPolicy, signal, async (number) => {
    try {
      const headers = { destination: to, overwrite: "T" };
      await readText(await dav.send("MOVE", from, signal, { headers }), maxPlainAnswerBytes);
    } catch (error) {
      // The first try may have worked with its answer lost: then the file has its new name already.
      const mayBeDone = number > 1 && error instanceof StorageError && error.kind === "not_found";
      if (!mayBeDone || (await statFile(dav, to, signal))?.sizeBytes !== sizeBytes) throw error;
    }
  });
}

/**
 * Has its own signal, since the caller's may be aborted. A file that got its final name after all is taken back. Some
 * servers write what they have of a broken PUT a moment after its connection is gone, so it is looked for again.
 */
async function tidy(dav: Webdav, partial: string, movedTo: string | undefined): Promise<void> {
  const signal = AbortSignal.timeout(cleanUpMs);
  const policy = { ...dav.retryPolicy, attempts: Math.min(3, dav.retryPolicy.attempts) };
  const isThere = async () => (await statFile(dav, partial, signal)) !== null;
  try {
    if (movedTo !== undefined && !(await retry(policy, signal, isThere))) {
      return await retry(policy, signal, () => remove(dav, movedTo, signal));
    }
    for (const waitMs of movedTo === undefined ? lateWritesMs : [0]) {
      await sleep(waitMs, signal);
      if (await retry(policy, signal, isThere))
        await retry(policy, signal, () => remove(dav, partial, signal));
    }
  } catch {
    // The failure that led here is the one to tell.
  }
}

/** From the top, since a collection can only be made in one that is there. What was made once is not asked for again. */
async function makeParents(dav: Webdav, key: string, signal: AbortSignal): Promise<void> {
  const segments = key.split("/").slice(0, -1);
  for (let count = 0; count <= segments.length; count += 1) {
    const path = segments.slice(0, count).join("/");
    if (dav.made.has(path)) continue;
    await makeCollection(dav, path === "" ? "" : `${path}/`, signal);
    dav.made.add(path);
  }
}

async function makeCollection(dav: Webdav, path: string, signal: AbortSignal): Promise<void> {
  try {
    await readText(await dav.send("MKCOL", path, signal), maxPlainAnswerBytes);
  } catch (error) {
    // 405 is the answer for one that exists, yet some servers find other words when they may not write above it.
    signal.throwIfAborted();
    if (!(await isCollection(dav, path, signal))) throw error;
  }
}

async function isCollection(dav: Webdav, path: string, signal: AbortSignal): Promise<boolean> {
  const entries = await propfind(dav, path, "0", signal);
  return entries?.[0]?.isCollection ?? false;
}

async function statFile(dav: Webdav, path: string, signal: AbortSignal): Promise<Entry | null> {
  const found = (await propfind(dav, path, "0", signal))?.[0];
  return found && !found.isCollection ? found : null;
}

async function* listBelow(
  dav: Webdav,
  collection: string,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ListedObject> {
  for (const { name, isCollection, sizeBytes, modifiedAt } of await children(dav, collection, signal)) {
    signal.throwIfAborted();
    const key = collection + name;
    if (isCollection && (`${key}/`.startsWith(prefix) || prefix.startsWith(`${key}/`))) {
      yield* listBelow(dav, `${key}/`, prefix, signal);
    } else if (!isCollection && key.startsWith(prefix) && !isPartialName(name)) {
      yield { key, sizeBytes, modifiedAt };
    }
  }
}

type Child = Omit<Entry, "path"> & { name: string };

/** Names below a collection. A proxy may have moved the whole tree, so only what follows the collection's own path counts. */
async function children(dav: Webdav, collection: string, signal: AbortSignal): Promise<Child[]> {
  const entries = (await propfind(dav, collection, "1", signal)) ?? [];
  const bare = (path: string) => path.replace(/\/+$/, "");
  const own = entries.map(({ path }) => bare(path)).sort((a, b) => a.length - b.length)[0] ?? "";
  return entries.flatMap(({ path: whole, ...entry }) => {
    const path = bare(whole);
    const name = path.slice(own.length + 1);
    if (!path.startsWith(`${own}/`) || name === "" || name.includes("/")) return [];
    return [{ name, ...entry }];
  });
}

async function remove(dav: Webdav, path: string, signal: AbortSignal): Promise<void> {
  try {
    await readText(await dav.send("DELETE", path, signal), maxPlainAnswerBytes);
  } catch (error) {
    if (!(error instanceof StorageError) || error.kind !== "not_found") throw error;
  }
}

async function removePartials(dav: Webdav, key: string, signal: AbortSignal): Promise<void> {
  const collection = key.slice(0, key.lastIndexOf("/") + 1);
  const ofName = key.slice(collection.length);
  for (const { name } of await children(dav, collection, signal)) {
    if (isPartialName(name, ofName)) await remove(dav, collection + name, signal);
  }
}

/** What is known of a path and, at depth 1, of what is in it; null if there is nothing. */
async function propfind(
  dav: Webdav,
  path: string,
  depth: "0" | "1",
  signal: AbortSignal,
): Promise<Entry[] | null> {
  let answer: HttpAnswer;
  try {
    answer = await dav.send("PROPFIND", path, signal, {
      headers: { depth, "content-type": "application/xml; charset=utf-8" },
      body: Buffer.from(wanted),
    });
  } catch (error) {
    if (error instanceof StorageError && error.kind === "not_found") return null;
    throw error;
  }
  const text = await readText(answer, maxListBytes);
  const root = answer.status === 207 ? parseOrNull(text) : null;
  if (root?.name !== "multistatus") throw notWebdav(answer);
  return root.children.filter(({ name }) => name === "response").map(readEntry);
}

function readEntry(response: XmlElement): Entry {
  const props = response.children
    .filter(({ name }) => name === "propstat")
    .flatMap(({ children: parts }) => parts.filter(({ name }) => name === "prop"));
  const type = props.flatMap(({ children: found }) => found).find(({ name }) => name === "resourcetype");
  const isCollection = type?.children.some(({ name }) => name === "collection") ?? false;
  const textOf = (name: string) =>
    props.map((prop) => childText(prop, name)).find((text) => text !== "") ?? "";
  const length = textOf("getcontentlength");
  if (!isCollection && !/^\d+$/.test(length)) {
    throw new StorageError("failed", "the server lists a file without its length");
  }
  return {
    path: pathOfHref(childText(response, "href")),
    isCollection,
    sizeBytes: Number(length),
    modifiedAt: readTime(textOf("getlastmodified")),
  };
}

function pathOfHref(href: string): string {
  try {
    return decodeURIComponent(href.replace(/^https?:\/\/[^/]*/i, ""));
  } catch {
    throw new StorageError("failed", "the server lists a path that is not properly escaped");
  }
}

const notWebdav = (answer: HttpAnswer): StorageError =>
  new StorageError(
    "failed",
    `the server answered ${answer.status} with ${answer.headers["content-type"] || "no content type"}, ` +
      "which is not what WebDAV answers: is this address a WebDAV collection?",
  );

function parseOrNull(text: string): XmlElement | null {
  try {
    return readXml(text);
  } catch {
    return null;
  }
}

/** Sends one request below the collection. Answers that are no success, and answers that never come, are thrown. */
function makeSend(config: WebdavConfig, options: WebdavOptions): Send {
  const base = new URL(config.url);
  const root = `${base.protocol}//${base.host}${base.pathname.replace(/\/+$/, "")}`;
  const login = Buffer.from(`${config.username}:${config.password ?? ""}`).toString("base64");
  const authorization = config.username ? { authorization: `Basic ${login}` } : {};
  const exchanging = {
    dispatcher: options.dispatcher ?? makeOwnDispatcher(),
    stallMs: options.stallMs ?? defaultStallMs,
    clean: (text: string) => withoutSecrets(text, [config.password, login]),
  };
  const urlOf = (path: string) => `${root}/${encodePath(path)}`;
  return async (method, path, signal, { headers = {}, body } = {}) => {
    const { destination, ...others } = headers;
    const sent = {
      ...others,
      ...authorization,
      ...(destination === undefined ? {} : { destination: urlOf(destination) }),
    };
    const answer = await exchange({ method, url: urlOf(path), headers: sent, body, signal }, exchanging);
    if (answer.status < 300) {
      // An old page at a wrong address answers 200 to anything; those that write never answer so.
      if (answer.status === 200 && method !== "GET" && isPage(answer)) {
        answer.discard();
        throw notWebdav(answer);
      }
      return answer;
    }
    answer.discard();
    throw faultOf(answer, method, base.host);
  };
}

function faultOf({ status, headers }: HttpAnswer, method: string, host: string): StorageError {
  const [kind, permanent] = kindOf(status);
  const challenge = headers["www-authenticate"] ?? "";
  const asksFor =
    status === 401 && challenge && !/\bbasic\b/i.test(challenge) ? challenge.split(/[\s,]/)[0] : "";
  const advice = asksFor
    ? `it asks for ${asksFor} authentication, only Basic is known here`
    : statusWords[status];
  const words = `${host}: ${method} was answered ${status}${advice ? `: ${advice}` : ""}`;
  return new StorageError(kind, words, { permanent });
}

const statusWords: Record<number, string> = {
  // Apache's own limit is 1 GiB, nginx's 1 MiB.
  413: "the server takes no file of this size (Apache: LimitRequestBody, nginx: client_max_body_size)",
  507: "no space is left on the server",
};

function kindOf(status: number): [kind: StorageErrorKind, permanent: boolean] {
  if (status === 410) return ["not_found", true];
  if (status === 413) return ["full", true];
  // Locked by somebody, and a parent that another delete took away, both pass.
  if (status === 423 || status === 409) return ["failed", false];
  if (status === 501 || status === 505) return ["invalid", true];
  return kindOfStatus(status);
}
