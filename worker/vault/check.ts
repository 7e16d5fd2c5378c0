import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";

/** Writes a small object into the vault, reads it back and deletes it; how long that took. */
export async function checkVault({ vault, now, newToken, log }: Deps): Promise<{ milliseconds: number }> {
  const startedAt = now();
  const written = newToken();
  const key = `BackupX/check/${written}`;
  const read = await readBack(vault, key, written).catch((error: unknown) => {
    log("the vault could not be checked", { error: String(error) });
    return null;
  });
  if (read !== written) {
    throw new DomainError("NODE_COMMAND_FAILED", "the vault (R2) did not give back what was written to it");
  }
  return { milliseconds: now() - startedAt };
}

async function readBack(vault: R2Bucket, key: string, text: string): Promise<string | undefined> {
  try {
    await vault.put(key, text);
    return await (await vault.get(key))?.text();
  } finally {
    await vault.delete(key);
  }
}
