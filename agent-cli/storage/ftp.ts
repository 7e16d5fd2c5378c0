import { once } from "node:events";
import { posix } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { Client, type FileInfo, FTPError } from "basic-ftp";
import { abortable } from "./abortable.ts";
import { checkRoundTrip } from "./check-round-trip.ts";
import { networkError, streamed, withoutSecrets } from "./exchange.ts";
import { checkKey, checkPrefix, isPartialName } from "./key.ts";
import { putByRename, type RenamingPut } from "./put-by-rename.ts";
import { checkRange, checkRangeWithin, type Range } from "./range.ts";
import type { Replay } from "./replay.ts";
import { defaultRetryPolicy, type RetryPolicy, retry } from "./retry.ts";
import { defaultStallMs, failWhenStalled, type StallWatch, watchForStall } from "./stall.ts";
import { type ListedObject, type Storage, StorageError, type StorageErrorKind } from "./storage.ts";

export type FtpConfig = {
  host: string;
  port: number;
  /** `explicit` begins in the clear and turns to TLS before the login, `implicit` is TLS from the first byte. */
  tls: "explicit" | "implicit" | "none";
  username: string;
  password: string;
  /** The directory that keys are below; relative ones begin where the login ends up. */
  path: string;
};

export type FtpOptions = {
  stallMs?: number;
  /** For each call of a put. Other calls are retried by `retrying`. */
  retryPolicy?: RetryPolicy;
};

const MiB = 1024 * 1024;
/** More than the buffers of two systems hold, so a broken upload can go on from what the server has. */
const windowBytes = 16 * MiB;
const cleanUpMs = 10_000;
/** Many servers allow only a few connections for each user. */
const maxConnections = 4;
const idleMs = 1000;

/** A login. Its root is absolute, so that it does not matter where the last listing has led it. */
type Login = { client: Client; root: string };
type Ftp = {
  stallMs: number;
  retryPolicy: RetryPolicy;
  use<T>(signal: AbortSignal, action: (login: Login, watch: StallWatch) => Promise<T>): Promise<T>;
};

/**
 * A directory of an FTP server. An object under `a/b` is the file `a/b`; while it is written it is
 * `a/b.partial-<random>`. An upload that breaks goes on from what the server has of it.
 */
export function ftp(config: FtpConfig, options: FtpOptions = {}): Storage {
  const stallMs = options.stallMs ?? defaultStallMs;
  const place: Ftp = {
    stallMs,
    retryPolicy: options.retryPolicy ?? defaultRetryPolicy,
    use: makePool(config, stallMs),
  };

  const storage: Omit<Storage, "check"> = {
    put: (key, body, putOptions) =>
      putByRename(checkKey(key), body, putOptions, renamingPut(place, key, putOptions.signal)),

    async get(key, { signal, range }) {
      checkKey(key);
      if (range) checkRange(range);
      const sizeBytes = await place.use(signal, (login) => sizeOf(login, key));
      if (sizeBytes === null) throw new StorageError("not_found", "there is no such object");
      if (range) checkRangeWithin(range, sizeBytes);
      return abortable(readFile(place, key, range ?? { offset: 0, length: sizeBytes }, signal), signal);
    },

    async stat(key, { signal }) {
      checkKey(key);
      const sizeBytes = await place.use(signal, (login) => sizeOf(login, key));
      return sizeBytes === null ? null : { sizeBytes };
    },

    async *list(prefix, { signal }) {
      checkPrefix(prefix);
      signal.throwIfAborted();
      yield* listBelow(place, prefix.slice(0, prefix.lastIndexOf("/") + 1), prefix, signal);
    },

    async delete(key, { signal }) {
      checkKey(key);
      await place.use(signal, async (login) => {
        await remove(login, key);
        const directory = key.slice(0, key.lastIndexOf("/") + 1);
        for (const { name } of await readDirectory(login, directory)) {
          if (isPartialName(name, key.slice(directory.length))) await remove(login, directory + name);
        }
        await removeEmptyParents(login, key);
      });
    },
  };
  return { ...storage, check: (checkOptions) => checkRoundTrip(storage, checkOptions) };
}

