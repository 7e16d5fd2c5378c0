import { makeClient } from "../client.ts";
import { makeDispatcher, makeStorageDispatcher, trustOwnCa } from "../network.ts";
import type { StorageEnv } from "../storage/open-storage.ts";
import type { VaultContext } from "../vault-client.ts";
import type { FromChild, JobEnvelope } from "./job.ts";

/** What a job's storages share. Also makes this process trust the configured CA. */
export function storageEnv({ network }: JobEnvelope): StorageEnv {
  trustOwnCa(network);
  return { dispatcher: makeStorageDispatcher(network) };
}

/** The job's own line to the master, for the bytes of artifacts; all else goes through the agent's process. */
export const vaultContext = (
  { master, token, network }: JobEnvelope,
  say: (message: FromChild) => void,
): VaultContext => ({
  client: makeClient({ master: new URL(master), token, dispatcher: makeDispatcher(network) }),
  onWaiting: () => say({ type: "waiting" }),
});
