import type { BigIntStats } from "node:fs";
import type { IndexEntries } from "../pipeline/index-entries.ts";
import { InodeTable } from "./inode-table.ts";
import { identity } from "./walk.ts";

/** Files with several names: stored under the first that is met, and by that name under the others. */
export class HardLinks {
  readonly #stored = new Map<string, { path: Buffer; left: number }>();
  readonly #base: IndexEntries | null;
  /** Made when the first file with several names is met. */
  #inBase: InodeTable | null = null;

  constructor(base: IndexEntries | null) {
    this.#base = base;
  }

  /** A name that this very file is stored under already. */
  nameOf(stat: BigIntStats): Buffer | null {
    const key = identity(stat);
    const first = this.#stored.get(key);
    if (!first) return this.#nameInBase(stat);
    first.left -= 1;
    if (first.left <= 0) this.#stored.delete(key);
    return first.path;
  }

  /** It is stored under this name from now on. */
  store(stat: BigIntStats, path: Buffer): void {
    this.#stored.set(identity(stat), { path, left: Number(stat.nlink) - 1 });
  }

  /** A new name of a file that is as it was: directories can be renamed without a trace on the files in them. */
  #nameInBase(stat: BigIntStats): Buffer | null {
    if (!this.#base) return null;
    this.#inBase ??= new InodeTable(this.#base);
    return this.#inBase.nameOf(stat);
  }
}
