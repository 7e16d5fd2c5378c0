import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { removeTree } from "../../remove-tree.ts";
import { StorageError, type StoredObject } from "../../storage/storage.ts";
import { contentOf } from "../artifact-content.ts";
import { DamagedArtifact, NewerFormat } from "../damaged.ts";
import { errorCode } from "../error-code.ts";
import type { Progress } from "../pipeline.ts";
import { reportEvery } from "../report-every.ts";
import { checkOf } from "./check-of.ts";
import type { ContentCheck, Looked } from "./content-check.ts";
import {
  CannotCheck,
  damaged,
  type Finding,
  type Grade,
  keysOf,
  notChecked,
  passed,
  type VerificationReport,
  type VerifyJob,
} from "./finding.ts";
import { readThrough } from "./read-through.ts";

/**
 * Looks into an artifact as far as the asked grade and tells of every single check: 1 is it there with its size, 2 is
 * each of its bytes what was stored, 3 can it be opened and read through, 4 does a restore give what it says. It throws
 * only when nothing can be said, such as when the storage cannot be reached.
 */
export async function runVerification(job: VerifyJob): Promise<VerificationReport> {
  job.signal.throwIfAborted();
  const workDir = await mkdtemp(join(job.workDir, "verify-"));
  try {
    return await verifyIn({ ...job, workDir });
  } finally {
    await removeTree(workDir);
  }
}

async function verifyIn(job: VerifyJob): Promise<VerificationReport> {
  const looked: Looked = { entries: 0, bytes: 0, currentPath: null, differences: [], differenceCount: 0 };
  const fetched = { bytes: 0 };
  const reporter = reportEvery(job.report, () => progressOf(looked, fetched.bytes));
  try {
    const checks = await checksOf(job, looked, fetched);
    const { differences, differenceCount, entries, bytes } = looked;
    return { checks, differences, differenceCount, entries, bytes };
  } catch (error) {
    throw job.signal.aborted ? job.signal.reason : error;
  } finally {
    reporter.stop();
  }
}

async function checksOf(job: VerifyJob, looked: Looked, fetched: { bytes: number }) {
  const checks: VerificationReport["checks"] = [];
  const add = (grade: Grade, findings: Finding[]) => {
    for (const finding of findings) {
      checks.push({ grade, ...finding });
      job.report.log(finding.outcome === "passed" ? "info" : "warn", `grade ${grade}: ${finding.detail}`);
    }
    return findings.every(({ outcome }) => outcome === "passed");
  };
  const size = await checkSize(job);
  add(1, [size]);
  if (job.grade === 1 || size.outcome === "damaged") return checks;
  const content = job.grade >= 3 ? checkOf(job, looked) : null;
  const { hashed, opened } = await lookInto(job, content, fetched);
  add(2, [hashed]);
  const sound = add(3, opened);
  if (content && job.grade >= 4 && sound && hashed.outcome !== "damaged") {
    add(4, await findingsOf("restore", () => content.restore()));
  }
  return checks;
}

async function checkSize({ storage, key, expected, signal }: VerifyJob): Promise<Finding> {
  const name = "size";
  const stored = await storage.stat(key, { signal }).catch(missingAsNull);
  if (stored === null) return damaged(name, "it is not there any more");
  if (expected.sizeBytes === null) {
    return notChecked(name, `it is there with ${stored.sizeBytes} bytes, but its size was never recorded`);
  }
  return stored.sizeBytes === expected.sizeBytes
    ? passed(name, `it is there with its ${stored.sizeBytes} bytes`)
    : damaged(name, `it has ${stored.sizeBytes} bytes, and ${expected.sizeBytes} were stored`);
}

function missingAsNull(error: unknown): StoredObject | null {
  if (error instanceof StorageError && error.kind === "not_found") return null;
  throw error;
}

/** Hashes all bytes, and in the same reading opens them, as far as that is asked for. */
async function lookInto(
  job: VerifyJob,
  content: ContentCheck | null,
  fetched: { bytes: number },
): Promise<{ hashed: Finding; opened: Finding[] }> {
  const keys = job.identities;
  const unreadable = keys !== null && "missing" in keys ? keys.missing : null;
  let opened: Finding[] = content && unreadable ? [notChecked("decryption", unreadable)] : [];
  const look =
    content && !unreadable
      ? async (bytes: AsyncIterable<Uint8Array>) => {
          const plain = contentOf({ compression: job.compression, identities: keysOf(job) }, bytes);
          opened = await findingsOf(content.name, () => content.open(plain));
        }
      : null;
  try {
    const { sha256, sizeBytes } = await readThrough(job, look, fetched);
    return { hashed: checkHash(job, sha256, sizeBytes), opened };
  } catch (error) {
    if (error instanceof StorageError && (error.kind === "not_found" || error.kind === "corrupt")) {
      return { hashed: damaged("sha256", error.message), opened };
    }
    throw error;
  }
}

function checkHash({ expected }: VerifyJob, sha256: string, sizeBytes: number): Finding {
  const name = "sha256";
  const recorded = expected.sha256?.toLowerCase() ?? null;
  if (expected.sizeBytes !== null && sizeBytes !== expected.sizeBytes) {
    return damaged(name, `${sizeBytes} bytes could be read, and ${expected.sizeBytes} were stored`);
  }
  if (recorded === null) return notChecked(name, `its SHA-256 is ${sha256}, but none was ever recorded`);
  return sha256 === recorded
    ? passed(name, `its ${sizeBytes} bytes have the SHA-256 that was recorded`)
    : damaged(name, `its SHA-256 is ${sha256}, and ${recorded} was recorded`);
}

/** What a check found, or what it died of as a finding. */
async function findingsOf(name: string, check: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await check();
  } catch (error) {
    if (error instanceof DamagedArtifact) return [damaged(name, error.message)];
    if (isOfThisMachine(error)) return [notChecked(name, (error as Error).message)];
    throw error;
  }
}

/** No key that fits, no room, too old a program: none of it says anything against the backup. */
const isOfThisMachine = (error: unknown): boolean =>
  error instanceof CannotCheck ||
  error instanceof NewerFormat ||
  (error instanceof Error && error.name === "NoIdentityFits") ||
  ["ENOSPC", "EDQUOT"].includes(errorCode(error)) ||
  (error instanceof Error && ["ENOSPC", "EDQUOT"].includes(errorCode(error.cause)));

const progressOf = (looked: Looked, fetchedBytes: number): Progress => ({
  phase: "verifying",
  sourceBytes: looked.bytes,
  entries: looked.entries,
  artifactBytes: fetchedBytes,
  totalSourceBytes: null,
  totalEntries: null,
  currentPath: looked.currentPath,
});
