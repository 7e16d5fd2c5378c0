import { agentApi } from "../../protocol/agent-api.ts";
import type { Identities } from "../pipeline/identities.ts";
import type { RestoreJob as PipelineRestore, Reporter, RestoreResult } from "../pipeline/pipeline.ts";
import { runRestore } from "../pipeline/restore.ts";
import { openStorage, type StorageEnv } from "../storage/open-storage.ts";
import { retrying } from "../storage/retrying.ts";
import type { Storage } from "../storage/storage.ts";
import { vault } from "../storage/vault.ts";
import { downloadClient, type VaultContext, vaultRetryPolicy } from "../vault-client.ts";
import type { Job } from "./job.ts";
import { restorable } from "./restorable.ts";

type Run = Pick<PipelineRestore, "workDir" | "commands" | "report" | "signal"> & {
  identityFile: string | null;
};
type RestoreJob = Extract<Job, { kind: "restore" }>;

/** Brings back what a restore's spec asks for. */
export async function restore(
  job: RestoreJob,
  { identityFile, ...run }: Run,
  context: VaultContext,
  env: StorageEnv,
): Promise<RestoreResult> {
  const { spec } = job;
  const { sourceType, compression } = restorable(spec);
  return runRestore({
    sourceType,
    source: spec.source,
    sourceSecrets: spec.sourceSecrets,
    options: spec.options,
    compression,
    identities: spec.encrypt ? await identitiesFrom(spec.identityFile ?? identityFile, run.report) : null,
    storage: await openSource(job, context, env),
    key: spec.storagePath,
    // The Go agent's records may know neither of these.
    expected: { sha256: spec.checksum || null, sizeBytes: spec.fileSize > 0 ? spec.fileSize : null },
    destination: spec.destination,
    selectedPaths: spec.selectedPaths,
    originalPaths: spec.sourcePaths,
    conflict: spec.conflict,
    ...run,
  });
}

/** The keys of this machine that may open the backup. None of them is ever told to anybody. */
async function identitiesFrom(file: string | null, report: Reporter): Promise<Identities> {
  if (file === null) {
    throw new Error(
      "this backup is encrypted, and this agent has no key: set identityFile in its configuration, or name a file with the private key for this restore",
    );
  }
  const { readIdentities } = await import("../pipeline/identities.ts");
  const identities = readIdentities(file);
  if (identities.readableByOthers) report.log("warn", `${file} can be read by others: chmod 600 ${file}`);
  return identities;
}

async function openSource(
  { spec, restoreId }: RestoreJob,
  context: VaultContext,
  env: StorageEnv,
): Promise<Storage> {
  const { type, config, transferMode } = spec.storage;
  if (transferMode === "direct" && type !== "vault") return openStorage(type, config, env);
  const client = downloadClient(
    context,
    { endpoint: agentApi.restoreArtifact, id: restoreId },
    spec.fileSize,
  );
  return retrying(vault(client, { retryPolicy: vaultRetryPolicy }));
}
