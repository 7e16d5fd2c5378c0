import type { IndexBase } from "./archive-index.ts";
import type { FindBase, StoredArtifact } from "./pipeline.ts";

/** The full backup, which was given, or is looked for now that it is known which one it has to be. */
export const baseFor = async (
  base: StoredArtifact | FindBase | null | undefined,
  needed: IndexBase,
): Promise<StoredArtifact | null> => (typeof base === "function" ? base(needed) : (base ?? null));
