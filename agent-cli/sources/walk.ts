import { type BigIntStats, type Dirent, lstatSync, readdirSync, realpathSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { errorCode } from "../pipeline/error-code.ts";
import type { Warned } from "../pipeline/warnings.ts";
import type { Excludes } from "./excludes.ts";

export type Found =
  | { path: Buffer; kind: "directory"; stat: BigIntStats }
  | { path: Buffer; kind: "file" | "special" };

export type WalkOptions = {
  excludes: Excludes | null;
  oneFileSystem: boolean;
  /** Directories and files that are left out wherever they turn up; of files, by whoever opens them. */
  ownPaths: readonly string[];
  warnings: Warned;
};

/** What is in a directory. Its name has a character for each byte, which costs less than small buffers do. */
export type Named = Pick<Dirent<string>, "name" | "isDirectory" | "isFile">;

/** A directory that is being walked through, with its names in the order of their bytes. */
export type Level = { path: Buffer; entries: Named[]; next: number; device: bigint };

/**
 * Yields everything below the given paths, each path once and before what is in it, in a stable order; never follows a
 * symbolic link. Names are bytes. Paths that lie in one another are walked once. Throws when none of the paths exists.
 */
export function* walk(paths: readonly string[], options: WalkOptions): Generator<Found> {
  // An outer path sorts before what is in it.
  const roots = [...new Set(paths.map((path) => resolve(path)))].sort();
  const own = identities(options.ownPaths);
  const uncovered = new Set(roots);
  let missing = 0;
  for (const root of roots) {
    if (!uncovered.delete(root)) continue;
    const stat = statOf(Buffer.from(root), options.warnings);
    if (stat === "missing") missing += 1;
    else if (stat) yield* walkRoot(Buffer.from(root), stat, options, own, uncovered);
  }
  if (missing === roots.length) throw new Error(`nothing to back up: ${roots.join(", ")} does not exist`);
}

/** What a path that a task names is. */
export function statOf(path: Buffer, warnings: Warned): BigIntStats | "missing" | null {
  try {
    const stat = lstatSync(path, { bigint: true });
    if (stat.isSymbolicLink() && pointsToDirectory(path)) {
      warnings.add(path, "is a symbolic link: the link is stored, not what it points to");
    }
    return stat;
  } catch (error) {
    const code = errorCode(error);
    warnings.add(path, code === "ENOENT" ? "does not exist" : `skipped: ${code}`);
    return code === "ENOENT" || code === "ENOTDIR" ? "missing" : null;
  }
}

const pointsToDirectory = (path: Buffer): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

/** Yields what a path leads to and all below it. Paths of `uncovered` that it comes by are taken from that. */
export function* walkRoot(
  root: Buffer,
  stat: BigIntStats,
  options: WalkOptions,
  own: ReadonlySet<string>,
  uncovered: Set<string>,
): Generator<Found> {
  if (!stat.isDirectory()) {
    yield { path: root, kind: stat.isFile() ? "file" : "special" };
    return;
  }
  if (own.has(identity(stat))) return;
  yield { path: root, kind: "directory", stat };
  const levels = [readLevel(root, stat, options.warnings)];
  // A stack of our own: nested generators would pass every file through every level above it.
  for (let level = levels.at(-1); level; level = levels.at(-1)) {
    const entry = level.entries[level.next];
    if (!entry) {
      levels.pop();
      continue;
    }
    level.next += 1;
    const path = join(level.path, entry.name);
    const isDirectory = entry.isDirectory();
    if (options.excludes?.(path.toString(), isDirectory)) continue;
    const isNamed = uncovered.size > 0 && uncovered.delete(path.toString());
    if (!isDirectory) {
      yield { path, kind: entry.isFile() ? "file" : "special" };
      continue;
    }
    const found = directoryStat(path, options.warnings);
    if (!found || own.has(identity(found))) continue;
    yield { path, kind: "directory", stat: found };
    // Like tar, the mount point itself is stored, and what is mounted there only if the task names it.
    if (options.oneFileSystem && found.dev !== level.device && !isNamed) continue;
    levels.push(readLevel(path, found, options.warnings));
  }
}

/** What is there, if it can be told. */
export function lstatOf(path: Buffer): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

export function directoryStat(path: Buffer, warnings: Warned): BigIntStats | null {
  try {
    const stat = lstatSync(path, { bigint: true });
    if (stat.isDirectory()) return stat;
    warnings.add(path, "skipped: it was replaced while the backup ran");
  } catch (error) {
    warnings.add(path, vanishedOr(error));
  }
  return null;
}

export function readLevel(path: Buffer, stat: BigIntStats, warnings: Warned): Level {
  const level: Level = { path, entries: [], next: 0, device: stat.dev };
  try {
    level.entries = namesIn(path).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    warnings.add(path, `what is in this directory was skipped: ${vanishedOr(error)}`);
  }
  return level;
}

function namesIn(path: Buffer): Named[] {
  try {
    return readdirSync(path, { withFileTypes: true, encoding: "latin1" });
  } catch (error) {
    // Some file systems do not tell types along with names, and Node then cannot put such names behind such a path.
    if (errorCode(error) !== "ERR_INVALID_ARG_TYPE") throw error;
    return readdirSync(path, { withFileTypes: true, encoding: "buffer" }).map((entry) => ({
      name: entry.name.toString("latin1"),
      isDirectory: () => entry.isDirectory(),
      isFile: () => entry.isFile(),
    }));
  }
}

/** Words for a file that cannot be had, the same wherever that is noticed. */
export function vanishedOr(error: unknown): string {
  const code = errorCode(error);
  if (code === "ENOENT") return "skipped: it vanished before it was read";
  if (code === "EACCES" || code === "EPERM") return "skipped: permission denied";
  return `skipped: ${code}`;
}

const slash = 0x2f;

/** Bytes before the names of what is in a directory. */
export const prefixBytes = (directory: Buffer): number => (directory.length === 1 ? 1 : directory.length + 1);

export function join(parent: Buffer, name: string): Buffer {
  const prefix = prefixBytes(parent);
  const path = Buffer.allocUnsafe(prefix + name.length);
  path.set(parent);
  path[prefix - 1] = slash;
  path.write(name, prefix, "latin1");
  return path;
}

export const identity = (stat: BigIntStats): string => `${stat.dev}:${stat.ino}`;

export const inodeOf = (named: string): bigint => BigInt(named.slice(named.indexOf(":") + 1));

/** Directories and files by what they are, so that another way to the same one is recognised. */
export function identities(paths: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  for (const path of paths) {
    try {
      found.add(identity(statSync(realpathSync(path), { bigint: true })));
    } catch (error) {
      // What is not there, or out of reach, cannot get into a backup either.
      if (!["ENOENT", "EACCES"].includes(errorCode(error))) throw error;
    }
  }
  return found;
}
