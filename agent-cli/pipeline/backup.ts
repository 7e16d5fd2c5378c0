import { createHash, type Hash } from "node:crypto";
import { compareSettings } from "../sources/compare-segment.ts";
import { openSource, sourceExtension } from "../sources/open-source.ts";
import type { OpenedSource, Tally } from "../sources/source.ts";
import type { IndexBase, IndexPlace } from "./archive-index.ts";
import { FanOut } from "./fan-out.ts";
import { compress } from "./frames.ts";
import { ArchiveIndexBuilder } from "./index-builder.ts";
import type { Frame } from "./pack-requests.ts";
import { PackThreads } from "./pack-threads.ts";
import type { BackupJob, BackupResult, Compression, SourceSpec } from "./pipeline.ts";
import { reportEvery } from "./report-every.ts";
import { WarningList } from "./warnings.ts";

const compressionSuffix: Record<Compression, string> = { zstd: ".zst", gzip: ".gz", none: "" };

/** The end of an artifact's name, from which any tool knows what it holds: ".tar.zst", ".sqlite.gz.age", ".tar". */
export function artifactExtension(source: SourceSpec, compression: Compression, encrypted: boolean): string {
  return `.${sourceExtension(source)}${compressionSuffix[compression]}${encrypted ? ".age" : ""}`;
}

type Made = { hash: Hash; bytes: number };

/**
 * Runs one backup: reads the source, compresses, encrypts, hashes and uploads to all targets at once, holding only a few
 * megabytes. A target that fails leaves the others going; when the source fails, no upload is completed. Throws when
 * nothing was stored anywhere.
 */
export async function runBackup(job: BackupJob): Promise<BackupResult> {
  job.signal.throwIfAborted();
  const threads = packThreads(job);
  const stop = () => threads.fail(job.signal.reason);
  job.signal.addEventListener("abort", stop, { once: true });
  try {
    return await packAndUpload(job, threads);
  } finally {
    job.signal.removeEventListener("abort", stop);
    await threads.close();
  }
}

async function packAndUpload(job: BackupJob, threads: PackThreads): Promise<BackupResult> {
  const startedAt = performance.now();
  const warnings = new WarningList(({ path, reason }) => job.report.log("warn", `${path}: ${reason}`));
  const { encryption } = job.pipeline;
  const encrypt = encryption ? await encryptionTo(encryption.recipients, threads) : null;
  const indexed = indexOf(job);
  const source = await openSource(job.source, {
    secrets: job.sourceSecrets ?? { password: null },
    commands: job.commands ?? {},
    workDir: job.workDir,
    ownPaths: job.ownPaths ?? [],
    warnings,
    threads,
    slabs: threads.slabs,
    index: indexed?.builder ?? null,
    base: job.base ?? null,
    signal: job.signal,
  });
  const made: Made = { hash: createHash("sha256"), bytes: 0 };
  const fanOut = new FanOut(job.targets, job.signal, (piece) => threads.takeBack(piece));
  const reporter = reportEvery(job.report, () => progressOf(source.tally, made, fanOut));
  try {
    const packed = packedBytes(source, threads, indexed);
    const sealed = encrypt ? encrypt(packed) : packed;
    const targets = await fanOut.run(counted(sealed, made));
    return {
      sizeBytes: made.bytes,
      sha256: made.hash.digest("hex"),
      sourceBytes: source.tally.sourceBytes,
      entries: source.tally.entries,
      warnings: warnings.kept,
      warningCount: warnings.count,
      targets,
      archiveIndex: indexed?.place ?? null,
      timings: { totalMs: Math.round(performance.now() - startedAt) },
    };
  } finally {
    reporter.stop();
  }
}

function packThreads({ pipeline, source, base }: BackupJob): PackThreads {
  const { compression, level, threads = null } = pipeline;
  const compare = base && source.type === "file" ? compareSettings(source.paths, base.index.deleted) : null;
  // Each file has a checksum in the index, and each 64 KiB of an encrypted artifact a tag: a third sum would find nothing more.
  const frameChecksums = !(pipeline.encryption && hasIndex(source, compression));
  return new PackThreads({ compression, level, frameChecksums, threads, compare });
}

/** Only zstd has frames that say where they end, and room for something beside them. */
const hasIndex = (source: SourceSpec, compression: Compression): boolean =>
  source.type === "file" && compression === "zstd";

/** An archive's index while it is made; `place` is known at the end. */
type Indexed = {
  builder: ArchiveIndexBuilder;
  base: IndexBase | null;
  onIndex: BackupJob["onIndex"];
  place: IndexPlace | null;
};

function indexOf({ source, pipeline, base, onIndex }: BackupJob): Indexed | null {
  if (!hasIndex(source, pipeline.compression)) return null;
  const place = base ? { recordId: base.recordId, sha256: base.sha256 } : null;
  return { builder: new ArchiveIndexBuilder(), base: place, onIndex, place: null };
}

/** The whole stream before encryption: the frames, then the index of what is in them. */
async function* packedBytes(
  source: OpenedSource,
  threads: PackThreads,
  indexed: Indexed | null,
): AsyncGenerator<Uint8Array> {
  const frames: AsyncIterable<Frame> = "frames" in source ? source.frames : compress(source.bytes, threads);
  let offsetBytes = 0;
  for await (const { bytes, plainBytes } of frames) {
    offsetBytes += bytes.length;
    indexed?.builder.addFrame({ compressedBytes: bytes.length, plainBytes });
    yield bytes;
  }
  if (indexed === null) return;
  const index = indexed.builder.finish(indexed.base);
  const sha256 = createHash("sha256").update(index).digest("hex");
  indexed.place = { offsetBytes, sizeBytes: index.length, sha256 };
  indexed.onIndex?.(index);
  // In memory of its own, as all that goes on: it may be handed over to a thread.
  yield new Uint8Array(index);
}

/** Fails before anything is read when a recipient is none. Keys and their mathematics are loaded only here. */
async function encryptionTo(recipients: readonly string[], threads: PackThreads) {
  threads.expectSealing();
  const [{ encrypt }, { makeHeader }] = await Promise.all([
    import("./encrypt.ts"),
    import("./age-header.ts"),
  ]);
  const header = makeHeader(recipients);
  return (packed: AsyncIterable<Uint8Array>) => encrypt(packed, header, (run) => threads.seal(run));
}

async function* counted(source: AsyncIterable<Uint8Array>, made: Made): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    made.hash.update(chunk);
    made.bytes += chunk.length;
    yield chunk;
  }
}

function progressOf(tally: Tally, made: Made, fanOut: FanOut) {
  return {
    phase: fanOut.finishing ? ("uploading" as const) : ("packing" as const),
    sourceBytes: tally.sourceBytes,
    entries: tally.entries,
    artifactBytes: Math.min(made.bytes, fanOut.passedOnBytes),
    totalSourceBytes: null,
    totalEntries: null,
    currentPath: tally.currentPath?.toString() ?? null,
  };
}
