import { randomBytes } from "node:crypto";
import { posix } from "node:path";
import type { FileEntryWithStats, SFTPWrapper, Stats } from "ssh2";
import { type AbortScope, abortable, abortScope } from "./abortable.ts";
import { checkRoundTrip } from "./check-round-trip.ts";
import { checkKey, checkPrefix, isPartialName, partialName } from "./key.ts";
import { cutParts, type Part, sendParts } from "./parts.ts";
import { checkRange, checkRangeWithin, type Range } from "./range.ts";
import { defaultRetryPolicy, type RetryPolicy, retry } from "./retry.ts";
import { ask, openSessions, type Session, type Sessions, type SftpConfig } from "./sftp-session.ts";
import { defaultStallMs } from "./stall.ts";
import {
  type ListedObject,
  type PutOptions,
  type Storage,
  StorageError,
  type StoredObject,
} from "./storage.ts";

export type SftpOptions = {
  stallMs?: number;
  /** For each part and call of a put. Other calls are retried by `retrying`. */
  retryPolicy?: RetryPolicy;
};

const MiB = 1024 * 1024;
const partBytes = 4 * MiB;
const partLimits = { maxInFlight: 3, maxBytesInFlight: 3 * partBytes };
/** What every server takes in one packet. */
const packetBytes = 32 * 1024;
/** Packets on their way for each part: a line of 50 ms still carries 60 MB/s. */
const packetsInFlight = 32;
const cleanUpMs = 10_000;
const status = { noSuchFile: 2, failure: 4 };

type Sftp = { sessions: Sessions; root: string; stallMs: number; retryPolicy: RetryPolicy };
type Call<T> = (sftp: SFTPWrapper, done: (error?: Error | null, result?: T) => void) => void;

/**
 * A directory of an SSH server. An object under `a/b` is the file `a/b`; while it is written it is
 * `a/b.partial-<random>`. Packets are sent without waiting for each other's answers, and a part whose connection
 * broke is written again, at its own place, over a new one.
 */
export function sftp(config: SftpConfig, options: SftpOptions = {}): Storage {
  const place: Sftp = {
    sessions: openSessions(config),
    root: config.path.replace(/(?<=.)\/+$/, "") || ".",
    stallMs: options.stallMs ?? defaultStallMs,
    retryPolicy: options.retryPolicy ?? defaultRetryPolicy,
  };
  const pathOf = (key: string) => posix.join(place.root, checkKey(key));

  const storage: Omit<Storage, "check"> = {
    put: (key, body, putOptions) => put(place, pathOf(key), body, putOptions),

    async get(key, { signal, range }) {
      const path = pathOf(key);
      if (range) checkRange(range);
      const found = await place.sessions.use(signal, (session) => statFile(place, session, path, signal));
      if (!found) throw new StorageError("not_found", "there is no such object");
      if (range) checkRangeWithin(range, found.size);
      return abortable(readFile(place, path, range ?? { offset: 0, length: found.size }, signal), signal);
    },

    async stat(key, { signal }) {
      const path = pathOf(key);
      const found = await place.sessions.use(signal, (session) => statFile(place, session, path, signal));
      return found && { sizeBytes: found.size };
    },

    async *list(prefix, { signal }) {
      checkPrefix(prefix);
      signal.throwIfAborted();
      yield* listBelow(place, prefix.slice(0, prefix.lastIndexOf("/") + 1), prefix, signal);
    },

    async delete(key, { signal }) {
      const path = pathOf(key);
      await place.sessions.use(signal, async (session) => {
        if (await statFile(place, session, path, signal)) await unlink(place, session, path, signal);
        for (const { filename } of await readDirectory(place, session, posix.dirname(path), signal)) {
          if (!isPartialName(filename, posix.basename(path))) continue;
          await unlink(place, session, posix.join(posix.dirname(path), filename), signal);
        }
        await removeEmptyParents(place, session, path, signal);
      });
    },
  };
  return {
    ...storage,
    check: (checkOptions) => checkRoundTrip(storage, checkOptions),
  };
}

