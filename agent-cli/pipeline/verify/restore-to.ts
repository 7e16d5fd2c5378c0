import type { RestoreResult } from "../pipeline.ts";
import { runRestore } from "../restore.ts";
import { keysOf, type VerifyJob } from "./finding.ts";

/** Restores the artifact to a scratch place, the very way a restore goes. */
export const restoreTo = (job: VerifyJob, destination: string): Promise<RestoreResult> =>
  runRestore({
    sourceType: job.source.type,
    compression: job.compression,
    identities: keysOf(job),
    storage: job.storage,
    key: job.key,
    expected: job.expected,
    ...(job.archiveIndex === undefined ? {} : { archiveIndex: job.archiveIndex }),
    ...(job.nearby === undefined ? {} : { nearby: job.nearby }),
    base: job.base ?? null,
    destination,
    selectedPaths: null,
    originalPaths: "paths" in job.source ? job.source.paths : [],
    conflict: "fail",
    workDir: job.workDir,
    // It counts from the beginning again, and its log would be taken for this job's.
    report: { progress: job.report.progress, log: () => {} },
    signal: job.signal,
  });
