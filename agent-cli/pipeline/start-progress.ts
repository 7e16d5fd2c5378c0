import type { Progress } from "./pipeline.ts";

/** Where a restore begins: its artifact is proved before anything is written. */
export const startProgress = (): Progress => ({
  phase: "verifying",
  sourceBytes: 0,
  entries: 0,
  artifactBytes: 0,
  totalSourceBytes: null,
  totalEntries: null,
  currentPath: null,
});
