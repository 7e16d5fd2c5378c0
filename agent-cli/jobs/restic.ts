import { timing } from "../../protocol/states.ts";
import type { Listing } from "../pipeline/list-archive.ts";
import type { RestoreResult, TargetResult } from "../pipeline/pipeline.ts";
import type { VerificationReport } from "../pipeline/verify/finding.ts";
import { WarningList } from "../pipeline/warnings.ts";
import { makeSnapshot, type Snapshot } from "../restic/back-up.ts";
import { forgetSnapshot, pruneIfDue, readSnapshotKey, snapshotKey } from "../restic/forget.ts";
import { listResticSnapshot } from "../restic/list.ts";
import { ensureRepository, openRepository, type ResticJob } from "../restic/repository.ts";
import { restoreSnapshot } from "../restic/restore.ts";
import { trimCache } from "../restic/trim-cache.ts";
import { verifySnapshot } from "../restic/verify.ts";
import type { StorageEnv } from "../storage/open-storage.ts";
import type { StoragesOf } from "./connections.ts";
import type { Job, StoredBackup, TaskSpec } from "./job.ts";

type Run = Omit<ResticJob, "storages">;

/**
 * Makes a snapshot in each target's own repository, one after the other: each is a backup of its own, so what one of
 * them lacks makes no difference to the others.
 */
export async function backUpByRestic(
  { spec, recordId }: Extract<Job, { kind: "backup" }>,
  { ownPaths, ...run }: Run & { ownPaths: readonly string[] },
  storages: StoragesOf,
): Promise<StoredBackup> {
  const startedAt = performance.now();
  const warnings = new WarningList(({ path, reason }) => run.report.log("warn", `${path}: ${reason}`));
  const results: TargetResult[] = [];
  let first: Snapshot | null = null;
  for (const target of spec.targets) {
    try {
      // Each run tells of the same unreadable files; once is enough.
      const ownWarnings = first === null ? warnings : new WarningList();
      const job = { ...run, storages: storages(target) };
      const snapshot = await backUpTo(target, { spec, recordId, ownPaths, warnings: ownWarnings }, job);
      first ??= snapshot;
      results.push(stored(target, resticOf(spec).key, snapshot));
    } catch (error) {
      run.signal.throwIfAborted();
      const reason = error instanceof Error ? error.message : String(error);
      results.push({ id: target.id, name: target.name, status: "failed", sizeBytes: 0, error: reason });
    }
  }
  await trimCache(run.stateDir).catch(() => {});
  return {
    sizeBytes: first?.addedBytes ?? 0,
    sha256: first?.id ?? "",
    sourceBytes: first?.sourceBytes ?? 0,
    entries: first?.entries ?? 0,
    warnings: warnings.kept,
    warningCount: warnings.count,
    targets: results,
    archiveIndex: null,
    timings: { totalMs: Math.round(performance.now() - startedAt) },
    kind: "full",
    key: first ? snapshotKey(resticOf(spec).key, first.id) : "",
    fileName: `${spec.fileNameStem}.restic`,
    ...(first ? { snapshotId: first.id } : {}),
  };
}

type Target = TaskSpec["targets"][number];
type What = { spec: TaskSpec; recordId: number; ownPaths: readonly string[]; warnings: WarningList };

async function backUpTo(
  target: Target,
  { spec, recordId, ownPaths, warnings }: What,
  job: ResticJob,
): Promise<Snapshot> {
  const { source, pipeline, taskId } = spec;
  if (source.type !== "file") throw new Error(`restic backs up files, not ${source.type}`);
  if (target.quotaRemainingBytes !== null && target.quotaRemainingBytes <= 0)
    throw new Error("the quota of this target is used up");
  const { key, holdsBackups, password } = resticOf(spec);
  const opened = await openRepository({ ...target, key, password }, job);
  if (pipeline.threads !== null) opened.repository.environment["GOMAXPROCS"] = String(pipeline.threads);
  if (spec.targets.length > 1) job.report.log("info", `snapshot in ${target.name}`);
  await ensureRepository(opened, holdsBackups.includes(target.id), job);
  const ownDisk = target.type === "local_disk" ? [opened.repository.location] : [];
  const snapshot = await makeSnapshot(
    opened,
    {
      source,
      tags: ["backupx", `task-${taskId}`, `record-${recordId}`],
      leaveOut: [...ownPaths, job.workDir, ...ownDisk],
      warnings,
    },
    job,
  );
  await pruneIfDue(opened, job).catch((error: Error) => {
    job.signal.throwIfAborted();
    job.report.log(
      "warn",
      `the snapshot is stored, but what is no longer used could not be removed: ${error.message}`,
    );
  });
  return snapshot;
}

