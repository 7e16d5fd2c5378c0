import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ConfinedTree } from "../pipeline/confined-tree.ts";
import { type MemberPath, pathKey, Selection, splitMemberPath } from "../pipeline/member-path.ts";
import type { Progress, RestoreJob, RestoreResult } from "../pipeline/pipeline.ts";
import { RestoreConflict } from "../pipeline/plan-extraction.ts";
import { reportEvery } from "../pipeline/report-every.ts";
import { startProgress } from "../pipeline/start-progress.ts";
import { WarningList } from "../pipeline/warnings.ts";
import { literally } from "./excludes.ts";
import { listSnapshot, type SnapshotEntry } from "./list.ts";
import { place } from "./place.ts";
import { ResticError, runRestic } from "./program.ts";
import { type OpenedRepository, type ResticJob, whenUnlocked } from "./repository.ts";
import { makeScratch } from "./scratch.ts";

export type ResticRestore = {
  snapshotId: string;
  /** Absolute directory to restore below; null is the original place. */
  destination: string | null;
  /** Absolute paths as they were backed up; null restores everything. */
  selectedPaths: string[] | null;
  /** What the backup was told to read: directories above that are not the backup's own. */
  sourcePaths: readonly string[];
  conflict: RestoreJob["conflict"];
};

/**
 * Restores a snapshot, or what is selected of it. restic writes into a directory beside the destination and reads all of
 * it once more; only then anything takes its place, as the conflict policy says. One that fails before leaves nothing.
 */
export async function restoreSnapshot(
  opened: OpenedRepository,
  wanted: ResticRestore,
  job: ResticJob,
): Promise<RestoreResult> {
  const destination = wanted.destination ?? "/";
  const selection = new Selection(wanted.selectedPaths ?? [...wanted.sourcePaths]);
  const warnings = new WarningList(({ path, reason }) => job.report.log("warn", `${path}: ${reason}`));
  const progress = startProgress();
  const reporter = reportEvery(job.report, () => progress);
  try {
    const found = await survey(opened, wanted, selection, job);
    Object.assign(progress, {
      phase: "restoring",
      totalEntries: found.entries,
      totalSourceBytes: found.bytes,
    });
    const tree = ConfinedTree.create(destination);
    const scratch = makeScratch(join(destination, deepestThere(tree, found.common)), job.stateDir);
    try {
      await restoreInto(scratch.path, opened, wanted, { warnings, progress }, job);
      const placing = { tree, selection, conflict: wanted.conflict, warnings, signal: job.signal };
      const { entries, bytes, kept } = place({ ...placing, scratch: Buffer.from(scratch.path) });
      if (kept > 0) job.report.log("info", `${kept} existing files were kept as they are`);
      return { entries, bytes, warnings: warnings.kept, warningCount: warnings.count };
    } finally {
      tree.close();
      await scratch.remove();
    }
  } finally {
    reporter.stop();
  }
}

type Found = { entries: number; bytes: number; common: MemberPath };

/** What would be restored; refuses early what is in the way, for fetching everything may take hours. */
async function survey(
  opened: OpenedRepository,
  { snapshotId, destination, selectedPaths, conflict }: ResticRestore,
  selection: Selection,
  job: ResticJob,
): Promise<Found> {
  const tree = ConfinedTree.openExisting(destination ?? "/");
  const found = { entries: 0, bytes: 0 };
  const conflicts: string[] = [];
  let conflictCount = 0;
  let common: MemberPath | null = null;
  try {
    await listSnapshot(opened, snapshotId, job, (entry) => {
      const path = splitMemberPath(Buffer.from(entry.path.slice(1)));
      if (selection.relation(pathKey(path)) !== "inside") return;
      found.entries += 1;
      found.bytes += entry.sizeBytes;
      const directory = path.slice(0, -1);
      common = common === null ? directory : shared(common, directory);
      if (conflict !== "fail" || !isInTheWay(tree, entry, path)) return;
      conflictCount += 1;
      if (conflicts.length < 5) conflicts.push(tree?.display(path) ?? entry.path);
    });
  } finally {
    tree?.close();
  }
  if (selectedPaths !== null) selection.requireAllFound();
  if (conflictCount > 0) throw new RestoreConflict(conflicts, conflictCount);
  if (common === null) throw new Error("there is nothing to restore in this snapshot");
  return { ...found, common };
}