async function put(
  place: Sftp,
  path: string,
  body: AsyncIterable<Uint8Array>,
  { signal, onBytes }: PutOptions,
): Promise<StoredObject> {
  const partial = partialName(path, randomBytes(8).toString("hex"));
  const scope = abortScope(signal);
  const source = abortable(body, scope.signal);
  const file = openedFile(place, partial);
  let step: "writing" | "renaming" = "writing";
  try {
    await again(place, scope.signal, (session) => file(session, scope.signal));
    const sizeBytes = await writeParts(
      place,
      file,
      cutParts(source, () => partBytes),
      scope,
      onBytes,
    );
    await again(place, scope.signal, async (session) =>
      finish(place, session, await file(session, scope.signal), sizeBytes, scope.signal),
    );
    step = "renaming";
    await again(place, scope.signal, (session, number) =>
      rename(place, session, partial, path, number > 1 ? sizeBytes : undefined, scope.signal),
    );
    return { sizeBytes };
  } catch (error) {
    await tidy(place, partial, step === "renaming" ? path : undefined);
    throw error;
  } finally {
    await source.return(undefined);
    scope.end();
  }
}

async function writeParts(
  place: Sftp,
  file: OpenedFile,
  parts: AsyncIterable<Part>,
  scope: AbortScope,
  onBytes: PutOptions["onBytes"],
): Promise<number> {
  let sizeBytes = 0;
  await sendParts(parts, partLimits, scope, async (part) => {
    await again(place, scope.signal, async (session) => {
      const handle = await file(session, scope.signal);
      await writePart(place, session, handle, part, scope.signal);
    });
    sizeBytes += part.bytes.length;
    onBytes?.(part.bytes.length);
  });
  return sizeBytes;
}

async function writePart(
  place: Sftp,
  session: Session,
  handle: Buffer,
  { number, bytes }: Part,
  signal: AbortSignal,
): Promise<void> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const start = (number - 1) * partBytes;
  let next = 0;
  const writeSome = async () => {
    while (next < buffer.length) {
      const offset = next;
      const length = Math.min(packetBytes, buffer.length - offset);
      next += length;
      await call<void>(place, session, signal, (sftp, done) =>
        sftp.write(handle, buffer, offset, length, start + offset, done),
      );
    }
  };
  try {
    // All, also when one has failed: the buffer is filled again once this returns.
    const all = await Promise.allSettled(Array.from({ length: packetsInFlight }, writeSome));
    const failed = all.find((outcome) => outcome.status === "rejected");
    if (failed) throw failed.reason;
  } catch (error) {
    throw await fullIfFull(place, session, error, signal);
  }
}

type OpenedFile = (session: Session, signal: AbortSignal) => Promise<Buffer>;

/** The file that is being written, opened once for each connection; only the first time it may be made. */
function openedFile(place: Sftp, path: string): OpenedFile {
  const handles = new WeakMap<Session, Promise<Buffer>>();
  let isMade = false;
  const open = async (session: Session, signal: AbortSignal) => {
    const handle = isMade ? await openOld(session, signal) : await createFile(place, session, path, signal);
    isMade = true;
    return handle;
  };
  const openOld = (session: Session, signal: AbortSignal) =>
    call<Buffer>(place, session, signal, (sftp, done) => sftp.open(path, "r+", done));
  return (session, signal) => {
    const handle = handles.get(session) ?? open(session, signal);
    handles.set(session, handle);
    handle.catch(() => handles.delete(session));
    return handle;
  };
}

/** A delete next to us may take away the directory between its making and the file's, hence more than one try. */
async function createFile(place: Sftp, session: Session, path: string, signal: AbortSignal): Promise<Buffer> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await call<Buffer>(place, session, signal, (sftp, done) => sftp.open(path, "w", 0o600, done));
    } catch (error) {
      if (!isAbsence(error) || tries === 5) throw error;
    }
    await makeParents(place, session, path, signal);
  }
}

/** Of the root only the last directory is made: a parent that is missing is rather a disk that is not mounted. */
async function makeParents(place: Sftp, session: Session, path: string, signal: AbortSignal): Promise<void> {
  const missing: string[] = [];
  for (let directory = posix.dirname(path); directory.length >= place.root.length; ) {
    missing.unshift(directory);
    if (directory === place.root || directory === posix.dirname(directory)) break;
    directory = posix.dirname(directory);
  }
  for (const directory of missing) {
    const found = await lstat(place, session, directory, signal);
    if (found?.isDirectory() || found?.isSymbolicLink()) continue;
    if (found) throw new StorageError("invalid", `SFTP: ${directory} is a file, not a directory`);
    try {
      await call<void>(place, session, signal, (sftp, done) => sftp.mkdir(directory, { mode: 0o700 }, done));
    } catch (error) {
      signal.throwIfAborted();
      // Another put may have made it in between.
      if (await lstat(place, session, directory, signal)) continue;
      if (!isAbsence(error)) throw error;
      throw new StorageError(
        "invalid",
        `SFTP: ${directory} cannot be made: the directory above it does not exist`,
      );
    }
  }
}

