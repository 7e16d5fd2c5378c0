import { type BigIntStats, lstatSync } from "node:fs";
import { join } from "node:path";
import { startProgress } from "../pipeline/start-progress.ts";
import {
  damaged,
  type Grade,
  notChecked,
  passed,
  type VerificationReport,
} from "../pipeline/verify/finding.ts";
import { requireRoom } from "../pipeline/verify/room.ts";
import { WarningList } from "../pipeline/warnings.ts";
import { snapshotKey } from "./forget.ts";
import { listSnapshot, type SnapshotEntry } from "./list.ts";
import { ResticError, runRestic } from "./program.ts";
import { type OpenedRepository, type ResticJob, whenUnlocked } from "./repository.ts";
import { restoreInto } from "./restore.ts";
import { makeScratch } from "./scratch.ts";

const maxDifferences = 200;

/**
 * Verifies a snapshot by grade. 1: its object and its repository are there, and the password opens them. 2 and 3: every
 * byte of the repository was read, hashed, decrypted, and all that its snapshots refer to followed (`restic check
 * --read-data`, which knows no single snapshot). 4: restored to a scratch place, read once more against the repository by
 * restic and compared with the snapshot's list.
 */
export async function verifySnapshot(
  opened: OpenedRepository,
  { snapshotId, grade, sourceBytes }: { snapshotId: string; grade: Grade; sourceBytes: number },
  job: ResticJob,
): Promise<VerificationReport> {
  const report: VerificationReport = {
    checks: [],
    differences: [],
    differenceCount: 0,
    entries: 0,
    bytes: 0,
  };
  const steps: { grades: Grade[]; name: string; prove: () => Promise<string> }[] = [
    { grades: [1], name: "snapshot", prove: () => proveThere(opened, snapshotId, job) },
    { grades: [2, 3], name: "repository", prove: () => proveReadable(opened, job) },
    {
      grades: [4],
      name: "restored",
      prove: async () => {
        await requireRoom(job.workDir, sourceBytes, "restoring it");
        return proveRestorable(opened, snapshotId, report, job);
      },
    },
  ];
  for (const { grades, name, prove } of steps) {
    const wanted = grades.filter((one) => one <= grade);
    if (wanted.length === 0) break;
    const finding = await prove().then(
      (detail) => passed(name, detail),
      (error: unknown) => {
        job.signal.throwIfAborted();
        const detail = error instanceof Error ? error.message : String(error);
        return error instanceof Damage ? damaged(name, detail) : notChecked(name, detail);
      },
    );
    report.checks.push(...wanted.map((one) => ({ ...finding, grade: one })));
    if (finding.outcome !== "passed") break;
  }
  return report;
}

/** What was looked at is not what was stored; any other failure says nothing against the backup. */
class Damage extends Error {}

async function proveThere(
  { storage, key, repository }: OpenedRepository,
  snapshotId: string,
  { signal }: ResticJob,
): Promise<string> {
  for (const path of [`${key}/config`, snapshotKey(key, snapshotId)]) {
    if ((await storage.stat(path, { signal })) === null) throw new Damage(`${path} is not there`);
  }
  await runRestic(repository, ["cat", "snapshot", snapshotId, "--no-lock"], { signal });
  return "the snapshot is there, and the password opens it";
}

/** Of these a check tells as well when it could not reach the storage: then it has proved nothing. */
const unreachable =
  /dial tcp|refused|timed? ?out|reset by peer|no such host|unreachable|EOF|denied|forbidden/i;
const contradiction =
  /contains errors|does not match|verification failed|invalid data|not found in (index|repository)/i;

async function proveReadable({ repository }: OpenedRepository, job: ResticJob): Promise<string> {
  const said: string[] = [];
  const onLine = (line: string) => {
    job.alive();
    if (said.length < 20 && (unreachable.test(line) || contradiction.test(line)))
      said.push(line.slice(0, 300));
  };
  try {
    const args = ["check", "--read-data"];
    await whenUnlocked(repository, job, () => runRestic(repository, args, { signal: job.signal, onLine }));
  } catch (error) {
    const isDamage = error instanceof ResticError && error.fault === "failed" && said.length > 0;
    if (isDamage && !said.some((line) => unreachable.test(line)))
      throw new Damage(said.slice(0, 5).join("; "));
    throw error;
  }
  return "every byte of the repository was read, hashed and decrypted, and all that its snapshots refer to is in it";
}

async function proveRestorable(
  opened: OpenedRepository,
  snapshotId: string,
  report: VerificationReport,
  job: ResticJob,
): Promise<string> {
  const scratch = makeScratch(job.workDir, job.stateDir);
  try {
    const warnings = new WarningList(({ path, reason }) => job.report.log("warn", `${path}: ${reason}`));
    const wanted = { snapshotId, selectedPaths: null };
    await restoreInto(scratch.path, opened, wanted, { warnings, progress: startProgress() }, job);
    if (warnings.count > 0)
      throw new Error(`${warnings.count} files could not get all of their attributes here`);
    await listSnapshot(opened, snapshotId, job, (entry) => {
      report.entries += 1;
      report.bytes += entry.sizeBytes;
      const reason = differenceOf(entry, scratch.path);
      if (reason === null) return;
      report.differenceCount += 1;
      if (report.differences.length < maxDifferences) report.differences.push({ path: entry.path, reason });
    });
    if (report.differenceCount > 0)
      throw new Damage(`${report.differenceCount} entries were restored otherwise`);
    return `${report.entries} entries were restored and compared with the snapshot`;
  } finally {
    await scratch.remove();
  }
}

/** Contents were compared by restic itself, block by block against their hashes. */
function differenceOf(entry: SnapshotEntry, root: string): string | null {
  // What is no valid Unicode cannot be looked for by its listed name, and nobody can make a socket.
  if (entry.path.includes("\uFFFD") || entry.type === "socket") return null;
  const stat = lstatSync(join(root, entry.path), { bigint: true, throwIfNoEntry: false });
  if (!stat) return "was not restored";
  if (kindOf(stat) !== entry.type) return `was restored as ${kindOf(stat)}`;
  if (entry.type === "symlink") return null;
  if (Number(stat.mode & 0o7777n) !== entry.mode)
    return `has mode ${(stat.mode & 0o7777n).toString(8)}, not ${entry.mode.toString(8)}`;
  if (entry.type !== "file") return null;
  if (stat.size !== BigInt(entry.sizeBytes)) return `has ${stat.size} bytes, not ${entry.sizeBytes}`;
  return stat.mtimeNs === entry.mtimeNs ? null : "has another modification time";
}

function kindOf(stat: BigIntStats): SnapshotEntry["type"] {
  if (stat.isFile()) return "file";
  if (stat.isDirectory()) return "dir";
  if (stat.isSymbolicLink()) return "symlink";
  if (stat.isFIFO()) return "fifo";
  return stat.isCharacterDevice() ? "chardev" : "dev";
}
