import { Readable } from "node:stream";
import { agentApi } from "../protocol/agent-api.ts";
import type { Endpoint } from "../protocol/endpoint.ts";
import { type MasterClient, MasterError } from "./client.ts";
import type { Range } from "./storage/range.ts";
import { StorageError, type StorageErrorKind } from "./storage/storage.ts";
import type { VaultClient } from "./storage/vault.ts";

export type VaultContext = {
  client: MasterClient;
  /** Told whenever a call failed in a way that waiting may mend, so that nobody takes the quiet for a standstill. */
  onWaiting: () => void;
};

const PART_TIMEOUT_MS = 10 * 60_000;
/** A master may be away this long before an upload to its vault is given up. */
const PATIENCE_MS = 2 * 3_600_000;

/** How `vault` shall repeat calls: the patience above ends it, and not a number of attempts. */
export const vaultRetryPolicy = { attempts: 100_000, baseMs: 1_000, maxMs: 60_000 };

/** What one backup may do with its master's vault: put its own artifact there. */
export function uploadClient(context: VaultContext, recordId: number, targetId: number): VaultClient {
  const { client } = context;
  const params = { id: recordId, targetId };
  const once = withPatience(context);
  return {
    begin: (key, signal) => once(() => client.call(agentApi.beginUpload, { params, body: { key }, signal })),
    part: ({ key, uploadId }, number, bytes, sha256, signal) =>
      once(() =>
        client.sendBytes(agentApi.uploadPart, {
          params: { ...params, uploadId, number },
          query: { key },
          headers: { "x-backupx-sha256": sha256, "content-type": "application/octet-stream" },
          bytes,
          signal,
          timeoutMs: PART_TIMEOUT_MS,
        }),
      ),
    complete: ({ key, uploadId }, parts, total, signal) =>
      once(() =>
        client.call(agentApi.completeUpload, {
          params: { ...params, uploadId },
          body: { key, parts, ...total },
          signal,
          timeoutMs: PART_TIMEOUT_MS,
        }),
      ),
    async abort({ key, uploadId }, signal) {
      await client.call(agentApi.abortUpload, { params: { ...params, uploadId }, query: { key }, signal });
    },
    open: refuse("a backup reads nothing from the vault"),
    stat: refuse("a backup reads nothing from the vault"),
    check: refuse("the master checks its vault itself"),
  };
}

/** A call that answers the one artifact which a restore, backup, copy, verification or listing may read, by its own id. */
export type ArtifactCall = {
  endpoint:
    | typeof agentApi.restoreArtifact
    | typeof agentApi.baseArtifact
    | typeof agentApi.copyArtifact
    | typeof agentApi.verificationArtifact
    | typeof agentApi.inspectedArtifact;
  id: number;
  /** Of a differential backup: its base instead of itself. */
  of?: "base";
};

/** What a restore, copy or verification may do with its master's vault: read the artifact that it is about. */
export function downloadClient(
  { client, onWaiting }: VaultContext,
  { endpoint, id, of }: ArtifactCall,
  sizeBytes: number,
): VaultClient {
  const once = withPatience({ client, onWaiting });
  return {
    begin: refuse("this reads from the vault and writes nothing to it"),
    part: refuse("this reads from the vault and writes nothing to it"),
    complete: refuse("this reads from the vault and writes nothing to it"),
    abort: refuse("this reads from the vault and writes nothing to it"),
    async open(_key, range, signal) {
      if (range && range.offset + range.length > sizeBytes) {
        const { offset, length } = range;
        throw new StorageError(
          "invalid",
          `bytes ${offset}+${length} reach beyond the artifact's ${sizeBytes}`,
        );
      }
      const headers = range && range.length > 0 ? { range: bytesOf(range) } : {};
      const query = of ? { query: { of } } : {};
      const body = await once(() =>
        client.fetchBytes<Endpoint>(endpoint, { params: { id } as never, headers, signal, ...query }),
      );
      return range?.length === 0 ? leave(body) : body;
    },
    stat: async () => ({ sizeBytes }),
    check: refuse("the master checks its vault itself"),
  };
}

/** The artifact that a differential backup is compared with. */
export const baseClient = (context: VaultContext, recordId: number, sizeBytes: number): VaultClient =>
  downloadClient(context, { endpoint: agentApi.baseArtifact, id: recordId }, sizeBytes);

const bytesOf = ({ offset, length }: Range) => `bytes=${offset}-${offset + length - 1}`;

/** HTTP knows no range of no bytes: the artifact is asked for, so that a missing one shows, and left unread. */
async function leave(body: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  for await (const _chunk of body) break;
  return Readable.from([]);
}

const refuse = (reason: string) => () => Promise.reject(new StorageError("denied", reason));

/** Puts errors into a storage's words. Those that may pass stay passing ones until the patience is used up. */
function withPatience({ onWaiting }: VaultContext) {
  let failingSince: number | null = null;
  return async <T>(call: () => Promise<T>): Promise<T> => {
    try {
      const answer = await call();
      failingSince = null;
      return answer;
    } catch (error) {
      if (!(error instanceof MasterError)) throw error;
      if (!error.retryable && error.code !== "AGENT_ARTIFACT_MISMATCH") throw inStorageWords(error);
      failingSince ??= performance.now();
      onWaiting();
      const permanent = performance.now() - failingSince > PATIENCE_MS;
      throw new StorageError("unreachable", error.message, { cause: error, permanent });
    }
  };
}

function inStorageWords(error: MasterError): StorageError {
  const kinds: Record<number, StorageErrorKind> = {
    401: "denied",
    403: "denied",
    404: "not_found",
    507: "full",
  };
  return new StorageError(kinds[error.status] ?? "invalid", error.message, { cause: error, permanent: true });
}