/** Flushed where the server can, and as long as what was sent. */
async function finish(
  place: Sftp,
  session: Session,
  handle: Buffer,
  sizeBytes: number,
  signal: AbortSignal,
): Promise<void> {
  await callIfKnown(place, session, signal, (sftp, done) => sftp.ext_openssh_fsync(handle, done));
  const { size } = await call<Stats>(place, session, signal, (sftp, done) => sftp.fstat(handle, done));
  if (size !== sizeBytes) {
    throw new StorageError("corrupt", `the server took ${sizeBytes} bytes but holds ${size} afterwards`);
  }
  await call<void>(place, session, signal, (sftp, done) => sftp.close(handle, done));
}

/** `doneIfBytes`: an earlier try may have worked with its answer lost; then a file of that size is there already. */
async function rename(
  place: Sftp,
  session: Session,
  from: string,
  to: string,
  doneIfBytes: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  try {
    const isDone = await callIfKnown(place, session, signal, (sftp, done) =>
      sftp.ext_openssh_rename(from, to, done),
    );
    if (isDone) return;
    // A plain rename replaces nothing, so without the extension the old object has to go first.
    if (await statFile(place, session, to, signal)) await unlink(place, session, to, signal);
    await call<void>(place, session, signal, (sftp, done) => sftp.rename(from, to, done));
  } catch (error) {
    if (!isAbsence(error) || doneIfBytes === undefined) throw error;
    if ((await statFile(place, session, to, signal))?.size !== doneIfBytes) throw error;
  }
}

/** Has its own signal, since the caller's may be aborted. A file that got its final name after all is taken back. */
async function tidy(place: Sftp, partial: string, renamedTo: string | undefined): Promise<void> {
  const signal = AbortSignal.timeout(cleanUpMs);
  try {
    await again(place, signal, async (session) => {
      const isThere = (await statFile(place, session, partial, signal)) !== null;
      const left = isThere ? partial : renamedTo;
      if (left !== undefined) await unlink(place, session, left, signal);
      await removeEmptyParents(place, session, partial, signal);
    });
  } catch {
    // The failure that led here is the one to tell.
  }
}

async function* readFile(
  place: Sftp,
  path: string,
  { offset, length }: Range,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const end = offset + length;
  const packets: Promise<Buffer>[] = [];
  // The connection is held for as long as the reader takes.
  const held = Promise.withResolvers<void>();
  const session = await new Promise<Session>((resolve, reject) => {
    place.sessions
      .use(signal, async (opened) => {
        resolve(opened);
        await held.promise;
      })
      .catch(reject);
  });
  let handle: Buffer | undefined;
  try {
    const opened = await call<Buffer>(place, session, signal, (sftp, done) => sftp.open(path, "r", done));
    handle = opened;
    for (let position = offset; position < end || packets.length > 0; ) {
      while (position < end && packets.length < packetsInFlight) {
        const packet = readPacket(
          place,
          session,
          opened,
          position,
          Math.min(packetBytes, end - position),
          signal,
        );
        // Those behind a packet that failed fail too, unheard.
        packet.catch(() => {});
        packets.push(packet);
        position += packetBytes;
      }
      yield (await packets.shift()) as Buffer;
    }
  } finally {
    const open = handle;
    if (open && !session.isGone) session.sftp.close(open, () => {});
    held.resolve();
  }
}

async function readPacket(
  place: Sftp,
  session: Session,
  handle: Buffer,
  position: number,
  length: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  for (let filled = 0; filled < length; ) {
    const bytesRead = await call<number>(place, session, signal, (sftp, done) =>
      sftp.read(handle, buffer, filled, length - filled, position + filled, done),
    );
    if (!bytesRead) {
      throw new StorageError(
        "corrupt",
        `the file became shorter while it was read: it ended at byte ${position + filled}`,
      );
    }
    filled += bytesRead;
  }
  return buffer;
}

