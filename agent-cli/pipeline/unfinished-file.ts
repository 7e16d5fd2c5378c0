import { hash } from "node:crypto";
import { type BigIntStats, fstatSync, lstatSync, rmSync } from "node:fs";
import { sidecarSuffixes } from "../sources/sqlite-sidecars.ts";

/**
 * The mode of a file whose content is not all there yet: nobody may read it, and the sticky bit, of which files have no use,
 * tells it from any other. A restore that was killed leaves one or two of them, and the next one takes their place.
 */
export const unfinishedMode = 0o1200;

export const isUnfinished = (stat: BigIntStats): boolean =>
  stat.isFile() && (Number(stat.mode) & 0o7777) === unfinishedMode;

/** The same for a directory, which gets its own mode when everything in it is there. */
export const unfinishedDirectoryMode = 0o1700;

/** Some directories pass the bit on that passes their group on. */
export const isUnfinishedDirectory = (stat: BigIntStats): boolean =>
  stat.isDirectory() && (Number(stat.mode) & 0o5777) === unfinishedDirectoryMode;

/** What the name of everything begins with that is still to get its own. */
export const asideStart = ".backupx-";

/** What a file or link is called while it is made aside: always the same, so that the next restore finds what a killed one left. */
export const asideName = (name: Buffer | string): string =>
  `${asideStart}${hash("sha256", name, "hex").slice(0, 16)}`;

/** All that a killed restore of something of that name may have left beside it. */
export function leftBeside(name: Buffer | string): string[] {
  const aside = asideName(name);
  return [aside, ...sidecarSuffixes.map((suffix) => aside + suffix)];
}

/** Whether a name is one of those, of whatever it may be. */
export const mayBeLeft = (name: string): boolean =>
  /^\.backupx-[0-9a-f]{16}(-wal|-shm|-journal)?$/.test(name);

/** Removes an unfinished file from a place. False when it is something else that is there. */
export function clearAside(place: Buffer | string): boolean {
  const stat = lstatSync(place, { bigint: true, throwIfNoEntry: false });
  if (!stat) return true;
  if (!isUnfinished(stat)) return false;
  rmSync(place, { force: true });
  return true;
}

/** Removes what a killed restore has left under a name of its own: finished or not, a file or a link. */
export function removeLeft(place: Buffer | string): void {
  const stat = lstatSync(place, { throwIfNoEntry: false });
  if (stat && !stat.isDirectory()) rmSync(place, { force: true });
}

/** Throws when another restore of the same file has taken the place: that one's half of it must not become the file. */
export function requireStillThere(fd: number, place: Buffer | string, display: string): void {
  const there = lstatSync(place, { bigint: true, throwIfNoEntry: false });
  if (there?.ino !== fstatSync(fd, { bigint: true }).ino)
    throw new Error(`another restore is writing ${display} at the same time`);
}
