import { createHash } from "node:crypto";
import type { SourceSpec } from "../../agent-cli/pipeline/pipeline.ts";
import type { Grade, VerificationReport, VerifyJob } from "../../agent-cli/pipeline/verify/finding.ts";
import { runVerification } from "../../agent-cli/pipeline/verify/verify.ts";
import { key, type world } from "./world.ts";

/** Verifies what a world's storage holds now, and knows the size and the hash of that; nothing is compressed. */
export function verifierOf(
  { storage, report, ...w }: Pick<ReturnType<typeof world>, "storage" | "report" | "workDir">,
  source: SourceSpec,
) {
  const workDir = w.workDir();
  const verify = (grade: Grade, change: Partial<VerifyJob> = {}) => {
    const stored = storage.objects.get(key) as Buffer;
    const sha256 = createHash("sha256").update(stored).digest("hex");
    return runVerification({
      grade,
      source,
      compression: "none",
      identities: null,
      storage,
      key,
      expected: { sha256, sizeBytes: stored.length },
      workDir,
      report,
      signal: new AbortController().signal,
      ...change,
    });
  };
  return { workDir, verify };
}

export const details = ({ checks }: VerificationReport): string[] =>
  checks.map(({ grade, outcome, detail }) => `${grade} ${outcome}: ${detail}`);
