import { artifactExtension, runBackup } from "../pipeline/backup.ts";
import { AllTargetsFailed } from "../pipeline/fan-out.ts";
import type { BackupJob, BackupResult, BackupTarget, TargetResult } from "../pipeline/pipeline.ts";
import { openStorage, type StorageEnv } from "../storage/open-storage.ts";
import { retrying } from "../storage/retrying.ts";
import type { Storage } from "../storage/storage.ts";
import { vault } from "../storage/vault.ts";
import { uploadClient, type VaultContext, vaultRetryPolicy } from "../vault-client.ts";
import type { Job, StoredBackup, TaskSpec } from "./job.ts";

type Run = Pick<BackupJob, "workDir" | "ownPaths" | "commands" | "report" | "signal">;

/** Makes the backup of a task's spec, to all its targets at once. */
export async function backUp(
  { spec, recordId }: Extract<Job, { kind: "backup" }>,
  run: Run,
  context: VaultContext,
  env: StorageEnv,
): Promise<StoredBackup> {
  const { compression, encryption } = spec.pipeline;
  const fileName = `${spec.fileNameStem}${artifactExtension(spec.source, compression, encryption !== null)}`;
  const key = `${spec.objectPrefix}${fileName}`;
  const targets = await Promise.all(
    spec.targets.map(async (target): Promise<BackupTarget> => {
      const storage = await openTarget(target, recordId, context, env).catch(alwaysFailing);
      const { id, name, quotaRemainingBytes } = target;
      return { id, name, storage, key, quotaRemainingBytes };
    }),
  );
  const { source, sourceSecrets, pipeline } = spec;
  const result = await runBackup({ source, sourceSecrets, pipeline, targets, ...run }).catch((error) => {
    if (error instanceof AllTargetsFailed) return nothingStored(error.targets);
    throw error;
  });
  return { ...result, key, fileName };
}

/** Each target's own reason matters even when none has succeeded. */
const nothingStored = (targets: TargetResult[]): BackupResult => ({
  sizeBytes: 0,
  sha256: "",
  sourceBytes: 0,
  entries: 0,
  warnings: [],
  warningCount: 0,
  targets,
  archiveIndex: null,
  timings: { totalMs: 0 },
});

async function openTarget(
  target: TaskSpec["targets"][number],
  recordId: number,
  context: VaultContext,
  env: StorageEnv,
): Promise<Storage> {
  if (target.transferMode === "direct" && target.type !== "vault") {
    return openStorage(target.type, target.config, env);
  }
  return retrying(vault(uploadClient(context, recordId, target.id), { retryPolicy: vaultRetryPolicy }));
}

/** A target that cannot even be opened fails like one whose upload fails: the others go on. */
function alwaysFailing(error: Error): Storage {
  const fail = () => Promise.reject(error);
  return {
    put: fail,
    get: fail,
    stat: fail,
    // biome-ignore lint/correctness/useYield: it only ever fails
    async *list() {
      throw error;
    },
    delete: fail,
    check: fail,
  };
}
