import { agentApi } from "../../protocol/agent-api.ts";
import { timing } from "../../protocol/states.ts";
import { type Listing, listArchive } from "../pipeline/list-archive.ts";
import type { Reporter } from "../pipeline/pipeline.ts";
import type { StorageEnv } from "../storage/open-storage.ts";
import type { VaultContext } from "../vault-client.ts";
import type { Job } from "./job.ts";
import { identitiesFrom, openStored } from "./stored-artifact.ts";

type Run = { identityFile: string | null; report: Reporter; signal: AbortSignal };
type InspectJob = Extract<Job, { kind: "inspect_archive" }>;

/** About what a slow disk and a slow line give in the time that somebody waits. */
const maxBytesWithoutIndex = 64 * 1024 * 1024;

/** Lists an archive's contents for somebody who waits: what takes longer is given up. */
export async function inspectArchive(
  { commandId, inspection }: InspectJob,
  { identityFile, report, signal }: Run,
  context: VaultContext,
  env: StorageEnv,
): Promise<Listing> {
  const { sizeBytes, checksum, targetType, targetConfig, storagePath, archiveIndex } = inspection;
  const transferMode = targetType === "vault" ? "master_relay" : "direct";
  const described = {
    storage: { type: targetType, config: targetConfig, transferMode },
    storagePath,
    checksum,
    fileSize: sizeBytes,
    archiveIndex,
  };
  const call = { endpoint: agentApi.inspectedArtifact, id: commandId };
  const keys = inspection.identityFile ?? identityFile;
  const patience = AbortSignal.timeout(timing.controlWaitSeconds * 1000);
  try {
    return await listArchive({
      ...inspection,
      ...(await openStored(described, context, call, env)),
      identities: inspection.encrypted ? await identitiesFrom(keys, report) : null,
      maxBytesWithoutIndex,
      signal: AbortSignal.any([signal, patience]),
    });
  } catch (error) {
    if (patience.aborted)
      throw new Error("it could not be read in the time that somebody waits for a listing");
    throw error;
  }
}
