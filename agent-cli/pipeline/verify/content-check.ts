import type { Difference, Finding, VerifyJob } from "./finding.ts";

/** What the steps of one look into a content have come to; it is kept up to date while they run. */
export type Looked = {
  entries: number;
  bytes: number;
  currentPath: string | null;
  differences: Difference[];
  differenceCount: number;
};

/**
 * How the content of one kind of artifact is looked into. What it throws is a finding too: `DamagedArtifact` of the
 * backup, `CannotCheck` of this machine.
 */
export type ContentCheck = {
  /** What it calls its findings. */
  name: string;
  /** Grade 3: reads all of the content and proves that it is sound in itself. */
  open(content: AsyncIterable<Uint8Array>): Promise<Finding[]>;
  /** Grade 4, once `open` has found nothing: restores it to a scratch place of this machine and compares. */
  restore(): Promise<Finding[]>;
};

export type NewContentCheck = (job: VerifyJob, looked: Looked) => ContentCheck;

const keptDifferences = 200;

export function addDifference(looked: Looked, path: string, reason: string): void {
  looked.differenceCount += 1;
  if (looked.differences.length < keptDifferences) looked.differences.push({ path, reason });
}