async function* listBelow(
  place: Sftp,
  directory: string,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ListedObject> {
  const path = posix.join(place.root, directory);
  const entries = await place.sessions.use(signal, (session) => readDirectory(place, session, path, signal));
  for (const { filename, attrs } of entries) {
    signal.throwIfAborted();
    const key = directory + filename;
    if (attrs.isDirectory() && (`${key}/`.startsWith(prefix) || prefix.startsWith(`${key}/`))) {
      yield* listBelow(place, `${key}/`, prefix, signal);
    } else if (attrs.isFile() && key.startsWith(prefix) && !isPartialName(filename)) {
      yield { key, sizeBytes: attrs.size, modifiedAt: attrs.mtime * 1000 };
    }
  }
}

async function readDirectory(
  place: Sftp,
  session: Session,
  path: string,
  signal: AbortSignal,
): Promise<FileEntryWithStats[]> {
  try {
    return await call<FileEntryWithStats[]>(place, session, signal, (sftp, done) => sftp.readdir(path, done));
  } catch (error) {
    if (isAbsence(error)) return [];
    throw error;
  }
}

async function statFile(
  place: Sftp,
  session: Session,
  path: string,
  signal: AbortSignal,
): Promise<Stats | null> {
  const found = await lstat(place, session, path, signal);
  return found?.isFile() ? found : null;
}

async function lstat(
  place: Sftp,
  session: Session,
  path: string,
  signal: AbortSignal,
): Promise<Stats | null> {
  try {
    return await call<Stats>(place, session, signal, (sftp, done) => sftp.lstat(path, done));
  } catch (error) {
    if (isAbsence(error)) return null;
    throw error;
  }
}

async function unlink(place: Sftp, session: Session, path: string, signal: AbortSignal): Promise<void> {
  try {
    await call<void>(place, session, signal, (sftp, done) => sftp.unlink(path, done));
  } catch (error) {
    if (!isAbsence(error)) throw error;
  }
}

async function removeEmptyParents(
  place: Sftp,
  session: Session,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  for (let directory = posix.dirname(path); directory.length > place.root.length; ) {
    if (directory === "." || directory === place.root) return;
    try {
      await call<void>(place, session, signal, (sftp, done) => sftp.rmdir(directory, done));
    } catch (error) {
      signal.throwIfAborted();
      // Somebody else's file is in it, or it is not ours to remove: either way it stays.
      if (!isAbsence(error)) return;
    }
    directory = posix.dirname(directory);
  }
}

/** SFTP version 3 has no word for a full disk, so a server that fails without a reason is asked how much it has left. */
async function fullIfFull(
  place: Sftp,
  session: Session,
  error: unknown,
  signal: AbortSignal,
): Promise<unknown> {
  if (!isStatus(error, status.failure) || signal.aborted) return error;
  type Space = { f_bavail: number | bigint };
  let space: Space | undefined;
  await callIfKnown(place, session, signal, (sftp, done) =>
    sftp.ext_openssh_statvfs(place.root, (failure, found) => {
      space = found as unknown as Space;
      done(failure);
    }),
  ).catch(() => {});
  if (space === undefined || Number(space.f_bavail) > 0) return error;
  return new StorageError("full", "SFTP: no space is left on the server", { cause: error });
}

/** Runs `action` on a connection, and again on a new one if that may help. */
const again = <T>(
  place: Sftp,
  signal: AbortSignal,
  action: (session: Session, number: number) => Promise<T>,
): Promise<T> =>
  retry(place.retryPolicy, signal, (number) =>
    place.sessions.use(signal, (session) => action(session, number)),
  );

const call = <T>(place: Sftp, session: Session, signal: AbortSignal, start: Call<T>): Promise<T> =>
  ask(session, signal, place.stallMs, start);

/** The same for an extension; false if the server does not have it. */
async function callIfKnown(
  place: Sftp,
  session: Session,
  signal: AbortSignal,
  start: Call<void>,
): Promise<boolean> {
  try {
    await call(place, session, signal, start);
    return true;
  } catch (error) {
    if (error instanceof Error && /does not support/.test(error.message)) return false;
    throw error;
  }
}

const isAbsence = (error: unknown) => isStatus(error, status.noSuchFile);
const isStatus = (error: unknown, code: number) =>
  error instanceof StorageError && (error.cause as { code?: unknown } | undefined)?.code === code;
