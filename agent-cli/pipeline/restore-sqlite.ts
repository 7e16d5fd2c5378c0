import { randomBytes } from "node:crypto";
import { type Stats, statSync } from "node:fs";
import { chmod, chown, type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { checkIntegrity, removeSidecars } from "../sources/sqlite-file.ts";
import { contentOf } from "./artifact-content.ts";
import { errorCode } from "./error-code.ts";
import type { RestoreJob } from "./pipeline.ts";
import { RestoreConflict } from "./plan-extraction.ts";
import type { Restoring } from "./restore.ts";

/** Lets a database out of an archive take its place only when it is sound. */
export function approveDatabase(temporaryPath: string, finalPath: string): void {
  try {
    checkIntegrity(temporaryPath, finalPath);
  } finally {
    removeSidecars(temporaryPath);
  }
  removeSidecars(finalPath);
}

/** Restores an artifact that is one database file. `first` is its first reading, which only proves it. */
export async function restoreDatabase(
  { job, artifact, progress }: Restoring,
  first: AsyncIterable<Uint8Array>,
): Promise<{ entries: number; bytes: number }> {
  const place = placeOf(job);
  let bytes = 0;
  for await (const chunk of first) {
    job.signal.throwIfAborted();
    bytes += chunk.length;
  }
  const existing = statSync(place, { throwIfNoEntry: false });
  if (existing && !existing.isFile()) throw new Error(`${place} exists and is not a file`);
  if (existing && job.conflict === "fail") throw new RestoreConflict([place], 1);
  if (existing && job.conflict === "keep") return { entries: 0, bytes: 0 };
  Object.assign(progress, {
    phase: "restoring",
    totalSourceBytes: bytes,
    totalEntries: 1,
    currentPath: place,
  });
  await writeDatabase(contentOf(job, artifact.second()), place, existing, job.signal);
  progress.entries = 1;
  return { entries: 1, bytes };
}

/** Where the database goes: a directory gives it its old name there, any other destination is the file itself. */
function placeOf(job: RestoreJob): string {
  const [original, ...others] = job.selectedPaths ?? job.originalPaths ?? [];
  if (job.selectedPaths && job.originalPaths) requireKnown(job.selectedPaths, job.originalPaths);
  const known = original !== undefined && others.length === 0 ? original : null;
  if (job.destination === null) {
    if (known === null) throw new Error("the database's original place is not known: name a destination");
    return known;
  }
  if (!statSync(job.destination, { throwIfNoEntry: false })?.isDirectory()) return job.destination;
  return join(job.destination, basename(known ?? "restored.sqlite"));
}

function requireKnown(selected: readonly string[], original: readonly string[]): void {
  const missing = selected.filter((path) => !original.includes(path));
  if (missing.length > 0) throw new Error(`not in this backup: ${missing.join(", ")}`);
}

async function writeDatabase(
  content: AsyncIterable<Uint8Array>,
  place: string,
  existing: Stats | undefined,
  signal: AbortSignal,
): Promise<void> {
  await mkdir(dirname(place), { recursive: true });
  const temporary = join(dirname(place), `.backupx-${randomBytes(9).toString("hex")}`);
  try {
    await writeFile(temporary, content, signal);
    await takeOver(
      temporary,
      existing ?? statSync(dirname(place)),
      existing ? existing.mode & 0o7777 : 0o600,
    );
    approveDatabase(temporary, place);
    await rename(temporary, place);
  } catch (error) {
    if (["ENOSPC", "EDQUOT"].includes(errorCode(error))) {
      throw new Error(`no space left to restore ${place}`, { cause: error });
    }
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

async function writeFile(
  path: string,
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  let file: FileHandle | null = null;
  try {
    file = await open(path, "wx", 0o600);
    for await (const chunk of content) {
      signal.throwIfAborted();
      await file.writeFile(chunk);
    }
    await file.sync();
  } finally {
    await file?.close();
  }
}

/** The owner and mode of what is replaced; a new database belongs to whoever owns the directory. */
async function takeOver(path: string, owner: Stats, mode: number): Promise<void> {
  if (process.geteuid?.() === 0) await chown(path, owner.uid, owner.gid);
  await chmod(path, mode);
}
