import { isAbsolute, join } from "node:path";
import { looksLikeSqlite, sqliteMagicBytes } from "../sources/sqlite-file.ts";
import type { IndexBase } from "./archive-index.ts";
import { contentOf } from "./artifact-content.ts";
import { DamagedArtifact } from "./damaged.ts";
import { Survey } from "./dry-run.ts";
import { Extractor } from "./extract.ts";
import { type Artifact, openArtifact } from "./fetch-artifact.ts";
import { baseFor, mayBeBase } from "./find-base.ts";
import { type IndexedArchive, openIndexed } from "./indexed-archive.ts";
import { Selection } from "./member-path.ts";
import { peek } from "./peek.ts";
import type { Progress, RestoreJob, RestoreResult, StoredArtifact } from "./pipeline.ts";
import { Planner } from "./plan-extraction.ts";
import { reportEvery } from "./report-every.ts";
import { restoreIndexed, surveyByIndex } from "./restore-indexed.ts";
import { approveDatabase, restoreDatabase } from "./restore-sqlite.ts";
import { restoreToSource } from "./restore-to-source.ts";
import { startProgress } from "./start-progress.ts";
import { type TarHandler, TarReader } from "./untar.ts";
import { WarningList } from "./warnings.ts";

/** What is shared by the steps of one restore. */
export type Restoring = {
  job: RestoreJob;
  artifact: Artifact;
  /** Of a differential backup: the full one below it, once it is open. */
  base: Artifact | null;
  selection: Selection;
  warnings: WarningList;
  progress: Progress;
};

/**
 * Runs one restore. First the artifact's size, hash and structure are proven and the destination is checked, and
 * nothing is written; then it is extracted. Of an archive with an index whose hash is known, selected paths are fetched
 * alone, and each file is proven for itself. A restore that fails half-way leaves complete files and no partial ones.
 */
export async function runRestore(job: RestoreJob): Promise<RestoreResult> {
  job.signal.throwIfAborted();
  if (job.destination !== null && !isAbsolute(job.destination))
    throw new Error("the destination must be absolute");
  const selection = new Selection(job.selectedPaths);
  const warnings = new WarningList(({ path, reason }) => job.report.log("warn", `${path}: ${reason}`));
  const artifact = await openArtifact(job, join(job.workDir, "artifact"));
  const restoring: Restoring = { job, artifact, base: null, selection, warnings, progress: startProgress() };
  const fetched = () => artifact.fetchedBytes + (restoring.base?.fetchedBytes ?? 0);
  const reporter = reportEvery(job.report, () => ({ ...restoring.progress, artifactBytes: fetched() }));
  try {
    if (job.dryRun) return await tellOnly(restoring);
    const { entries, bytes } = await restoreByKind(restoring);
    return { entries, bytes, warnings: warnings.kept, warningCount: warnings.count };
  } catch (error) {
    throw job.signal.aborted ? job.signal.reason : error;
  } finally {
    await artifact.close();
    await restoring.base?.close();
    reporter.stop();
  }
}

/** By the index alone where there is one; else the artifact is read, and proven by that. */
async function tellOnly(restoring: Restoring): Promise<RestoreResult> {
  const { job, artifact, selection } = restoring;
  if (job.sourceType !== "file") throw new Error("only a restore of files can be tried without writing");
  const own = job.compression === "zstd" ? await openIndexed(artifact, job) : null;
  const nothing = { entries: 0, bytes: 0, warnings: [], warningCount: 0 };
  // What has yet to be found is looked for now: a trial that leaves that out would promise too much.
  if (own?.index.base && typeof job.base === "function") await job.base(own.index.base);
  if (own) return { ...nothing, outcome: surveyByIndex(restoring, own) };
  const survey = new Survey();
  const planner = new Planner(job.destination ?? "/", selection, job.conflict, survey);
  await planArchive(contentOf(job, artifact.first()), planner, job.signal);
  return { ...nothing, outcome: survey.outcome };
}

async function restoreByKind(restoring: Restoring): Promise<{ entries: number; bytes: number }> {
  const { job, artifact } = restoring;
  const mayHaveIndex = job.sourceType === "file" && job.compression === "zstd";
  const own = mayHaveIndex ? await openIndexed(artifact, job) : null;
  if (own) return await restoreByIndex(restoring, own);
  const content = contentOf(job, artifact.first());
  if (job.sourceType === "file") return await restoreArchive(restoring, content);
  if (job.sourceType === "saphana") {
    if (job.destination === null) {
      throw new Error(
        "name a destination: the files are put there, for the server to recover from (RECOVER DATA)",
      );
    }
    return await restoreArchive(restoring, content);
  }
  if (job.sourceType !== "sqlite") return await restoreToSource(restoring, content);
  const { start, all } = await peek(content, sqliteMagicBytes);
  if (start.length === 0) throw new DamagedArtifact("it holds nothing");
  return looksLikeSqlite(start)
    ? await restoreDatabase(restoring, all)
    : await restoreArchive(restoring, all);
}