const stored = ({ id, name }: Target, repositoryKey: string, snapshot: Snapshot): TargetResult => ({
  id,
  name,
  status: "success",
  sizeBytes: snapshot.addedBytes,
  error: null,
  key: snapshotKey(repositoryKey, snapshot.id),
  sha256: snapshot.id,
});

function resticOf({ restic, sourceSecrets }: TaskSpec) {
  if (!restic) throw new Error("the master did not say which repository this task has");
  return { ...restic, password: requirePassword(sourceSecrets.resticPassword) };
}

/** Restores the snapshot that a restore's spec names. */
export async function restoreByRestic(
  { spec }: Extract<Job, { kind: "restore" }>,
  run: Run,
  storages: StoragesOf,
): Promise<RestoreResult> {
  const job: ResticJob = { ...run, storages: storages(spec.storage) };
  const { repositoryKey, snapshotId } = readSnapshotKey(spec.storagePath);
  const password = requirePassword(spec.sourceSecrets.resticPassword);
  const opened = await openRepository({ ...spec.storage, key: repositoryKey, password }, job);
  const { destination, selectedPaths, sourcePaths, conflict } = spec;
  return restoreSnapshot(opened, { snapshotId, destination, selectedPaths, sourcePaths, conflict }, job);
}

/** Looks into a copy as far as its spec asks. */
export async function verifyByRestic(
  { spec }: Extract<Job, { kind: "verify" }>,
  run: Run,
  storages: StoragesOf,
): Promise<VerificationReport> {
  const job: ResticJob = { ...run, storages: storages(spec.storage) };
  const { repositoryKey, snapshotId } = readSnapshotKey(spec.storagePath);
  const password = requirePassword(spec.resticPassword);
  const opened = await openRepository({ ...spec.storage, key: repositoryKey, password }, job);
  const { grade, sourceBytes } = spec;
  return verifySnapshot(opened, { snapshotId, grade, sourceBytes: sourceBytes ?? 0 }, job);
}

/** Lists what a snapshot holds for somebody who waits: what takes longer is given up. */
export async function listByRestic(
  { inspection }: Extract<Job, { kind: "inspect_archive" }>,
  run: Run,
  storages: StorageEnv,
): Promise<Listing> {
  const patience = AbortSignal.timeout(timing.controlWaitSeconds * 1000);
  const job: ResticJob = { ...run, storages, signal: AbortSignal.any([run.signal, patience]) };
  const { targetType, targetConfig, storagePath } = inspection;
  const { repositoryKey, snapshotId } = readSnapshotKey(storagePath);
  const password = requirePassword(inspection.resticPassword ?? null);
  const address = { type: targetType, config: targetConfig, key: repositoryKey, password };
  try {
    return await listResticSnapshot(await openRepository(address, job), snapshotId, inspection, job);
  } catch (error) {
    if (patience.aborted)
      throw new Error("it could not be read in the time that somebody waits for a listing");
    throw error;
  }
}

/** Deletes a record's copy: its snapshot is forgotten, and what only it used goes at the next pruning. */
export async function forgetByRestic(
  { targetType, targetConfig, key, password }: Extract<Job, { kind: "forget_snapshot" }>,
  run: Run,
  storages: StorageEnv,
): Promise<{ deleted: true }> {
  const job: ResticJob = { ...run, storages };
  const { repositoryKey, snapshotId } = readSnapshotKey(key);
  const address = { type: targetType, config: targetConfig, key: repositoryKey, password };
  await forgetSnapshot(await openRepository(address, job), snapshotId, job);
  return { deleted: true };
}

function requirePassword(password: string | null): string {
  if (password) return password;
  throw new Error("the task has no resticPassword any more: set it again");
}
