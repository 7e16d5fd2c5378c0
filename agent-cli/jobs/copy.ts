import { agentApi } from "../../protocol/agent-api.ts";
import { type CopyResult, copyArtifact } from "../pipeline/copy-artifact.ts";
import type { Reporter } from "../pipeline/pipeline.ts";
import { hashesWhatItTakes } from "../storage/open-storage.ts";
import { downloadClient, uploadClient, type VaultContext } from "../vault-client.ts";
import type { StoragesOf } from "./connections.ts";
import { isDirect, type Job } from "./job.ts";
import { openTarget } from "./open-target.ts";

type Run = { report: Reporter; signal: AbortSignal };

/** Copies a record's artifact from one of its targets to another. */
export async function copy(
  { spec, commandId }: Extract<Job, { kind: "copy" }>,
  run: Run,
  context: VaultContext,
  storages: StoragesOf,
): Promise<CopyResult> {
  const { source, target, sizeBytes } = spec;
  const reading = { endpoint: agentApi.copyArtifact, id: commandId };
  const reader = () => downloadClient(context, reading, sizeBytes);
  const writer = () => uploadClient(context, spec.recordId, target.id);
  const from = await openTarget(source, storages(source), reader);
  const to = await openTarget(target, storages(target), writer);
  const readsVault = !isDirect(target);
  return copyArtifact({
    from: { storage: from, key: spec.sourceKey },
    // The vault tells the size when an upload is completed; it answers no other questions of a writer.
    to: {
      storage: readsVault ? { ...to, stat: async () => ({ sizeBytes }) } : to,
      key: spec.targetKey,
      quotaRemainingBytes: target.quotaRemainingBytes,
    },
    expected: { sizeBytes, sha256: spec.sha256 },
    readBack: !hashesWhatItTakes(target.type),
    ...run,
  });
}
