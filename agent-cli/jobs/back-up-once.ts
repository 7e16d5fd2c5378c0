import { runBackup } from "../pipeline/backup.ts";
import type { BackupJob, BackupResult } from "../pipeline/pipeline.ts";
import { openStorage, type StorageEnv } from "../storage/open-storage.ts";
import type { LoneBackup } from "./job.ts";

type Run = Pick<BackupJob, "workDir" | "ownPaths" | "commands" | "report" | "signal">;

/** Makes a backup to one place, always a full one. */
export async function backUpOnce(
  { source, sourceSecrets, pipeline, target }: LoneBackup,
  run: Run,
  env: StorageEnv,
): Promise<BackupResult> {
  const { targetType, targetConfig, name, key } = target;
  const storage = await openStorage(targetType, targetConfig, env);
  const targets = [{ id: 1, name, storage, key, quotaRemainingBytes: null }];
  return runBackup({ source, sourceSecrets, pipeline, targets, ...run });
}
