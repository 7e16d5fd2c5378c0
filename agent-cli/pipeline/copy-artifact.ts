import { createHash } from "node:crypto";
import { type Storage, StorageError } from "../storage/storage.ts";
import { DamagedArtifact } from "./damaged.ts";
import type { Reporter } from "./pipeline.ts";
import { reportEvery } from "./report-every.ts";

export type CopyJob = {
  from: { storage: Storage; key: string };
  to: { storage: Storage; key: string; quotaRemainingBytes: number | null };
  expected: { sizeBytes: number; sha256: string | null };
  /** The target keeps no hash that its server has compared: what it holds is read back and hashed. */
  readBack: boolean;
  report: Reporter;
  signal: AbortSignal;
};
export type CopyResult = { sizeBytes: number; sha256: string };

type Seen = { phase: "uploading" | "verifying"; readBytes: number; writtenBytes: number };

/**
 * Streams an artifact from one storage to another, without a file between. It is hashed while it is read, and the last
 * of it is handed on only when size and hash are those of the record: a copy of something else never appears.
 */
export async function copyArtifact(job: CopyJob): Promise<CopyResult> {
  const { from, to, expected, signal } = job;
  requireRoom(job);
  const seen: Seen = { phase: "uploading", readBytes: 0, writtenBytes: 0 };
  const reporter = reportEvery(job.report, () => progressOf(seen, expected.sizeBytes));
  try {
    const hash = createHash("sha256");
    const read = checked(await from.storage.get(from.key, { signal }), hash, expected, seen);
    const onBytes = (bytes: number) => {
      seen.writtenBytes += bytes;
    };
    const { sizeBytes } = await to.storage.put(to.key, read, { signal, onBytes });
    const sha256 = hash.digest("hex");
    await proveOrRemove(job, { sizeBytes, sha256 }, seen);
    return { sizeBytes, sha256 };
  } finally {
    reporter.stop();
  }
}

function requireRoom({ to, expected }: CopyJob): void {
  const room = to.quotaRemainingBytes;
  if (room === null || expected.sizeBytes <= room) return;
  throw new StorageError(
    "full",
    `the quota of this target is used up: only ${room} more bytes may be written to it`,
  );
}

/** The same bytes. Throws instead of ending when they were not the record's, which breaks the upload. */
async function* checked(
  source: AsyncIterable<Uint8Array>,
  hash: ReturnType<typeof createHash>,
  expected: CopyJob["expected"],
  seen: Seen,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    hash.update(chunk);
    seen.readBytes += chunk.length;
    if (seen.readBytes > expected.sizeBytes) break;
    yield chunk;
  }
  if (seen.readBytes !== expected.sizeBytes) {
    throw new DamagedArtifact(`its size is not the ${expected.sizeBytes} bytes that were stored`);
  }
  const sha256 = hash.copy().digest("hex");
  if (expected.sha256 !== null && sha256 !== expected.sha256) {
    throw new DamagedArtifact("its SHA-256 is not the one that was recorded");
  }
}

/** A copy that turns out wrong is taken away again. */
async function proveOrRemove(job: CopyJob, made: CopyResult, seen: Seen): Promise<void> {
  const { storage, key } = job.to;
  try {
    const stored = await storage.stat(key, { signal: job.signal });
    if (stored?.sizeBytes !== made.sizeBytes) {
      throw new StorageError(
        "corrupt",
        `the target holds ${stored?.sizeBytes ?? "none"} of the ${made.sizeBytes} bytes that were written`,
      );
    }
    if (job.readBack) await compareWithStored(job, made, seen);
  } catch (error) {
    await storage.delete(key, { signal: AbortSignal.timeout(cleanUpMs) }).catch(() => {});
    throw error;
  }
}

const cleanUpMs = 30_000;

async function compareWithStored({ to, signal }: CopyJob, made: CopyResult, seen: Seen): Promise<void> {
  seen.phase = "verifying";
  seen.readBytes = 0;
  const hash = createHash("sha256");
  for await (const chunk of await to.storage.get(to.key, { signal })) {
    hash.update(chunk);
    seen.readBytes += chunk.length;
  }
  if (hash.digest("hex") === made.sha256) return;
  throw new StorageError("corrupt", "what was read back from the target is not what was written to it");
}

const progressOf = ({ phase, readBytes, writtenBytes }: Seen, totalBytes: number) => ({
  phase,
  sourceBytes: readBytes,
  entries: 0,
  artifactBytes: writtenBytes,
  totalSourceBytes: totalBytes,
  totalEntries: null,
  currentPath: null,
});
