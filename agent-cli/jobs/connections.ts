import { tokenBucket } from "../storage/limited.ts";
import type { StorageEnv } from "../storage/open-storage.ts";
import type { VaultContext } from "../vault-client.ts";
import { bandwidthOf, type CappedTarget, capOf } from "./bandwidth.ts";
import type { FromChild, JobEnvelope } from "./job.ts";

/** What a job's storages share, for one of its targets; null: for its only place. */
export type StoragesOf = (target: CappedTarget | null) => StorageEnv;

const tellWaitingEveryMs = 1_000;

/** Also makes this process trust the configured CA. */
export async function storagesOf(
  { network, job }: JobEnvelope,
  say: (message: FromChild) => void,
): Promise<StoragesOf> {
  if (network.caCertFile !== null) {
    const { trustOwnCa } = await import("../network.ts");
    trustOwnCa(network);
  }
  const dispatcher = once(() => storageDispatcher(network));
  const onWait = atMostEvery(tellWaitingEveryMs, () => say({ type: "waiting" }));
  const bucketOf = bandwidthOf(capOf(job), (bytesPerSecond) => tokenBucket(bytesPerSecond, onWait));
  return (target) => {
    const bucket = bucketOf(target);
    return bucket ? { dispatcher, bucket } : { dispatcher };
  };
}

function atMostEvery(intervalMs: number, action: () => void): () => void {
  let doneAt = Number.NEGATIVE_INFINITY;
  return () => {
    const now = performance.now();
    if (now - doneAt < intervalMs) return;
    doneAt = now;
    action();
  };
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
