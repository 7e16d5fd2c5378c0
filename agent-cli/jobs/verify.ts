import { agentApi } from "../../protocol/agent-api.ts";
import type { Reporter, StoredArtifact } from "../pipeline/pipeline.ts";
import type { VerificationReport, VerifyJob } from "../pipeline/verify/finding.ts";
import { runVerification } from "../pipeline/verify/verify.ts";
import { openStorage, type StorageEnv } from "../storage/open-storage.ts";
import { retrying } from "../storage/retrying.ts";
import type { Storage } from "../storage/storage.ts";
import { vault } from "../storage/vault.ts";
import { type ArtifactCall, downloadClient, type VaultContext, vaultRetryPolicy } from "../vault-client.ts";
import type { Job, VerificationSpec } from "./job.ts";

type Run = { workDir: string; identityFile: string | null; report: Reporter; signal: AbortSignal };
type Stored = Pick<VerificationSpec, "storage" | "fileSize">;

/** Looks into a copy as far as its spec asks. */
export async function verify(
  { spec }: Extract<Job, { kind: "verify" }>,
  { identityFile, ...run }: Run,
  context: VaultContext,
  env: StorageEnv,
): Promise<VerificationReport> {
  const open = (stored: Stored, of?: "base") => openStored(stored, callOf(spec, of), context, env);
  const storage = await open(spec);
  const identities = spec.encrypt
    ? await identitiesFrom(spec.identityFile ?? identityFile, run.report)
    : null;
  return runVerification({
    grade: spec.grade,
    source: spec.source,
    compression: spec.compression,
    identities,
    storage: isVault(spec) ? whatTheVaultHas(storage, spec.vaultSize) : storage,
    key: spec.storagePath,
    expected: { sha256: spec.checksum, sizeBytes: spec.fileSize > 0 ? spec.fileSize : null },
    archiveIndex: spec.archiveIndex,
    nearby: spec.storage.type === "local_disk",
    base: spec.base && (await baseOf(spec.base, identities, (stored) => open(stored, "base"))),
    ...run,
  });
}

const callOf = ({ verificationId }: VerificationSpec, of?: "base"): ArtifactCall => ({
  endpoint: agentApi.verificationArtifact,
  id: verificationId,
  ...(of && { of }),
});

async function baseOf(
  base: NonNullable<VerificationSpec["base"]>,
  identities: VerifyJob["identities"],
  open: (stored: Stored) => Promise<Storage>,
): Promise<StoredArtifact> {
  return {
    storage: await open(base),
    key: base.storagePath,
    expected: { sha256: base.checksum, sizeBytes: base.fileSize },
    identities: identities !== null && "missing" in identities ? null : identities,
    nearby: base.storage.type === "local_disk",
  };
}

const isVault = ({ storage: { type, transferMode } }: Stored) =>
  transferMode !== "direct" || type === "vault";

async function openStored(
  stored: Stored,
  call: ArtifactCall,
  context: VaultContext,
  env: StorageEnv,
): Promise<Storage> {
  const { type, config } = stored.storage;
  if (!isVault(stored)) return openStorage(type, config, env);
  return retrying(vault(downloadClient(context, call, stored.fileSize), { retryPolicy: vaultRetryPolicy }));
}

/** A reader of the vault knows only what it was told to expect. The master has looked. */
const whatTheVaultHas = (storage: Storage, sizeBytes: number | null): Storage => ({
  ...storage,
  stat: async () => (sizeBytes === null ? null : { sizeBytes }),
});

/** The keys of this machine that may open the backup, or why there are none: the first two grades need none. */
async function identitiesFrom(file: string | null, report: Reporter): Promise<VerifyJob["identities"]> {
  if (file === null) {
    return {
      missing:
        "this backup is encrypted, and this agent has no key: set identityFile in its configuration, or name a file with the private key for this verification",
    };
  }
  const { readIdentities } = await import("../pipeline/identities.ts");
  try {
    const identities = readIdentities(file);
    if (identities.readableByOthers) report.log("warn", `${file} can be read by others: chmod 600 ${file}`);
    return identities;
  } catch (error) {
    return { missing: (error as Error).message };
  }
}
