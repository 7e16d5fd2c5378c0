import { type BigIntStats, lstatSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { WarningList } from "../pipeline/warnings.ts";
import { snapshotKey } from "./forget.ts";
import { listSnapshot, type SnapshotEntry } from "./list.ts";
import { ResticError, runRestic } from "./program.ts";
import { type OpenedRepository, type ResticJob, whenUnlocked } from "./repository.ts";
import { restoreInto } from "./restore.ts";
import { makeScratch } from "./scratch.ts";

export type SnapshotProof = {
  /** The highest grade that was proved, 0 for none. */
  reachedGrade: number;
  /** What was looked at, in words. */
  proved: string[];
  /** What was found wrong; empty when the grade that was asked for was reached. */
  faults: string[];
};

const maxFaults = 50;

/**
 * Proves a snapshot by grade. 1: its object and its repository are there. 2 and 3: every byte of the repository was read,
 * hashed, decrypted and its structure followed (`restic check --read-data`). 4: restored below `scratchRoot`, read once
 * more by restic and compared with the snapshot's own list.
 */
export async function verifySnapshot(
  opened: OpenedRepository,
  { snapshotId, grade, scratchRoot }: { snapshotId: string; grade: number; scratchRoot: string },
  job: ResticJob,
): Promise<SnapshotProof> {
  const proof: SnapshotProof = { reachedGrade: 0, proved: [], faults: [] };
  const steps = [
    { grade: 1, prove: () => proveThere(opened, snapshotId, job) },
    { grade: 3, prove: () => proveReadable(opened, job) },
    { grade: 4, prove: () => proveRestorable(opened, snapshotId, scratchRoot, job) },
  ];
  let reached = 0;
  for (const step of steps) {
    if (grade <= reached) break;
    try {
      proof.proved.push(await step.prove());
    } catch (error) {
      job.signal.throwIfAborted();
      proof.faults.push(...faultsOf(error));
      break;
    }
    reached = step.grade;
  }
  return { ...proof, reachedGrade: reached };
}

class Differences extends Error {
  readonly found: string[];
  constructor(found: string[]) {
    super(found[0] ?? "it differs");
    this.found = found;
  }
}

const faultsOf = (error: unknown): string[] =>
  error instanceof Differences ? error.found : [error instanceof Error ? error.message : String(error)];

async function proveThere(
  opened: OpenedRepository,
  snapshotId: string,
  { signal }: ResticJob,
): Promise<string> {
  const { storage, key, repository } = opened;
  for (const path of [`${key}/config`, snapshotKey(key, snapshotId)]) {
    const found = await storage.stat(path, { signal });
    if (found === null) throw new ResticError("missing", `${path} is not there`);
  }
  // Opens the repository with the password, and the snapshot with what that yields.
  await runRestic(repository, ["cat", "snapshot", snapshotId, "--no-lock"], { signal });
  return "the snapshot is there and its repository opens";
}

async function proveReadable({ repository }: OpenedRepository, job: ResticJob): Promise<string> {
  await whenUnlocked(repository, job, () =>
    runRestic(repository, ["check", "--read-data"], { signal: job.signal, onLine: job.alive }),
  );
  return "every byte of the repository was read and hashed, and all that its snapshots refer to is in it";
}

async function proveRestorable(
  opened: OpenedRepository,
  snapshotId: string,
  scratchRoot: string,
  job: ResticJob,
): Promise<string> {
  const scratch = makeScratch(scratchRoot, job.stateDir);
  try {
    const warnings = new WarningList(({ path, reason }) => job.report.log("warn", `${path}: ${reason}`));
    const progress = {
      phase: "verifying" as const,
      sourceBytes: 0,
      entries: 0,
      artifactBytes: 0,
      totalSourceBytes: null,
      totalEntries: null,
      currentPath: null,
    };
    await restoreInto(scratch.path, opened, { snapshotId, selectedPaths: null }, { warnings, progress }, job);
    const differences: string[] = [];
    let entries = 0;
    await listSnapshot(opened, snapshotId, job, (entry) => {
      entries += 1;
      const difference = differenceOf(entry, scratch.path);
      if (difference && differences.length < maxFaults) differences.push(`${entry.path}: ${difference}`);
    });
    if (differences.length > 0) throw new Differences(differences);
    return `${entries} entries were restored and compared with the snapshot`;
  } finally {
    await scratch.remove();
  }
}

/** Contents were compared by restic itself, block by block against their hashes. */
function differenceOf(entry: SnapshotEntry, root: string): string | null {
  // What is no valid Unicode cannot be looked for by its listed name.
  if (entry.path.includes("\uFFFD") || entry.type === "socket") return null;
  const stat = lstatSync(join(root, entry.path), { bigint: true, throwIfNoEntry: false });
  if (!stat) return "was not restored";
  if (kindOf(stat) !== entry.type) return `was restored as ${kindOf(stat)}`;
  if (entry.type === "file" && stat.size !== BigInt(entry.sizeBytes))
    return `has ${stat.size} bytes, not ${entry.sizeBytes}`;
  if (entry.type === "symlink") return readlinkSync(join(root, entry.path)) === "" ? "links nowhere" : null;
  if (Number(stat.mode & 0o7777n) !== entry.mode)
    return `has mode ${(stat.mode & 0o7777n).toString(8)}, not ${entry.mode.toString(8)}`;
  if (entry.type === "file" && stat.mtimeNs !== entry.mtimeNs) return "has another modification time";
  return null;
}

function kindOf(stat: BigIntStats): string {
  if (stat.isFile()) return "file";
  if (stat.isDirectory()) return "dir";
  if (stat.isSymbolicLink()) return "symlink";
  if (stat.isFIFO()) return "fifo";
  return stat.isCharacterDevice() ? "chardev" : "dev";
}
