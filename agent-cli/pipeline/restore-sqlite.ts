import { statSync } from "node:fs";
import { basename, join } from "node:path";
import { checkIntegrity } from "../sources/sqlite-file.ts";
import { removeSidecars } from "../sources/sqlite-sidecars.ts";
import type { RestoreJob } from "./pipeline.ts";
import type { Restoring } from "./restore.ts";
import { restoreOneFile } from "./restore-one-file.ts";

/** Lets a database out of an archive take its place only when it is sound. */
export function approveDatabase(temporaryPath: string, finalPath: string): void {
  try {
    checkIntegrity(temporaryPath, finalPath);
  } finally {
    removeSidecars(temporaryPath);
  }
  removeSidecars(finalPath);
}

/** Restores an artifact that is one database file. `first` is its first reading, which only proves it. */
export const restoreDatabase = (
  restoring: Restoring,
  first: AsyncIterable<Uint8Array>,
): Promise<{ entries: number; bytes: number }> =>
  restoreOneFile(restoring, first, placeOf(restoring.job), approveDatabase);

/** Where the database goes: a directory gives it its old name there, any other destination is the file itself. */
function placeOf(job: RestoreJob): string {
  const [original, ...others] = job.selectedPaths ?? job.originalPaths ?? [];
  if (job.selectedPaths && job.originalPaths) requireKnown(job.selectedPaths, job.originalPaths);
  const known = original !== undefined && others.length === 0 ? original : null;
  if (job.destination === null) {
    if (known === null) throw new Error("the database's original place is not known: name a destination");
    return known;
  }
  if (!statSync(job.destination, { throwIfNoEntry: false })?.isDirectory()) return job.destination;
  return join(job.destination, basename(known ?? "restored.sqlite"));
}

function requireKnown(selected: readonly string[], original: readonly string[]): void {
  const missing = selected.filter((path) => !original.includes(path));
  if (missing.length > 0) throw new Error(`not in this backup: ${missing.join(", ")}`);
}
