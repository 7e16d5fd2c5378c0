import { lstatSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { getSystemErrorName } from "node:util";
import type { Progress, SourceSpec } from "../pipeline/pipeline.ts";
import type { WarningList } from "../pipeline/warnings.ts";
import { vanishedOr } from "../sources/walk.ts";
import { literally, resticExcludes } from "./excludes.ts";
import { askRestic, type Message, type Repository, runRestic } from "./program.ts";
import { type OpenedRepository, type ResticJob, whenUnlocked } from "./repository.ts";

export type ResticBackup = {
  source: Extract<SourceSpec, { type: "file" }>;
  /** What the snapshot is marked with, for people and for finding it again. */
  tags: string[];
  /** Directories and files that are in no backup. */
  leaveOut: readonly string[];
  warnings: WarningList;
};

/** A snapshot; its id is also the SHA-256 of its file in the repository. */
export type Snapshot = { id: string; addedBytes: number; sourceBytes: number; entries: number };

/** Some files could not be read: a snapshot was made all the same. */
const incomplete = 3;
const logEveryMs = 60_000;
const forgetMs = 1_500;

/** Makes one snapshot, telling of its progress. */
export async function makeSnapshot(
  { repository }: OpenedRepository,
  backup: ResticBackup,
  job: ResticJob,
): Promise<Snapshot> {
  const { source } = backup;
  const paths = existing(source.paths, backup.warnings);
  const listFile = join(job.workDir, "restic-paths");
  writeFileSync(listFile, paths.map((path) => `${path}\0`).join(""), { mode: 0o600 });
  const excludes = [...resticExcludes(source.excludes, source.paths), ...backup.leaveOut.map(literally)];
  const args = [
    "backup",
    "--json",
    "--files-from-raw",
    listFile,
    "--tag",
    backup.tags.join(","),
    ...excludes.flatMap((pattern) => ["--exclude", pattern]),
    ...(source.oneFileSystem ? ["--one-file-system"] : []),
  ];
  return whenUnlocked(repository, job, () => run(repository, args, backup.warnings, job));
}

async function run(
  repository: Repository,
  args: string[],
  warnings: WarningList,
  job: ResticJob,
): Promise<Snapshot> {
  let summary = null as Message | null;
  let loggedAt = performance.now();
  const onMessage = (message: Message) => {
    if (message["message_type"] === "summary") summary = message;
    else if (message["message_type"] === "error") addWarning(warnings, message);
    else if (message["message_type"] === "status") {
      job.report.progress(progressOf(message));
      if (performance.now() - loggedAt < logEveryMs) return;
      loggedAt = performance.now();
      job.report.log("info", inWords(message));
    }
  };
  const onLine = (line: string) => {
    if (/returned error, retrying/.test(line)) job.report.log("warn", line.slice(0, 500));
  };
  try {
    await runRestic(repository, args, { signal: job.signal, accept: [incomplete], onMessage, onLine });
  } catch (error) {
    if (summary) await takeBack(repository, text(summary, "snapshot_id"));
    throw error;
  }
  if (!summary) throw new Error("restic ended without saying what it has stored");
  return snapshotOf(repository, summary, job.signal);
}

/** A run that was stopped when its snapshot was there already leaves none behind, if that can still be done. */
async function takeBack(repository: Repository, id: string): Promise<void> {
  await runRestic(repository, ["forget", id], { signal: AbortSignal.timeout(forgetMs) }).catch(() => {});
}

/** restic before 0.17 tells only the beginning of the id. */
async function snapshotOf(repository: Repository, summary: Message, signal: AbortSignal): Promise<Snapshot> {
  const told = text(summary, "snapshot_id");
  const found =
    told.length === 64 ? [] : await askRestic(repository, ["snapshots", "--no-lock", told], signal);
  const id = told.length === 64 ? told : (found as { id?: string }[])[0]?.id;
  if (!id || !/^[0-9a-f]{64}$/.test(id)) throw new Error("restic did not say which snapshot it has made");
  const directories = ["dirs_new", "dirs_changed", "dirs_unmodified"].map((name) => number(summary, name));
  return {
    id,
    // What it takes in the repository, compressed; restic before 0.17 knows only the size before that.
    addedBytes: number(summary, "data_added_packed") || number(summary, "data_added"),
    sourceBytes: number(summary, "total_bytes_processed"),
    entries: directories.reduce((sum, one) => sum + one, number(summary, "total_files_processed")),
  };
}

/** restic goes on in silence when a path is missing, and would store a link to a directory without a word. */
function existing(paths: readonly string[], warnings: WarningList): string[] {
  const there = paths.filter((path) => {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (!found) warnings.add(path, "does not exist");
    if (found?.isSymbolicLink() && statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
      warnings.add(path, "is a symbolic link: the link is stored, not what it points to");
    }
    return found !== undefined;
  });
  if (there.length === 0) throw new Error(`nothing to back up: ${paths.join(", ")} does not exist`);
  return there;
}

/** What cannot be read is told twice, by the one who counts and by the one who reads; the latter counts. */
function addWarning(warnings: WarningList, message: Message): void {
  if (message["during"] === "scan") return;
  warnings.add(text(message, "item"), reasonOf(message["error"]));
}

function reasonOf(error: unknown): string {
  const { message, Err } = (error ?? {}) as { message?: unknown; Err?: unknown };
  if (typeof message === "string" && message !== "") return `skipped: ${message}`;
  if (typeof Err !== "number" || Err <= 0) return "skipped: it could not be read";
  try {
    return vanishedOr(Object.assign(new Error(), { code: getSystemErrorName(-Err) }));
  } catch {
    return `skipped: error ${Err}`;
  }
}

function progressOf(status: Message): Progress {
  const [current] = (status["current_files"] ?? []) as unknown[];
  return {
    phase: "packing",
    sourceBytes: number(status, "bytes_done"),
    entries: number(status, "files_done"),
    artifactBytes: 0,
    totalSourceBytes: number(status, "total_bytes") || null,
    totalEntries: number(status, "total_files") || null,
    currentPath: typeof current === "string" ? current : null,
  };
}

function inWords(status: Message): string {
  const percent = Math.floor(100 * number(status, "percent_done"));
  const left = number(status, "seconds_remaining");
  const bytes = `${number(status, "bytes_done")} of ${number(status, "total_bytes")} bytes`;
  const files = `${number(status, "files_done")} of ${number(status, "total_files")} files`;
  return `${percent} %: ${files}, ${bytes}${left > 0 ? `, about ${left} s left` : ""}`;
}

const number = (message: Message, field: string): number => {
  const value = message[field];
  return typeof value === "number" && value >= 0 ? value : 0;
};

const text = (message: Message, field: string): string => String(message[field] ?? "");
