import { gradeReached } from "../../protocol/verification.ts";
import { ExitError, type ExitName } from "../exit-codes.ts";
import type { SourceSpec } from "../pipeline/pipeline.ts";
import type { Grade, VerificationReport } from "../pipeline/verify/finding.ts";
import { runVerification } from "../pipeline/verify/verify.ts";
import { identitiesFor, kindOf, sha256Of } from "./artifact-kind.ts";
import { baseOf } from "./base-in-storage.ts";
import { databaseServer } from "./database-server.ts";
import { runOnce } from "./once.ts";
import { artifactOf, openPlace, type Where } from "./place.ts";
import { counted, printJson, printLine } from "./print.ts";

type Options = Where & {
  from?: string;
  grade: string;
  sha256?: string;
  identity?: string;
  base?: string;
  json?: boolean;
};

/** Verifies one artifact without any master. Nothing but its hash, if that is given, is known of how it was stored. */
export async function verifyOnce(named: string | undefined, options: Options): Promise<ExitName> {
  const artifact = artifactOf(named, options);
  const { sourceType, compression, encrypted } = kindOf(artifact);
  const grade = gradeOf(options.grade);
  const identities = encrypted && grade >= 3 ? await identitiesFor(options.identity) : null;
  const sha256 = sha256Of(options.sha256);
  const report = await runOnce(async (run) => {
    const place = await openPlace(artifact, options);
    const { storage, key, nearby } = place;
    const stored = await storage.stat(key, { signal: run.signal });
    const base = await baseOf(options.base, place, options, { ...options, identities, signal: run.signal });
    return runVerification({
      grade,
      source: sourceLike(sourceType),
      compression,
      identities,
      storage,
      key,
      expected: { sha256, sizeBytes: stored?.sizeBytes ?? null },
      nearby,
      base,
      ...run,
    });
  });
  const reached = gradeReached(report.checks);
  if (options.json) printJson({ grade, reachedGrade: reached, ...report });
  else show(report, grade, reached);
  return isSound(report, sha256) ? "ok" : "failed";
}

/** Where it came from is not known, and not needed to look into it. */
function sourceLike(type: SourceSpec["type"]): SourceSpec {
  if (type === "file") return anyFiles;
  if (type === "command") return { type, name: "" };
  return databaseServer(`${type}://localhost/dump`, {}) ?? { type: "sqlite", paths: [] };
}

const anyFiles = { type: "file" as const, paths: [], excludes: [], oneFileSystem: false };

function gradeOf(text: string): Grade {
  const grade = Number(text);
  if (grade === 1 || grade === 2 || grade === 3 || grade === 4) return grade;
  throw new ExitError("usage", "--grade must be 1, 2, 3 or 4");
}

/** That there was no hash to compare with is no fault, though no grade above the first is proved without. */
const isSound = ({ checks }: VerificationReport, sha256: string | null): boolean =>
  checks.every(
    ({ name, outcome }) =>
      outcome === "passed" || (outcome === "not_checked" && name === "sha256" && sha256 === null),
  );

function show(report: VerificationReport, grade: Grade, reached: Grade | null): void {
  for (const check of report.checks) {
    printLine(`${check.grade}  ${outcomes[check.outcome].padEnd(11)}  ${check.detail}`);
  }
  for (const { path, reason } of report.differences) printLine(`   ${JSON.stringify(path)}: ${reason}`);
  const hidden = report.differenceCount - report.differences.length;
  if (hidden > 0) printLine(`   and ${counted(hidden, "more", "more")}`);
  printLine(`grade ${reached ?? "none"} of ${grade} is proved`);
}

const outcomes = { passed: "passed", damaged: "DAMAGED", not_checked: "not checked" } as const;