/** One put of this place, as `putByRename` asks for it. */
function renamingPut(place: Ftp, key: string, signal: AbortSignal): RenamingPut {
  return {
    windowBytes,
    retryPolicy: place.retryPolicy,
    send: (partial, replay, offset) =>
      place.use(signal, (login, watch) => upload(place, login, watch, partial, replay, offset)),
    async resumeAt(partial, replay) {
      if (replay.holds(0)) return 0;
      return again(place, signal, async (login) => (await sizeOf(login, partial)) ?? 0);
    },
    rename: (partial, sizeBytes) =>
      again(place, signal, (login, number) => rename(login, partial, key, number, sizeBytes)),
    tidy: (partial, mayBeRenamed) => tidy(place, partial, mayBeRenamed ? key : undefined),
  };
}

/**
 * Written from `offset` on, at its place and not just at the end: what a connection that was given up still delivers
 * is then the same bytes at the same place.
 */
async function upload(
  place: Ftp,
  login: Login,
  watch: StallWatch,
  path: string,
  replay: Replay,
  offset: number,
): Promise<void> {
  const { client } = login;
  if (offset === 0) await makeParents(login, path);
  else await client.send(`REST ${offset}`);
  const sent = streamed(replay.from(offset), watch, { stallMs: place.stallMs });
  const body = Readable.from(afterHandshake(client, sent), {
    objectMode: false,
    highWaterMark: 256 * 1024,
  });
  try {
    await client.uploadFrom(body, pathOf(login, path));
  } finally {
    body.destroy();
  }
  watch.moved();
  const sizeBytes = await sizeOf(login, path);
  if (sizeBytes === replay.endBytes) return;
  throw new StorageError(
    "corrupt",
    `the server took ${replay.endBytes} bytes but ${sizeBytes === null ? "has no file" : `holds ${sizeBytes}`} afterwards`,
    { permanent: false },
  );
}

/** An empty file would otherwise be at its end, and its connection closed, before TLS has begun. */
async function* afterHandshake(
  client: Client,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const { dataSocket } = client.ftp;
  if (dataSocket && "secureConnecting" in dataSocket && dataSocket.secureConnecting) {
    await once(dataSocket, "secureConnect");
  }
  yield* source;
}

/** Of the root only the last directory is made: a parent that is missing is rather a disk that is not mounted. */
async function makeParents({ client, root }: Login, path: string): Promise<void> {
  const segments = path.split("/").slice(0, -1);
  if (await unlessRefused(() => client.cd(posix.join(root, ...segments)))) return;
  for (let count = 0; count <= segments.length; count += 1) {
    const directory = posix.join(root, ...segments.slice(0, count));
    try {
      await client.send(`MKD ${directory}`);
    } catch (error) {
      // It exists, or it cannot be made: only going there tells.
      if (isRefusal(error) && (await unlessRefused(() => client.cd(directory)))) continue;
      throw error;
    }
  }
}

async function rename(
  login: Login,
  from: string,
  to: string,
  number: number,
  sizeBytes: number,
): Promise<void> {
  // An earlier try may have worked with its answer lost: then the file has its new name already.
  const isMoved = number > 1 && (await sizeOf(login, from)) === null;
  if (isMoved && (await sizeOf(login, to)) === sizeBytes) return;
  try {
    await login.client.rename(pathOf(login, from), pathOf(login, to));
  } catch (error) {
    // Some servers rename over no file, so the old object has to go first.
    if (!isRefusal(error) || (await sizeOf(login, to)) === null) throw error;
    await remove(login, to);
    await login.client.rename(pathOf(login, from), pathOf(login, to));
  }
}

