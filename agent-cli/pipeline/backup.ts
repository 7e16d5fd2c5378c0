import { createHash, type Hash } from "node:crypto";
import { openSource, sourceExtension } from "../sources/open-source.ts";
import type { Tally } from "../sources/source.ts";
import { FanOut } from "./fan-out.ts";
import { compress } from "./frames.ts";
import type { BackupJob, BackupResult, Compression, SourceSpec } from "./pipeline.ts";
import { reportEvery } from "./report-every.ts";
import { SlabPool } from "./slabs.ts";
import { throttle } from "./throttle.ts";
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
  const startedAt = performance.now();
  job.signal.throwIfAborted();
  const warnings = new WarningList(({ path, reason }) => job.report.log("warn", `${path}: ${reason}`));
  const slabs = new SlabPool();
  const { compression, level, encryption, bandwidthBytesPerSecond } = job.pipeline;
  const encrypt = encryption ? await encryptionTo(encryption.recipients) : null;
  const source = await openSource(job.source, {
    secrets: job.sourceSecrets ?? { password: null },
    commands: job.commands ?? {},
    workDir: job.workDir,
    ownPaths: job.ownPaths ?? [],
    warnings,
    slabs,
    signal: job.signal,
  });
  const made: Made = { hash: createHash("sha256"), bytes: 0 };
  const fanOut = new FanOut(job.targets, job.signal);
  const reporter = reportEvery(job.report, () => progressOf(source.tally, made, fanOut));
  try {
    const packed = compress(source.bytes, compression, level, slabs);
    const sealed = encrypt ? encrypt(packed, slabs) : packed;
    const paced = throttle(sealed, bandwidthBytesPerSecond, job.signal, () => fanOut.live);
    const targets = await fanOut.run(counted(paced, made));
    return {
      sizeBytes: made.bytes,
      sha256: made.hash.digest("hex"),
      sourceBytes: source.tally.sourceBytes,
      entries: source.tally.entries,
      warnings: warnings.kept,
      warningCount: warnings.count,
      targets,
      timings: { totalMs: Math.round(performance.now() - startedAt) },
    };
  } finally {
    reporter.stop();
  }
}

/** Fails before anything is read when a recipient is none. Keys and their mathematics are loaded only here. */
async function encryptionTo(recipients: readonly string[]) {
  const { encrypt, makeHeader } = await import("./encrypt.ts");
  const header = await makeHeader(recipients);
  return (packed: AsyncIterable<Uint8Array>, slabs: SlabPool) => encrypt(packed, header, slabs);
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
    artifactBytes: made.bytes,
    totalSourceBytes: null,
    totalEntries: null,
    currentPath: tally.currentPath?.toString() ?? null,
  };
}