function isInTheWay(tree: ConfinedTree | null, { path, type }: SnapshotEntry, member: MemberPath): boolean {
  // A name that is no valid Unicode is looked at when it is there to be looked at.
  if (tree === null || type === "dir" || path.includes("\uFFFD")) return false;
  const existing = tree.stat(member.slice(0, -1), member.at(-1) as Buffer);
  return existing !== null && !existing.isDirectory();
}

function shared(a: MemberPath, b: MemberPath): MemberPath {
  const different = a.findIndex((name, index) => !b[index]?.equals(name));
  return different < 0 ? a : a.slice(0, different);
}

/** The innermost directory that is there: what is moved from inside of it mostly stays on one file system. */
function deepestThere(tree: ConfinedTree, path: MemberPath): string {
  for (let length = path.length; length > 0; length -= 1) {
    const directory = path.slice(0, length);
    const isText = directory.every((name) => Buffer.from(name.toString()).equals(name));
    if (isText && tree.open(directory, false) !== null)
      return directory.map((name) => name.toString()).join("/");
  }
  return "";
}

/** Errors that concern what a file system may not have, and never a file's content. */
const aboutAttributes = /\b(l?setxattr|xattr|lchown|chmod|utimes|utimensat)\b/i;
const ignoredError = /^ignoring error for (.+?): (.+)$/;

/** Has restic restore below `target` and read it once more against the repository. */
export async function restoreInto(
  target: string,
  { repository }: OpenedRepository,
  { snapshotId, selectedPaths }: Pick<ResticRestore, "snapshotId" | "selectedPaths">,
  { warnings, progress }: { warnings: WarningList; progress: Progress },
  job: ResticJob,
): Promise<void> {
  const includes = (selectedPaths ?? []).flatMap((path) => ["--include", literally(withoutEnd(path))]);
  const args = ["restore", snapshotId, "--target", target, "--verify", ...includes];
  const failed: string[] = [];
  let watch: NodeJS.Timeout | undefined;
  const onStart = (pid: number) => {
    let seen = "";
    watch = setInterval(() => {
      const found = followWrites(pid, progress);
      if (found !== seen) job.alive();
      seen = found;
    }, 500);
  };
  const onLine = (line: string) => {
    const [, path = "", reason = ""] = ignoredError.exec(line.replaceAll(target, "")) ?? [];
    if (path === "") return;
    if (aboutAttributes.test(reason))
      warnings.add(path, `not all of its attributes could be restored: ${reason}`);
    else failed.push(`${path}: ${reason}`);
  };
  try {
    await whenUnlocked(repository, job, () =>
      runRestic(repository, args, { signal: job.signal, onLine, onStart }),
    );
  } catch (error) {
    const isTolerable = error instanceof ResticError && error.fault === "failed" && warnings.count > 0;
    if (failed.length > 0) throw new Error(`restic could not restore ${failed.slice(0, 5).join("; ")}`);
    if (!isTolerable) throw error;
    job.report.log("warn", "because of these, restic has not read what it wrote once more");
  } finally {
    clearInterval(watch);
  }
}

const withoutEnd = (path: string): string => (path === "/" ? path : path.replace(/\/+$/, ""));

/** restic 0.14 says nothing while it restores; the kernel counts what it has read and written, which is given back. */
function followWrites(pid: number, progress: Progress): string {
  try {
    const counters = readFileSync(`/proc/${pid}/io`, "utf8");
    const written = Number(/^wchar: (\d+)$/m.exec(counters)?.[1] ?? 0);
    progress.sourceBytes = Math.min(written, progress.totalSourceBytes ?? written);
    return counters;
  } catch {
    // It has ended, or this system has no such counters.
    return "";
  }
}
