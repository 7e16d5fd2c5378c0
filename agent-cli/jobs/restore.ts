import { agentApi } from "../../protocol/agent-api.ts";
import type { RestoreJob as PipelineRestore, RestoreResult } from "../pipeline/pipeline.ts";
import { runRestore } from "../pipeline/restore.ts";
import type { VaultContext } from "../vault-client.ts";
import type { StoragesOf } from "./connections.ts";
import type { Job } from "./job.ts";
import { restorable } from "./restorable.ts";
import { identitiesFrom, openStored } from "./stored-artifact.ts";

type Run = Pick<PipelineRestore, "workDir" | "commands" | "report" | "signal"> & {
  identityFile: string | null;
};
type RestoreJob = Extract<Job, { kind: "restore" }>;

/** Brings back what a restore's spec asks for. */
export async function restore(
  job: RestoreJob,
  { identityFile, ...run }: Run,
  context: VaultContext,
  storages: StoragesOf,
): Promise<RestoreResult> {
  const { spec } = job;
  const { sourceType, compression } = restorable(spec);
  const identities = spec.encrypt
    ? await identitiesFrom(spec.identityFile ?? identityFile, run.report)
    : null;
  const call = { endpoint: agentApi.restoreArtifact, id: job.restoreId };
  const own = { ...(await openStored(spec, context, call, storages(spec.storage))), identities };
  const ofBase = { ...call, of: "base" as const };
  const base = spec.base && {
    ...(await openStored(spec.base, context, ofBase, storages(spec.base.storage))),
    identities,
  };
  return runRestore({
    sourceType,
    source: spec.source,
    sourceSecrets: spec.sourceSecrets,
    options: spec.options,
    compression,
    ...own,
    base,
    dryRun: spec.dryRun,
    destination: spec.destination,
    selectedPaths: spec.selectedPaths,
    originalPaths: spec.sourcePaths,
    conflict: spec.conflict,
    mark: job.mark,
    ...run,
  });
}
