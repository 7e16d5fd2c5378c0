import { spawnSync } from "node:child_process";
import {
  type BigIntStats,
  chmodSync,
  fchmodSync,
  fchownSync,
  futimesSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { type ConfinedTree, OutsideDestination } from "../pipeline/confined-tree.ts";
import { errorCode } from "../pipeline/error-code.ts";
import { type MemberPath, pathKey, type Selection } from "../pipeline/member-path.ts";
import type { RestoreJob } from "../pipeline/pipeline.ts";
import { RestoreConflict } from "../pipeline/plan-extraction.ts";
import { asideName, removeLeft } from "../pipeline/unfinished-file.ts";
import type { WarningList } from "../pipeline/warnings.ts";

export type Placing = {
  /** Where restic has put everything, by absolute paths below it. */
  scratch: Buffer;
  tree: ConfinedTree;
  selection: Selection;
  conflict: RestoreJob["conflict"];
  warnings: WarningList;
  signal: AbortSignal;
};

export type Placed = { entries: number; bytes: number; kept: number };

const namedConflicts = 5;
const slash = Buffer.from("/");

/**
 * Moves what restic has restored beside the destination into it: first it is looked whether everything may go where it
 * belongs, and nothing is written; then each file takes its place by a rename, whole or not at all. Nothing is placed
 * through a symbolic link. What was not there before, directories too, moves as a whole.
 */
export function place(placing: Placing): Placed {
  const planned = plan(placing);
  const mover = new Mover(placing, planned.kept);
  mover.move([]);
  mover.finish();
  return { entries: planned.entries, bytes: planned.bytes, kept: planned.kept.size };
}

type Planned = { entries: number; bytes: number; kept: Set<string> };

function plan(placing: Placing): Planned {
  const { tree, selection, conflict } = placing;
  const planned: Planned = { entries: 0, bytes: 0, kept: new Set() };
  const conflicts: string[] = [];
  let conflictCount = 0;
  const linked = new Set<string>();

  const visit = (directory: MemberPath, isThere: boolean): void => {
    placing.signal.throwIfAborted();
    for (const name of namesIn(placing.scratch, directory)) {
      const path = [...directory, name];
      const stat = statOf(placing.scratch, path);
      const existing = isThere ? tree.stat(directory, name) : null;
      const isInside = selection.relation(pathKey(path)) === "inside";
      if (existing && stat.isDirectory() !== existing.isDirectory()) throw otherKind(tree, path, existing);
      const isFile = !stat.isDirectory();
      if (existing && isFile && conflict === "fail") {
        conflictCount += 1;
        if (conflicts.length < namedConflicts) conflicts.push(tree.display(path));
      }
      if (existing && isFile && conflict === "keep") planned.kept.add(pathKey(path));
      else if (isInside) count(planned, stat, linked);
      if (!isFile) visit(path, existing !== null);
    }
  };
  visit([], true);
  if (conflictCount > 0) throw new RestoreConflict(conflicts, conflictCount);
  return planned;
}

/** The bytes of a file with several names are there once. */
function count(planned: Planned, stat: BigIntStats, linked: Set<string>): void {
  planned.entries += 1;
  if (!stat.isFile()) return;
  const identity = `${stat.dev}:${stat.ino}`;
  if (stat.nlink > 1n && linked.has(identity)) return;
  if (stat.nlink > 1n) linked.add(identity);
  planned.bytes += Number(stat.size);
}

function otherKind(tree: ConfinedTree, path: MemberPath, existing: BigIntStats): Error {
  if (existing.isSymbolicLink())
    return new OutsideDestination(`${tree.display(path)} is a symbolic link, which is not followed`);
  const kinds = existing.isDirectory()
    ? "a directory, the backup has a file"
    : "a file, the backup has a directory";
  return new RestoreConflict([`${tree.display(path)} (it is ${kinds} there)`], 1);
}

type Attributes = { path: MemberPath; stat: BigIntStats };

class Mover {
  readonly #placing: Placing;
  readonly #kept: ReadonlySet<string>;
  readonly #directories: Attributes[] = [];
  readonly #isRoot = process.geteuid?.() === 0;

  constructor(placing: Placing, kept: ReadonlySet<string>) {
    this.#placing = placing;
    this.#kept = kept;
  }

  move(directory: MemberPath): void {
    const { scratch, tree, selection, conflict, signal } = this.#placing;
    signal.throwIfAborted();
    for (const name of namesIn(scratch, directory)) {
      const path = [...directory, name];
      if (this.#kept.has(pathKey(path))) continue;
      const stat = statOf(scratch, path);
      const existing = tree.stat(directory, name);
      // A directory above what was selected belongs to nobody's selection: it is made, but not changed.
      const isOwn = selection.relation(pathKey(path)) === "inside" && !(existing && conflict === "keep");
      if (!stat.isDirectory()) this.#moveFile(path, name, directory);
      else if (existing || !this.#moveDirectory(path, name, directory)) {
        if (isOwn || !existing) this.#directories.push({ path, stat });
        this.move(path);
      }
    }
  }

  /** Gives directories that were there, or had to be made, their own modes and times, the inner ones first. */
  finish(): void {
    for (const { path, stat } of this.#directories.reverse()) {
      const fd = this.#placing.tree.open(path, false);
      if (fd === null) continue;
      if (this.#isRoot)
        this.#tolerating(path, "owner", () => fchownSync(fd, Number(stat.uid), Number(stat.gid)));
      this.#tolerating(path, "mode", () => fchmodSync(fd, Number(stat.mode) & 0o7777));
      const seconds = Number(stat.mtimeNs / 1_000_000_000n) + Number(stat.mtimeNs % 1_000_000_000n) / 1e9;
      this.#tolerating(path, "time", () => futimesSync(fd, seconds, seconds));
    }
  }

  /** False when it has to be made anew and filled: it belongs on another file system. */
  #moveDirectory(path: MemberPath, name: Buffer, directory: MemberPath): boolean {
    const { scratch, tree } = this.#placing;
    try {
      renameSync(at(scratch, path), tree.at(directory, name, true) as Buffer);
      return true;
    } catch (error) {
      const code = errorCode(error);
      // Moving a directory changes what it knows of its parent, which one that is read-only does not let its owner do.
      if (code !== "EXDEV" && code !== "EACCES") throw inWords(tree, path, error);
      mkdirSync(tree.at(directory, name, true) as Buffer, 0o700);
      if (code === "EACCES") chmodSync(at(scratch, path), 0o700);
      return false;
    }
  }

  #moveFile(path: MemberPath, name: Buffer, directory: MemberPath): void {
    const { scratch, tree } = this.#placing;
    const place = tree.at(directory, name, true) as Buffer;
    try {
      renameSync(at(scratch, path), place);
    } catch (error) {
      if (errorCode(error) !== "EXDEV") throw inWords(tree, path, error);
      this.#copyFile(path, directory, place);
    }
  }

  /** To another file system by the system's own tool, which knows sparse files, pipes and extended attributes. */
  #copyFile(path: MemberPath, directory: MemberPath, place: Buffer): void {
    const { scratch, tree } = this.#placing;
    // A name of ours, because arguments of a program must be valid Unicode and a file's name need not be.
    const item = Buffer.from(".backupx-item");
    renameSync(at(scratch, path), at(scratch, [item]));
    const name = Buffer.from(asideName(path.at(-1) as Buffer));
    const temporary = tree.at(directory, name, true) as Buffer;
    removeLeft(temporary);
    const made = spawnSync("cp", ["-a", "-T", "--", visible(at(scratch, [item])), visible(temporary)], {
      encoding: "utf8",
    });
    rmSync(at(scratch, [item]), { force: true });
    if (made.status === 0) return renameSync(temporary, place);
    rmSync(temporary, { force: true });
    const full = /no space left/i.test(made.stderr ?? "");
    throw new Error(
      full
        ? `no space left to restore ${tree.display(path)}`
        : `${tree.display(path)} could not be copied to its file system`,
    );
  }

  #tolerating(path: MemberPath, what: string, apply: () => void): void {
    try {
      apply();
    } catch (error) {
      const { warnings, tree } = this.#placing;
      warnings.add(tree.display(path), `its ${what} could not be restored: ${errorCode(error)}`);
    }
  }
}

function namesIn(root: Buffer, directory: MemberPath): Buffer[] {
  return readdirSync(at(root, directory), { encoding: "buffer" }).sort(Buffer.compare);
}

const statOf = (root: Buffer, path: MemberPath): BigIntStats => lstatSync(at(root, path), { bigint: true });

/** Another process finds what is open here by way of this one. */
const visible = (path: Buffer): string => path.toString().replace("/proc/self/", `/proc/${process.pid}/`);

const at = (root: Buffer, path: MemberPath): Buffer =>
  Buffer.concat([root, ...path.flatMap((name) => [slash, name])]);

function inWords(tree: ConfinedTree, path: MemberPath, error: unknown): Error {
  const code = errorCode(error);
  const words = code === "ENOSPC" || code === "EDQUOT" ? "no space left to restore " : "";
  return new Error(
    words ? `${words}${tree.display(path)}` : `${tree.display(path)} could not be restored: ${code}`,
    {
      cause: error,
    },
  );
}
