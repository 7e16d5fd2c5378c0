import { runBackup } from "../pipeline/backup.ts";
import { AllTargetsFailed } from "../pipeline/fan-out.ts";
import type { Identities } from "../pipeline/identities.ts";
import type { BackupJob, BackupResult, BackupTarget, Base, TargetResult } from "../pipeline/pipeline.ts";
import type { Storage } from "../storage/storage.ts";
import type { VaultContext } from "../vault-client.ts";
import { artifactKey } from "./artifact-key.ts";
import type { StoragesOf } from "./connections.ts";
import { IndexCache, indexFolder } from "./index-cache.ts";
import type { Job, StoredBackup, TaskSpec } from "./job.ts";
import { type BaseCopy, openBase } from "./open-base.ts";
import { openTarget } from "./open-target.ts";

type Run = Pick<BackupJob, "workDir" | "ownPaths" | "commands" | "report" | "signal"> & {
  identityFile: string | null;
  stateDir: string;
};

/** The line to the master's vault, made when it is asked for. */
type Vault = () => Promise<VaultContext>;

/** Makes the backup of a task's spec, to all its targets at once. */
export async function backUp(
  { spec, recordId }: Extract<Job, { kind: "backup" }>,
  { identityFile, stateDir, ...run }: Run,
  vault: Vault,
  storages: StoragesOf,
): Promise<StoredBackup> {
  const { fileName, key } = artifactKey(spec);
  const targets = await Promise.all(
    spec.targets.map(async (target): Promise<BackupTarget> => {
      const client = async () => {
        const { uploadClient } = await import("../vault-client.ts");
        return uploadClient(await vault(), recordId, target.id);
      };
      const storage = await openTarget(target, storages(target), client).catch(alwaysFailing);
      const { id, name, quotaRemainingBytes } = target;
      return { id, name, storage, key, quotaRemainingBytes };
    }),
  );
  const cache = new IndexCache(indexFolder(stateDir));
  const base = await openBase(spec, {
    cache,
    copies: spec.base ? baseCopies(spec, spec.base, recordId, vault, storages) : [],
    identities: () => identitiesOf(identityFile),
    report: run.report,
    signal: run.signal,
  });
  const { source, sourceSecrets, pipeline } = spec;
  const kept = keptIndex(spec, recordId, cache, base, run.report);
  const job = { source, sourceSecrets, pipeline, targets, base, onIndex: kept.draft, ...run };
  try {
    const result = await runBackup(job);
    kept.keep();
    return { ...result, kind: base ? "differential" : "full", key, fileName };
  } catch (error) {
    kept.discard();
    if (error instanceof AllTargetsFailed) {
      return { ...nothingStored(error.targets), kind: "full", key, fileName };
    }
    throw error;
  }
}

/** Keeps the index of a full backup that the next ones are to be compared with. That is a help and no condition. */
function keptIndex(
  { taskId, pipeline }: TaskSpec,
  recordId: number,
  cache: IndexCache,
  base: Base | null,
  report: BackupJob["report"],
) {
  if (pipeline.differential === null || base !== null) return nothingKept;
  let draft: ReturnType<IndexCache["draft"]> | null = null;
  const trying = (work: () => void) => {
    try {
      work();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      report.log("warn", `the backup's index is not kept on this machine: ${reason}`);
    }
  };
  return {
    draft: (bytes: Uint8Array) =>
      trying(() => {
        draft = cache.draft({ taskId, recordId }, bytes);
      }),
    keep: () => trying(() => draft?.keep()),
    discard: () => trying(() => draft?.discard()),
  };
}

const nothingKept = { draft: () => {}, keep: () => {}, discard: () => {} };

/** The copies of the base, in the targets of the task. */
function baseCopies(
  spec: TaskSpec,
  base: NonNullable<TaskSpec["base"]>,
  recordId: number,
  vault: Vault,
  storages: StoragesOf,
): BaseCopy[] {
  return base.copies.flatMap(({ targetId, storagePath }) => {
    const target = spec.targets.find(({ id }) => id === targetId);
    if (!target) return [];
    const client = async () => {
      const { baseClient } = await import("../vault-client.ts");
      return baseClient(await vault(), recordId, base.sizeBytes);
    };
    return [{ name: target.name, storagePath, open: () => openTarget(target, storages(target), client) }];
  });
}

async function identitiesOf(file: string | null): Promise<Identities | null> {
  if (file === null) return null;
  const { readIdentities } = await import("../pipeline/identities.ts");
  return readIdentities(file);
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
