import type { BigIntStats } from "node:fs";
import type { IndexBase, IndexEntry } from "./archive-index.ts";

/**
 * What a differential backup of files compares with. It is asked about everything that is found, in the order of the walk.
 */
export type Comparison = {
  base: IndexBase;
  /**
   * The base's entry of a regular file that is as it was then: it is not read, and the index leads to the base for it. Null
   * for everything that is to be stored.
   */
  unchanged(path: Buffer, stat: BigIntStats): IndexEntry | null;
  /** What the base has and this walk has not found; asked once, after the last entry. */
  deleted(): Iterable<Buffer>;
};
