import { randomBytes } from "node:crypto";
import { type Dirent, type Stats, unlinkSync } from "node:fs";
import { type FileHandle, lstat, mkdir, open, readdir, rename, rmdir, unlink } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { openFlags } from "../open-flags.ts";
import { abortable } from "./abortable.ts";
import { checkRoundTrip } from "./check-round-trip.ts";
import { checkKey, checkPrefix, isPartialName, partialName } from "./key.ts";
import { checkRangeWithin, type Range } from "./range.ts";
import { type ListedObject, type Storage, StorageError, type StorageErrorKind } from "./storage.ts";

export type LocalDiskConfig = { path: string };

const directoryMode = 0o700;
const fileMode = 0o600;
const readBytes = 1024 * 1024;
/** Written bytes between two flushes: bounds how long the last one takes, and with it how long an abort waits. */
const flushEveryBytes = 64 * 1024 * 1024;

/**
 * A directory of this machine, or one that is mounted here. An object under `a/b` is the file `a/b`; while it is
 * written it is `a/b.partial-<random>`. Deleting a key also removes what a killed process left under that name.
 */
export function localDisk(config: LocalDiskConfig): Storage {
  if (!isAbsolute(config.path)) {
    throw new StorageError("invalid", `the directory ${config.path} is not an absolute path`);
  }
  const root = resolve(config.path);
  const pathOf = (key: string) => join(root, checkKey(key));

  const storage: Omit<Storage, "check"> = {
    async put(key, body, { signal, onBytes }) {
      const path = pathOf(key);
      signal.throwIfAborted();
      await inWords(root, () => makeRoot(root));
      return { sizeBytes: await writeWhole(root, path, abortable(body, signal), signal, onBytes) };
    },

    async get(key, { signal, range }) {
      const path = pathOf(key);
      signal.throwIfAborted();
      const stats = await inWords(path, () => statIfThere(path));
      if (!stats?.isFile()) throw absence(path);
      if (range) checkRangeWithin(range, stats.size);
      return abortable(
        readWhole(path, stats.size, range ?? { offset: 0, length: stats.size }, signal),
        signal,
      );
    },

    async stat(key, { signal }) {
      const path = pathOf(key);
      signal.throwIfAborted();
      return inWords(path, async () => {
        const stats = await statIfThere(path);
        return stats?.isFile() ? { sizeBytes: stats.size } : null;
      });
    },

    async *list(prefix, { signal }) {
      checkPrefix(prefix);
      signal.throwIfAborted();
      const directory = prefix.slice(0, prefix.lastIndexOf("/") + 1);
      yield* listBelow(root, directory, prefix, signal);
    },

    async delete(key, { signal }) {
      const path = pathOf(key);
      signal.throwIfAborted();
      await inWords(path, async () => {
        await unlinkIfThere(path);
        await unlinkPartials(path);
        await removeEmptyParents(root, path);
      });
    },
  };
  return {
    ...storage,
    pathOf,
    async check(options) {
      await inWords(root, () => makeRoot(root));
      await checkRoundTrip(storage, options);
    },
  };
}

/** Only the last directory is made: a parent that is missing is rather a disk that is not mounted. */
async function makeRoot(root: string): Promise<void> {
  try {
    await mkdir(root, { mode: directoryMode });
  } catch (error) {
    if (codeOf(error) === "ENOENT") {
      throw new StorageError("invalid", `${root} does not exist, and neither does the directory above it`);
    }
    if (codeOf(error) !== "EEXIST") throw error;
  }
}

async function writeWhole(
  root: string,
  path: string,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  onBytes: ((bytes: number) => void) | undefined,
): Promise<number> {
  const partial = partialName(path, randomBytes(8).toString("hex"));
  const drop = () => unlinkNow(partial);
  try {
    const file = await inWords(path, () => createFile(root, partial));
    // At once, and not when the write that is under way has had its turn: that may be after this process was killed.
    signal.addEventListener("abort", drop, { once: true });
    const sizeBytes = await thenClose(file, () =>
      writeAll(file, path, body, onBytes).catch((error) => {
        drop();
        throw error;
      }),
    ).finally(() => signal.removeEventListener("abort", drop));
    signal.throwIfAborted();
    await inWords(path, () => rename(partial, path));
    await inWords(path, () => syncDirectories(root, dirname(path)));
    return sizeBytes;
  } catch (error) {
    await unlinkIfThere(partial).catch(() => {});
    await removeEmptyParents(root, path).catch(() => {});
    throw error;
  }
}

/**
 * By this thread: Node's others may be making frames for seconds, and a process that was told to stop may not have as long.
 * Where a file that is open cannot be removed, it is once it is closed.
 */
function unlinkNow(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // The failure that led here is the one to tell.
  }
}

/** A delete next to us may take away the directory between its making and the file's, hence more than one try. */
async function createFile(root: string, path: string): Promise<FileHandle> {
  for (let tries = 1; ; tries += 1) {
    await makeBelow(root, dirname(path));
    try {
      return await open(path, "wx", fileMode);
    } catch (error) {
      if (codeOf(error) !== "ENOENT" || tries === 5) throw error;
    }
  }
}

/** Name by name: Node's recursive way never ends on a file system such as /proc, which takes no new names. */
async function makeBelow(root: string, directory: string): Promise<void> {
  if (directory === root) return;
  await makeBelow(root, dirname(directory));
  await mkdir(directory, { mode: directoryMode }).catch((error) => {
    if (codeOf(error) !== "EEXIST") throw error;
  });
}

