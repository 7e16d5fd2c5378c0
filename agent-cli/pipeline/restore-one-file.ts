import { randomBytes } from "node:crypto";
import { type Stats, statSync } from "node:fs";
import { chmod, chown, type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { makeFolders } from "../make-folders.ts";
import { contentOf } from "./artifact-content.ts";
import { errorCode } from "./error-code.ts";
import { RestoreConflict } from "./plan-extraction.ts";
import type { Restoring } from "./restore.ts";
import {
  asideName,
  clearAside,
  leftBeside,
  removeLeft,
  requireStillThere,
  unfinishedMode,
} from "./unfinished-file.ts";

/** Throws unless what was written aside may take its place. */
type Approve = (temporaryPath: string, finalPath: string) => void;

/** Restores an artifact whose content is one file. `first` is its first reading, which only proves it. */
export async function restoreOneFile(
  { job, artifact, progress }: Restoring,
  first: AsyncIterable<Uint8Array>,
  place: string,
  approve: Approve = () => {},
): Promise<{ entries: number; bytes: number }> {
  let bytes = 0;
  for await (const chunk of first) {
    job.signal.throwIfAborted();
    bytes += chunk.length;
  }
  const existing = statSync(place, { throwIfNoEntry: false });
  if (existing && !existing.isFile()) throw new Error(`${place} exists and is not a file`);
  if (existing && job.conflict === "fail") throw new RestoreConflict([place], 1);
  for (const name of leftBeside(basename(place))) removeLeft(join(dirname(place), name));
  if (existing && job.conflict === "keep") return { entries: 0, bytes: 0 };
  Object.assign(progress, {
    phase: "restoring",
    totalSourceBytes: bytes,
    totalEntries: 1,
    currentPath: place,
  });
  await replaceFile(contentOf(job, artifact.second()), place, existing, approve, job.signal);
  progress.entries = 1;
  return { entries: 1, bytes };
}

async function replaceFile(
  content: AsyncIterable<Uint8Array>,
  place: string,
  existing: Stats | undefined,
  approve: Approve,
  signal: AbortSignal,
): Promise<void> {
  makeFolders(dirname(place));
  const aside = join(dirname(place), asideName(basename(place)));
  const temporary = clearAside(aside) ? aside : `${aside}-${randomBytes(9).toString("hex")}`;
  try {
    await writeFile(temporary, content, signal);
    await takeOver(
      temporary,
      existing ?? statSync(dirname(place)),
      existing ? existing.mode & 0o7777 : 0o600,
    );
    approve(temporary, place);
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
    file = await open(path, "wx", unfinishedMode);
    for await (const chunk of content) {
      signal.throwIfAborted();
      await file.writeFile(chunk);
    }
    await file.sync();
    requireStillThere(file.fd, path, path);
  } finally {
    await file?.close();
  }
}

/** The owner and mode of what is replaced; a new file belongs to whoever owns the directory. */
async function takeOver(path: string, owner: Stats, mode: number): Promise<void> {
  if (process.geteuid?.() === 0) await chown(path, owner.uid, owner.gid);
  await chmod(path, mode);
}
