import { limited } from "../storage/limited.ts";
import { openStorage, type StorageEnv } from "../storage/open-storage.ts";
import type { Storage } from "../storage/storage.ts";
import type { VaultClient } from "../storage/vault.ts";
import { isDirect, type Target } from "./job.ts";

/** Opens a target by its own driver, or through the master by a client that may do there what this job needs. */
export async function openTarget(
  target: Target,
  env: StorageEnv,
  client: () => Promise<VaultClient> | VaultClient,
): Promise<Storage> {
  if (isDirect(target)) return openStorage(target.type, target.config, env);
  const [{ retrying }, { vault }, { vaultRetryPolicy }] = await Promise.all([
    import("../storage/retrying.ts"),
    import("../storage/vault.ts"),
    import("../vault-client.ts"),
  ]);
  const driver = vault(await client(), { retryPolicy: vaultRetryPolicy });
  return retrying(env.bucket ? limited(driver, env.bucket) : driver);
}
