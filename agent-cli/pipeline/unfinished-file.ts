import type { BigIntStats } from "node:fs";

/**
 * The mode of a file whose content is not all there yet: nobody may read it, and the sticky bit, of which files have no use,
 * tells it from any other. A restore that was killed leaves one or two of them, and the next one takes their place.
 */
export const unfinishedMode = 0o1200;

export const isUnfinished = (stat: BigIntStats): boolean =>
  stat.isFile() && (Number(stat.mode) & 0o7777) === unfinishedMode;