/** Has its own signal, since the caller's may be aborted. A file that got its final name after all is taken back. */
async function tidy(place: Ftp, partial: string, renamedTo: string | undefined): Promise<void> {
  const signal = AbortSignal.timeout(cleanUpMs);
  try {
    await again(place, signal, async (login) => {
      const isThere = (await sizeOf(login, partial)) !== null;
      const left = isThere ? partial : renamedTo;
      if (left !== undefined) await remove(login, left);
      await removeEmptyParents(login, partial);
    });
  } catch {
    // The failure that led here is the one to tell.
  }
}

async function* readFile(
  place: Ftp,
  key: string,
  { offset, length }: Range,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (length === 0) return;
  const pipe = new PassThrough({ highWaterMark: 1 * MiB });
  let leave = () => {};
  const downloaded = place.use(signal, async ({ client, root }, watch) => {
    // There is no way to stop a download but to close its connection.
    leave = () => client.close();
    watch.pause();
    await client.downloadTo(pipe, posix.join(root, key), offset);
  });
  downloaded.catch((error) => pipe.destroy(error instanceof Error ? error : new Error(String(error))));
  let leftBytes = length;
  try {
    for await (const chunk of failWhenStalled(pipe, place.stallMs, signal, "the FTP server")) {
      const wanted = chunk.subarray(0, leftBytes);
      leftBytes -= wanted.length;
      yield wanted;
      if (leftBytes === 0) break;
    }
    if (leftBytes > 0)
      throw new StorageError("unreachable", `the file's stream ended ${leftBytes} bytes early`);
  } finally {
    // A connection whose download has ended by itself can be used again.
    if (!pipe.readableEnded) leave();
    pipe.destroy();
    await downloaded.catch(() => {});
  }
}