async function restoreByIndex(
  restoring: Restoring,
  own: IndexedArchive,
): Promise<{ entries: number; bytes: number }> {
  const { job } = restoring;
  const full = own.index.base && (await openFull(restoring, own.index.base));
  // Where no hash of the whole is known, reading the whole would prove nothing more of the selected files than theirs do.
  const alone = job.selectedPaths !== null && (job.archiveIndex || job.expected.sha256 === null);
  const proven = alone ? Promise.resolve() : proveBoth(own, full, job);
  return await restoreIndexed(restoring, own, full, proven);
}

async function proveBoth(own: IndexedArchive, full: IndexedArchive | null, job: RestoreJob): Promise<void> {
  await prove(own.artifact, job, job.signal);
  await full?.artifact.prove().catch(rethrownOf(own.index.base));
}

/** The full backup that a differential one stands on, which must be the very one. */
async function openFull(restoring: Restoring, needed: IndexBase): Promise<IndexedArchive> {
  const { base, signal, workDir } = restoring.job;
  const stored = await baseFor(base, needed);
  const name = nameOf(needed);
  if (!stored)
    throw new Error(`this is a differential backup: it can only be restored together with ${name}`);
  if (!mayBeBase(stored, needed))
    throw new Error(`this differential backup stands on ${name}, and what is at hand is another one`);
  const expected = { ...stored.expected, sha256: needed.sha256 };
  const told = rethrownOf(needed);
  restoring.base = await openArtifact({ ...stored, expected, signal }, join(workDir, "base")).catch(told);
  const full = await openIndexed(restoring.base, stored).catch(told);
  return full ?? told(new DamagedArtifact("it has no index"));
}

const nameOf = ({ recordId, sha256 }: IndexBase): string =>
  recordId > 0 ? `record ${recordId}` : `the full backup ${sha256}`;

/** Two backups are read: damage in the full one is told as such. */
const rethrownOf =
  (base: IndexBase | null) =>
  (error: unknown): never => {
    throw base === null ? error : DamagedArtifact.in(`${nameOf(base)}, on which it stands`, error);
  };

/**
 * Reads an artifact to its end. Its hash proves it; where none is known, its structure has to, as far as it can: every
 * frame and every header.
 */
async function prove(
  artifact: Artifact,
  { expected, identities }: StoredArtifact,
  signal: AbortSignal,
): Promise<void> {
  if (expected.sha256 !== null) return await artifact.prove();
  const content = contentOf({ identities: identities ?? null, compression: "zstd" }, artifact.first());
  await readArchive(content, { entry() {}, data() {}, endEntry() {} }, signal, () => {});
}

async function restoreArchive(
  restoring: Restoring,
  first: AsyncIterable<Uint8Array>,
): Promise<{ entries: number; bytes: number }> {
  const { job, artifact, selection, warnings, progress } = restoring;
  const destination = job.destination ?? "/";
  const plan = await planArchive(first, new Planner(destination, selection, job.conflict), job.signal);
  Object.assign(progress, { phase: "restoring", totalEntries: plan.entries, totalSourceBytes: plan.bytes });
  const approve = job.sourceType === "sqlite" ? { approve: approveDatabase } : {};
  const extractor = new Extractor({
    destination,
    plan,
    selection,
    conflict: job.conflict,
    warnings,
    ...approve,
  });
  try {
    extractor.removeLeft(plan.left);
    await readArchive(contentOf(job, artifact.second()), extractor, job.signal, () => {
      progress.entries = extractor.entries;
      progress.sourceBytes = extractor.bytes;
      progress.currentPath = extractor.currentPath?.toString() ?? null;
    });
    extractor.finish();
  } finally {
    extractor.close();
  }
  if (extractor.kept > 0) job.report.log("info", `${extractor.kept} existing files were kept as they are`);
  return { entries: extractor.entries, bytes: extractor.bytes };
}

async function planArchive(content: AsyncIterable<Uint8Array>, planner: Planner, signal: AbortSignal) {
  try {
    await readArchive(content, planner, signal, () => {});
    return planner.finish();
  } finally {
    planner.close();
  }
}

async function readArchive(
  content: AsyncIterable<Uint8Array>,
  handler: TarHandler,
  signal: AbortSignal,
  onChunk: () => void,
): Promise<void> {
  const reader = new TarReader(handler);
  for await (const chunk of content) {
    signal.throwIfAborted();
    reader.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    onChunk();
  }
  reader.end();
}
