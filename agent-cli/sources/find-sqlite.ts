import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { setImmediate as breathe } from "node:timers/promises";
import { openFlags } from "../open-flags.ts";
import type { FoundDatabase } from "./source.ts";
import { looksLikeSqlite, sqliteMagicBytes } from "./sqlite-file.ts";
import { walk } from "./walk.ts";

/** What the kernel shows there are no files of anybody's. */
const ofTheKernel = new Set(["/dev", "/proc", "/sys"]);
const entriesPerTurn = 256;

/**
 * The databases of SQLite's below a directory, each by its path, with what still lies in its log. They are told by what they begin
 * with, whatever they are called; what cannot be read is passed over. When the signal aborts, as many as were found by then.
 */
export async function findSqlite(
  { folder }: { folder: string },
  { ownPaths, signal }: { ownPaths: readonly string[]; signal: AbortSignal },
): Promise<FoundDatabase[]> {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new Error(`there is no directory ${folder}`);
  const found: FoundDatabase[] = [];
  const below = walk([folder], {
    excludes: (path, isDirectory) => isDirectory && ofTheKernel.has(path),
    oneFileSystem: false,
    ownPaths,
    warnings: { add() {} },
  });
  let seen = 0;
  for (const { path, kind } of below) {
    seen += 1;
    if (seen % entriesPerTurn === 0) await breathe();
    if (signal.aborted) break;
    if (kind !== "file") continue;
    const sizeBytes = sizeOfDatabase(path);
    if (sizeBytes !== null) found.push({ name: path.toString(), sizeBytes });
  }
  return found;
}

/** A database is whole pages. What is not needs not be read, which on a cold disk is most of the work. */
const smallestPage = 512;
const start = Buffer.alloc(sqliteMagicBytes);

/** Null for what is no database, or cannot be named in a task because its name is no text. */
function sizeOfDatabase(path: Buffer): number | null {
  let fd: number | null = null;
  try {
    fd = openSync(path, openFlags);
    const { size } = fstatSync(fd);
    if (size === 0 || size % smallestPage !== 0) return null;
    readSync(fd, start, 0, sqliteMagicBytes, 0);
    const name = path.toString();
    if (!looksLikeSqlite(start) || !Buffer.from(name).equals(path)) return null;
    return size + (statSync(`${name}-wal`, { throwIfNoEntry: false })?.size ?? 0);
  } catch {
    return null;
  } finally {
    start.fill(0);
    if (fd !== null) closeSync(fd);
  }
}
