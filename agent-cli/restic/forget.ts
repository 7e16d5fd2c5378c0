import { createHash } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeFolders } from "../make-folders.ts";
import { askRestic, ResticError, runRestic } from "./program.ts";
import { type OpenedRepository, type ResticJob, whenUnlocked } from "./repository.ts";

const dayMs = 24 * 3_600_000;

/** What this node knows of a repository's housekeeping. Lost, it only prunes a little later or earlier. */
type Housekeeping = { forgotten: number; prunedAt: number };

/**
 * Forgets a snapshot; one that is gone, or whose repository is gone, is as good. What only it used is removed from the
 * storage at once when no snapshot is left, else at most once a day.
 */
export async function forgetSnapshot(
  opened: OpenedRepository,
  snapshotId: string,
  job: ResticJob,
  now: () => number = Date.now,
): Promise<void> {
  const { repository, storage, key } = opened;
  if ((await storage.stat(`${key}/config`, { signal: job.signal })) === null) return;
  if ((await storage.stat(snapshotKey(key, snapshotId), { signal: job.signal })) !== null) {
    await whenUnlocked(repository, job, () =>
      runRestic(repository, ["forget", snapshotId], { signal: job.signal }),
    );
  }
  noteForgotten(opened, job.stateDir);
  const left = (await askRestic(repository, ["snapshots", "--no-lock"], job.signal)) as unknown[] | null;
  if (left === null || left.length === 0) await prune(opened, job, now);
  else await pruneIfDue(opened, job, now);
}

/** Removes what no snapshot uses any more, if something was forgotten since, and at most once a day. */
export async function pruneIfDue(
  opened: OpenedRepository,
  job: ResticJob,
  now: () => number = Date.now,
): Promise<void> {
  const { forgotten, prunedAt } = readHousekeeping(opened, job.stateDir);
  if (forgotten > 0 && now() - prunedAt >= dayMs) await prune(opened, job, now);
}

async function prune(opened: OpenedRepository, job: ResticJob, now: () => number): Promise<void> {
  const { repository } = opened;
  job.report.log("info", `removing what no snapshot of ${repository.location} uses any more`);
  await whenUnlocked(repository, job, () =>
    runRestic(repository, ["prune"], {
      signal: job.signal,
      onLine: (line) => {
        job.alive();
        if (/^(total prune|remaining)/.test(line)) job.report.log("info", line.replace(/\s+/g, " "));
      },
    }),
  );
  writeHousekeeping(opened, job.stateDir, { forgotten: 0, prunedAt: now() });
}

/** Where a snapshot lies in its target: an object of its own, whose SHA-256 is its name. */
export const snapshotKey = (repositoryKey: string, snapshotId: string): string =>
  `${repositoryKey}/snapshots/${snapshotId}`;

/** The repository and the snapshot that such a key names. */
export function readSnapshotKey(storagePath: string): { repositoryKey: string; snapshotId: string } {
  const [, repositoryKey, snapshotId] = /^(.+)\/snapshots\/([0-9a-f]{64})$/.exec(storagePath) ?? [];
  if (!repositoryKey || !snapshotId)
    throw new ResticError("failed", `${storagePath} is no snapshot of restic`);
  return { repositoryKey, snapshotId };
}

const noteOf = ({ repository }: OpenedRepository, stateDir: string): string =>
  join(
    stateDir,
    "restic",
    `${createHash("sha256").update(repository.location).digest("hex").slice(0, 32)}.json`,
  );

function noteForgotten(opened: OpenedRepository, stateDir: string): void {
  const { forgotten, prunedAt } = readHousekeeping(opened, stateDir);
  writeHousekeeping(opened, stateDir, { forgotten: forgotten + 1, prunedAt });
}

function readHousekeeping(opened: OpenedRepository, stateDir: string): Housekeeping {
  try {
    return JSON.parse(readFileSync(noteOf(opened, stateDir), "utf8")) as Housekeeping;
  } catch {
    return { forgotten: 0, prunedAt: 0 };
  }
}

function writeHousekeeping(opened: OpenedRepository, stateDir: string, note: Housekeeping): void {
  const file = noteOf(opened, stateDir);
  makeFolders(join(stateDir, "restic"), 0o700);
  writeFileSync(`${file}.tmp`, JSON.stringify(note), { mode: 0o600 });
  renameSync(`${file}.tmp`, file);
}
