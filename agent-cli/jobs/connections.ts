import type { StorageEnv } from "../storage/open-storage.ts";
import type { VaultContext } from "../vault-client.ts";
import type { FromChild, JobEnvelope } from "./job.ts";

/** What a job's storages share. Also makes this process trust the configured CA. */
export async function storageEnv({ network }: JobEnvelope): Promise<StorageEnv> {
  if (network.caCertFile !== null) {
    const { trustOwnCa } = await import("../network.ts");
    trustOwnCa(network);
  }
  return { dispatcher: once(() => storageDispatcher(network)) };
}

/** To load the HTTP client takes longer than many jobs do, and a disk of this machine needs none. */
async function storageDispatcher(network: JobEnvelope["network"]) {
  const { makeStorageDispatcher } = await import("../network.ts");
  return makeStorageDispatcher(network);
}

/** The job's own line to the master, for the bytes of artifacts; all else goes through the agent's process. */
export const vaultContext = (envelope: JobEnvelope, say: (message: FromChild) => void) =>
  once(() => connectVault(envelope, say));

async function connectVault(
  { master, token, network }: JobEnvelope,
  say: (message: FromChild) => void,
): Promise<VaultContext> {
  const [{ makeClient }, { makeDispatcher }] = await Promise.all([
    import("../client.ts"),
    import("../network.ts"),
  ]);
  return {
    client: makeClient({ master: new URL(master), token, dispatcher: makeDispatcher(network) }),
    onWaiting: () => say({ type: "waiting" }),
  };
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null;
  return () => {
    made ??= make();
    return made;
  };
}
