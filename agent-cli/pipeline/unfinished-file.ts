import { hash } from "node:crypto";
import { type BigIntStats, fstatSync, lstatSync, rmSync } from "node:fs";

/**
 * The mode of a file whose content is not all there yet: nobody may read it, and the sticky bit, of which files have no use,
 * tells it from any other. A restore that was killed leaves one or two of them, and the next one takes their place.
 */
export const unfinishedMode = 0o1200;

export const isUnfinished = (stat: BigIntStats): boolean =>
  stat.isFile() && (Number(stat.mode) & 0o7777) === unfinishedMode;

/** What a file is called while it is written aside: always the same, so that the next restore finds what a killed one left. */
export const asideName = (name: Buffer | string): string =>
  `.backupx-${hash("sha256", name, "hex").slice(0, 16)}`;

/** Removes what a killed restore has left at a place. False when it is something else that is there. */
export function clearAside(place: Buffer | string): boolean {
  const stat = lstatSync(place, { bigint: true, throwIfNoEntry: false });
  if (!stat) return true;
  if (!isUnfinished(stat)) return false;
  rmSync(place, { force: true });
  return true;
}

/** Throws when another restore of the same file has taken the place: that one's half of it must not become the file. */
export function requireStillThere(fd: number, place: Buffer | string, display: string): void {
  const there = lstatSync(place, { bigint: true, throwIfNoEntry: false });
  if (there?.ino !== fstatSync(fd, { bigint: true }).ino)
    throw new Error(`another restore is writing ${display} at the same time`);
}