async function* listBelow(
  place: Ftp,
  directory: string,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ListedObject> {
  const entries = await place.use(signal, (login) => readDirectory(login, directory));
  for (const { name, size, modifiedAt, isDirectory, isFile } of entries) {
    signal.throwIfAborted();
    const key = directory + name;
    if (isDirectory && (`${key}/`.startsWith(prefix) || prefix.startsWith(`${key}/`))) {
      yield* listBelow(place, `${key}/`, prefix, signal);
    } else if (isFile && key.startsWith(prefix) && !isPartialName(name)) {
      yield { key, sizeBytes: size, modifiedAt: modifiedAt?.getTime() ?? null };
    }
  }
}

/** From inside of it, since LIST takes some names for patterns and others for options. */
async function readDirectory(login: Login, directory: string): Promise<FileInfo[]> {
  const isThere = await unlessRefused(() => login.client.cd(posix.join(login.root, directory)));
  return isThere ? login.client.list() : [];
}

/** Null if there is no file of that name: servers answer 550 for directories too. */
async function sizeOf(login: Login, key: string): Promise<number | null> {
  let sizeBytes = 0;
  const isThere = await unlessRefused(async () => {
    sizeBytes = await login.client.size(pathOf(login, key));
  });
  return isThere ? sizeBytes : null;
}

async function remove(login: Login, key: string): Promise<void> {
  try {
    await login.client.remove(pathOf(login, key));
  } catch (error) {
    if (!isRefusal(error) || (await sizeOf(login, key)) !== null) throw error;
  }
}

/** A server refuses to remove what is not empty: then it stays, and what is above it too. */
async function removeEmptyParents(login: Login, key: string): Promise<void> {
  const segments = key.split("/").slice(0, -1);
  for (let count = segments.length; count > 0; count -= 1) {
    const directory = posix.join(login.root, ...segments.slice(0, count));
    // Some servers remove no directory that a connection is in.
    await login.client.cd(login.root);
    if (!(await unlessRefused(() => login.client.send(`RMD ${directory}`)))) return;
  }
}

const pathOf = ({ root }: Login, key: string) => posix.join(root, key);

/** False if the server refused for good (550 or 553): there is no such file, it is there already, or it may not be. */
async function unlessRefused(action: () => Promise<unknown>): Promise<boolean> {
  try {
    await action();
    return true;
  } catch (error) {
    if (isRefusal(error)) return false;
    throw error;
  }
}

const isRefusal = (error: unknown) => error instanceof FTPError && [521, 550, 553].includes(error.code);

const again = <T>(
  place: Ftp,
  signal: AbortSignal,
  action: (login: Login, number: number) => Promise<T>,
): Promise<T> =>
  retry(place.retryPolicy, signal, (number) => place.use(signal, (login) => action(login, number)));

/**
 * Lends out logins, one for each call at a time. A call that fails in any way costs its login: what state the
 * connection is in then is not known. Idle ones are closed after a moment.
 */
function makePool(config: FtpConfig, stallMs: number): Ftp["use"] {
  const idle: { login: Login; timer: NodeJS.Timeout }[] = [];
  const waiting: (() => void)[] = [];
  let lent = 0;

  const take = async (client: Client): Promise<Login> => {
    for (let last = idle.pop(); last; last = idle.pop()) {
      clearTimeout(last.timer);
      if (!last.login.client.closed) return last.login;
    }
    return logIn(client, config);
  };
  const giveBack = (login: Login) => {
    const timer = setTimeout(() => login.client.close(), idleMs).unref();
    idle.push({ login, timer });
  };
  const turn = async (signal: AbortSignal) => {
    while (lent >= maxConnections) await new Promise<void>((resolve) => waiting.push(resolve));
    signal.throwIfAborted();
    lent += 1;
  };
  return async (signal, action) => {
    signal.throwIfAborted();
    await turn(signal);
    const watch = watchForStall(stallMs, signal, `${config.host}:${config.port}`);
    const fresh = new Client(0);
    let used = fresh;
    const onAbort = () => used.close();
    watch.signal.addEventListener("abort", onAbort, { once: true });
    try {
      const login = await take(fresh);
      used = login.client;
      watch.moved();
      watch.signal.throwIfAborted();
      const result = await action(login, watch);
      giveBack(login);
      return result;
    } catch (error) {
      used.close();
      throw inWords(error, watch.signal, config);
    } finally {
      watch.stop();
      watch.signal.removeEventListener("abort", onAbort);
      lent -= 1;
      waiting.shift()?.();
    }
  };
}

async function logIn(client: Client, config: FtpConfig): Promise<Login> {
  const { host, port, username, password, tls } = config;
  const secure = tls === "none" ? false : tls === "implicit" ? "implicit" : true;
  await client.access({ host, port, user: username, password, secure });
  return {
    client,
    root: config.path.startsWith("/") ? config.path : posix.join(await client.pwd(), config.path),
  };
}

function inWords(error: unknown, signal: AbortSignal, config: FtpConfig): unknown {
  const place = `${config.host}:${config.port}`;
  const clean = (text: string) => withoutSecrets(text, [config.password]);
  if (!(error instanceof FTPError)) return networkError(error, signal, place, clean);
  if (signal.aborted) return signal.reason;
  const [kind, permanent] = kindOf(error.code, error.message);
  return new StorageError(kind, clean(`${place}: ${error.message}`), { permanent });
}

/** FTP has few codes, so the server's words decide what a refusal is about. */
function kindOf(code: number, words: string): [kind: StorageErrorKind, permanent: boolean] {
  if (code === 552 || code === 452 || /no space|quota/i.test(words)) return ["full", true];
  if (code === 530 || code === 532 || /denied|not permitted|not allowed/i.test(words))
    return ["denied", true];
  // Not found or not now: a directory that another delete took away is made again.
  if (code === 550 || code === 553) return ["failed", false];
  if (code >= 400 && code < 500) return ["unreachable", false];
  return ["invalid", true];
}
