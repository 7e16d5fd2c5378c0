import type { IndexBase } from "./archive-index.ts";
import type { FindBase, StoredArtifact } from "./pipeline.ts";

/** Whether a stored backup may be the one that a differential one stands on: its hash is that, or is not known. */
export const mayBeBase = ({ expected }: StoredArtifact, needed: IndexBase): boolean =>
  (expected.sha256?.toLowerCase() ?? needed.sha256) === needed.sha256;

/** The full backup, which was given, or is looked for now that it is known which one it has to be. */
export const baseFor = async (
  base: StoredArtifact | FindBase | null | undefined,
  needed: IndexBase,
): Promise<StoredArtifact | null> => (typeof base === "function" ? base(needed) : (base ?? null));
