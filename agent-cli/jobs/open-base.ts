import { createHash } from "node:crypto";
import { decodeArchiveIndex } from "../pipeline/archive-index.ts";
import { openArtifact } from "../pipeline/fetch-artifact.ts";
import type { Identities } from "../pipeline/identities.ts";
import type { Base, Reporter } from "../pipeline/pipeline.ts";
import { bytesOf, openPlainStream } from "../pipeline/plain-stream.ts";
import type { Storage } from "../storage/storage.ts";
import type { IndexCache } from "./index-cache.ts";
import type { TaskSpec } from "./job.ts";

type BaseSpec = NonNullable<TaskSpec["base"]>;
export type BaseCopy = { name: string; storagePath: string; open(): Promise<Storage> };

type Around = {
  cache: IndexCache;
  copies: BaseCopy[];
  /** The keys of this machine, which encrypted copies need; null when it has none. */
  identities(): Promise<Identities | null>;
  report: Reporter;
  signal: AbortSignal;
};

/**
 * The index of the backup that a differential one is compared with: the one that this machine has kept, or else from one
 * of the copies. Null, with the reasons in the log, when there is none to be had: then everything is to be backed up.
 */
export async function openBase(spec: TaskSpec, around: Around): Promise<Base | null> {
  const { base } = spec;
  if (base === null) return null;
  const frame = around.cache.read({ taskId: spec.taskId, recordId: base.recordId }, base.archiveIndex.sha256);
  const found = frame ?? (await fetchIndex(spec, base, around));
  if (found === null) return null;
  try {
    const index = decodeArchiveIndex(found);
    around.report.log("info", `compared with the full backup ${base.recordId}`);
    return { recordId: base.recordId, sha256: base.checksum, index };
  } catch (error) {
    return giveUp(base, around, [messageOf(error)]);
  }
}

async function fetchIndex(spec: TaskSpec, base: BaseSpec, around: Around): Promise<Buffer | null> {
  const isEncrypted = spec.pipeline.encryption !== null;
  const identities = isEncrypted ? await around.identities() : null;
  if (isEncrypted && !identities) {
    return giveUp(base, around, ["the copies are encrypted, and this machine has no key that opens them"]);
  }
  const reasons: string[] = [];
  for (const copy of around.copies) {
    around.signal.throwIfAborted();
    try {
      const frame = await indexFrom(copy, base, identities, around.signal);
      keep(spec, base, frame, around);
      return frame;
    } catch (error) {
      around.signal.throwIfAborted();
      reasons.push(`${copy.name}: ${messageOf(error)}`);
    }
  }
  return giveUp(base, around, reasons);
}

function keep({ taskId }: TaskSpec, { recordId }: BaseSpec, frame: Buffer, { cache, report }: Around): void {
  try {
    cache.draft({ taskId, recordId }, frame).keep();
  } catch (error) {
    report.log("warn", `the base's index is not kept on this machine: ${messageOf(error)}`);
  }
}

async function indexFrom(
  { storagePath, open }: BaseCopy,
  base: BaseSpec,
  identities: Identities | null,
  signal: AbortSignal,
): Promise<Buffer> {
  const { offsetBytes, sizeBytes, sha256 } = base.archiveIndex;
  const expected = { sha256: base.checksum, sizeBytes: base.sizeBytes };
  const artifact = await openArtifact({ storage: await open(), key: storagePath, expected, signal }, null);
  try {
    const plain = await openPlainStream(artifact, base.sizeBytes, identities);
    if (offsetBytes + sizeBytes > plain.sizeBytes) throw new Error("its index is beyond its end");
    const frame = await bytesOf(plain, offsetBytes, sizeBytes);
    if (createHash("sha256").update(frame).digest("hex") === sha256) return frame;
    throw new Error("its index is not the one that was recorded");
  } finally {
    await artifact.close();
  }
}

function giveUp({ recordId }: BaseSpec, { report }: Around, reasons: string[]): null {
  const why = reasons.length > 0 ? reasons.join("; ") : "it has no copy";
  report.log("warn", `there is no index of backup ${recordId} to compare with, so all is backed up: ${why}`);
  return null;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