/** Only the file's own errors get words here: the source may fail with errors of the system too, and keeps them. */
async function writeAll(
  file: FileHandle,
  path: string,
  body: AsyncIterable<Uint8Array>,
  onBytes: ((bytes: number) => void) | undefined,
): Promise<number> {
  let sizeBytes = 0;
  let unflushedBytes = 0;
  for await (const chunk of body) {
    await inWords(path, () => writeChunk(file, chunk));
    sizeBytes += chunk.length;
    unflushedBytes += chunk.length;
    onBytes?.(chunk.length);
    if (unflushedBytes >= flushEveryBytes) {
      await inWords(path, () => file.datasync());
      unflushedBytes = 0;
    }
  }
  await inWords(path, () => file.sync());
  return sizeBytes;
}

async function writeChunk(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let offset = 0; offset < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, offset, chunk.length - offset);
    offset += bytesWritten;
  }
}

/** The rename, and each directory that may be new, is safe only once its parent is on the disk too. */
async function syncDirectories(root: string, lowest: string): Promise<void> {
  // Windows opens no directories, and its file systems journal names by themselves.
  if (process.platform === "win32") return;
  for (let directory = lowest; ; directory = dirname(directory)) {
    const handle = await open(directory, "r");
    await thenClose(handle, () => handle.sync());
    if (directory === root || directory === dirname(directory)) return;
  }
}

async function thenClose<T>(file: FileHandle, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } finally {
    await file.close();
  }
}

const absence = (path: string) => new StorageError("not_found", `${path}: there is no such file`);

async function openFile(path: string): Promise<FileHandle> {
  const file = await open(path, openFlags).catch((error) => {
    throw isAbsence(error) || codeOf(error) === "ELOOP" ? absence(path) : error;
  });
  try {
    if ((await file.stat()).isFile()) return file;
    throw absence(path);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Opens the file only when somebody reads: who never begins to, having been stopped before, leaves nothing open. */
async function* readWhole(
  path: string,
  size: number,
  range: Range,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const file = await inWords(path, () => openFile(path));
  try {
    const found = await inWords(path, () => file.stat());
    if (found.size > size) throw new StorageError("corrupt", `${path} was replaced before it was read`);
    const end = range.offset + range.length;
    for (let position = range.offset; position < end; ) {
      signal.throwIfAborted();
      // A new buffer each time: the reader may keep what it was given.
      const buffer = Buffer.allocUnsafe(Math.min(readBytes, end - position));
      const { bytesRead } = await inWords(path, () => file.read(buffer, 0, buffer.length, position));
      if (bytesRead === 0) {
        throw new StorageError(
          "corrupt",
          `${path} became shorter while it was read: it ended at byte ${position}`,
        );
      }
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

async function* listBelow(
  root: string,
  directory: string,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ListedObject> {
  signal.throwIfAborted();
  for (const entry of await readDirectory(join(root, directory))) {
    const key = directory + entry.name;
    if (entry.isDirectory() && (`${key}/`.startsWith(prefix) || prefix.startsWith(`${key}/`))) {
      yield* listBelow(root, `${key}/`, prefix, signal);
    } else if (entry.isFile() && key.startsWith(prefix) && !isPartialName(entry.name)) {
      signal.throwIfAborted();
      const stats = await inWords(key, () => statIfThere(join(root, key)));
      if (stats) yield { key, sizeBytes: stats.size, modifiedAt: Math.round(stats.mtimeMs) };
    }
  }
}

async function readDirectory(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    if (isAbsence(error)) return [];
    throw inWordsOf(error, path);
  }
}

async function statIfThere(path: string): Promise<Stats | null> {
  try {
    return await lstat(path);
  } catch (error) {
    if (isAbsence(error)) return null;
    throw error;
  }
}

/** A directory of that name is not an object, so there is nothing to delete then. */
async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (isAbsence(error) || codeOf(error) === "EISDIR") return;
    throw error;
  }
}

async function unlinkPartials(path: string): Promise<void> {
  for (const { name } of await readDirectory(dirname(path))) {
    if (isPartialName(name, basename(path))) await unlinkIfThere(join(dirname(path), name));
  }
}

async function removeEmptyParents(root: string, path: string): Promise<void> {
  for (let directory = dirname(path); directory.length > root.length; directory = dirname(directory)) {
    try {
      await rmdir(directory);
    } catch (error) {
      if (codeOf(error) === "ENOENT") continue;
      // Somebody else's file is in it, or it is not ours to remove: either way it stays.
      return;
    }
  }
}

async function inWords<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw inWordsOf(error, path);
  }
}

const faults: Record<string, [StorageErrorKind, string]> = {
  ENOENT: ["not_found", "there is no such file"],
  ENOSPC: ["full", "no space is left on this disk"],
  EDQUOT: ["full", "the disk quota is used up"],
  EFBIG: ["full", "the file system takes no file of this size"],
  EACCES: ["denied", "permission denied"],
  EPERM: ["denied", "the operation is not permitted"],
  EROFS: ["denied", "the file system is read-only"],
  ENOTDIR: ["invalid", "a part of this path is a file, not a directory"],
  EEXIST: ["invalid", "a part of this path is a file, not a directory"],
  EISDIR: ["invalid", "a directory of this name exists"],
  ENOTEMPTY: ["invalid", "a directory of this name exists"],
  ENAMETOOLONG: ["invalid", "the path is too long for this file system"],
};

/** Errors of the system get a kind and words; errors of the source and an abort's reason pass as they are. */
function inWordsOf(error: unknown, path: string): unknown {
  const code = codeOf(error);
  if (error instanceof StorageError || code === undefined || !isSystemError(error)) return error;
  const [kind, words] = faults[code] ?? ["failed", `the system said ${code}`];
  return new StorageError(kind, `${path}: ${words}`, { cause: error });
}

const isAbsence = (error: unknown) => ["ENOENT", "ENOTDIR"].includes(codeOf(error) ?? "");
const isSystemError = (error: unknown) => error instanceof Error && "syscall" in error;
const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
