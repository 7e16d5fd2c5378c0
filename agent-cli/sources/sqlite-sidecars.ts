import { rmSync } from "node:fs";

/** What the names of the files that SQLite keeps beside a database end with. */
export const sidecarSuffixes = ["-wal", "-shm", "-journal"] as const;

/**
 * Removes what SQLite keeps beside a database. The log of an old database would be played into a new one that takes
 * its place, and ruin it.
 */
export function removeSidecars(path: string): void {
  for (const suffix of sidecarSuffixes) rmSync(`${path}${suffix}`, { force: true });
}
