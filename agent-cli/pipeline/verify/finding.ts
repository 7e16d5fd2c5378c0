import type { Identities } from "../identities.ts";
import type {
  Compression,
  ConfiguredCommand,
  FindBase,
  Reporter,
  SourceSpec,
  StoredArtifact,
} from "../pipeline.ts";

export type Grade = 1 | 2 | 3 | 4;

/** One thing that was looked at. `damaged`: it is not what was stored; `not_checked`: it could not be looked at. */
export type Finding = { name: string; outcome: "passed" | "damaged" | "not_checked"; detail: string };
export type Check = Finding & { grade: Grade };

/** Something that a restored tree has otherwise than the backup. */
export type Difference = { path: string; reason: string };

export type VerificationReport = {
  checks: Check[];
  differences: Difference[];
  /** Differences beyond those kept in `differences` (which is bounded) are still counted here. */
  differenceCount: number;
  entries: number;
  bytes: number;
};

export type VerifyJob = Omit<StoredArtifact, "identities"> & {
  grade: Grade;
  source: SourceSpec;
  /** Programs that this machine's own configuration allows. */
  commands?: Readonly<Record<string, ConfiguredCommand>>;
  compression: Compression;
  /** For an encrypted artifact: the keys that may open it, or why there are none. */
  identities: Identities | { missing: string } | null;
  /** The full backup that a differential one stands on, or who finds it. */
  base?: StoredArtifact | FindBase | null;
  workDir: string;
  report: Reporter;
  /** Told now and then while a program works and no bytes move. */
  alive?: () => void;
  signal: AbortSignal;
};

/** A check that this machine cannot make, and why. It says nothing against the backup. */
export class CannotCheck extends Error {
  constructor(reason: string, options?: { cause?: unknown }) {
    super(reason, options);
    this.name = "CannotCheck";
  }
}

/** The keys, where there are some. */
export const keysOf = ({ identities }: VerifyJob): Identities | null =>
  identities !== null && "missing" in identities ? null : identities;

export const passed = (name: string, detail: string): Finding => ({ name, outcome: "passed", detail });
export const damaged = (name: string, detail: string): Finding => ({ name, outcome: "damaged", detail });
export const notChecked = (name: string, detail: string): Finding => ({
  name,
  outcome: "not_checked",
  detail,
});
