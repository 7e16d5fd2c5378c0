import { agentApi } from "../../protocol/agent-api.ts";
import { type CopyResult, copyArtifact } from "../pipeline/copy-artifact.ts";
import type { Reporter } from "../pipeline/pipeline.ts";
import { hashesWhatItTakes, openStorage, type StorageEnv } from "../storage/open-storage.ts";
import { retrying } from "../storage/retrying.ts";
import type { Storage } from "../storage/storage.ts";
import { vault } from "../storage/vault.ts";
import { downloadClient, uploadClient, type VaultContext, vaultRetryPolicy } from "../vault-client.ts";
import type { CopySpec, Job } from "./job.ts";

type Run = { report: Reporter; signal: AbortSignal };
type Opened = CopySpec["source"];

/** Copies a record's artifact from one of its targets to another. */
export async function copy(
  { spec, commandId }: Extract<Job, { kind: "copy" }>,
  run: Run,
  context: VaultContext,
  env: StorageEnv,
): Promise<CopyResult> {
  const { source, target, sizeBytes } = spec;
  const reading = { endpoint: agentApi.copyArtifact, id: commandId };
  const from = await open(source, env, () => downloadClient(context, reading, sizeBytes));
  const to = await open(target, env, () => uploadClient(context, spec.recordId, target.id));
  const readsVault = isVault(target);
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
    bandwidthBytesPerSecond: spec.bandwidthBytesPerSecond,
    ...run,
  });
}

const isVault = ({ type, transferMode }: Opened) => transferMode !== "direct" || type === "vault";

async function open(
  target: Opened,
  env: StorageEnv,
  client: () => Parameters<typeof vault>[0],
): Promise<Storage> {
  if (!isVault(target)) return openStorage(target.type, target.config, env);
  return retrying(vault(client(), { retryPolicy: vaultRetryPolicy }));
}
