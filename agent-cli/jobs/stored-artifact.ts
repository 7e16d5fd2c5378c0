import type { IndexPlace } from "../pipeline/archive-index.ts";
import type { Identities } from "../pipeline/identities.ts";
import type { Reporter, StoredArtifact } from "../pipeline/pipeline.ts";
import type { StorageEnv } from "../storage/open-storage.ts";
import { type ArtifactCall, downloadClient, type VaultContext } from "../vault-client.ts";
import { isDirect, type Target } from "./job.ts";
import { openTarget } from "./open-target.ts";

/** An artifact as the master describes it to whoever is to read it. */
type Described = {
  storage: Target;
  storagePath: string;
  checksum: string | null;
  fileSize: number;
  archiveIndex: IndexPlace | null;
};

/** Opens the storage that an artifact is read from; the vault is reached through the master. */
export async function openStored(
  { storage: target, storagePath, checksum, fileSize, archiveIndex }: Described,
  context: VaultContext,
  call: ArtifactCall,
  env: StorageEnv,
): Promise<StoredArtifact> {
  return {
    storage: await openTarget(target, env, () => downloadClient(context, call, fileSize)),
    key: storagePath,
    // A Go agent's records may know neither of these.
    expected: { sha256: checksum || null, sizeBytes: fileSize > 0 ? fileSize : null },
    archiveIndex,
    nearby: isDirect(target) && target.type === "local_disk",
  };
}

/** The keys of this machine that may open the backup. None of them is ever told to anybody. */
export async function identitiesFrom(
  file: string | null,
  report: Reporter,
  purpose: "restore" | "verification" = "restore",
): Promise<Identities> {
  if (file === null) {
    throw new Error(
      `this backup is encrypted, and this agent has no key: set identityFile in its configuration, or name a file with the private key for this ${purpose}`,
    );
  }
  const { readIdentities } = await import("../pipeline/identities.ts");
  const identities = readIdentities(file);
  if (identities.readableByOthers) report.log("warn", `${file} can be read by others: chmod 600 ${file}`);
  return identities;
}
