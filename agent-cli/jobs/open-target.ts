import { limited } from "../storage/limited.ts";
import { openStorage, type StorageEnv } from "../storage/open-storage.ts";
import type { Storage } from "../storage/storage.ts";
import type { VaultClient } from "../storage/vault.ts";

/** A target as the master tells a job of it. */
export type Target = { type: string; config: Record<string, unknown>; transferMode: string };

/** Whether it is reached through the master. */
export const isVault = ({ type, transferMode }: Target): boolean =>
  transferMode !== "direct" || type === "vault";

/** Opens a target by its own driver, or through the master by a client that may do there what this job needs. */
export async function openTarget(
  target: Target,
  env: StorageEnv,
  client: () => Promise<VaultClient> | VaultClient,
): Promise<Storage> {
  if (!isVault(target)) return openStorage(target.type, target.config, env);
  const [{ retrying }, { vault }, { vaultRetryPolicy }] = await Promise.all([
    import("../storage/retrying.ts"),
    import("../storage/vault.ts"),
    import("../vault-client.ts"),
  ]);
  const driver = vault(await client(), { retryPolicy: vaultRetryPolicy });
  return retrying(env.bucket ? limited(driver, env.bucket) : driver);
}
