import type { BigIntStats } from "node:fs";
import type { IndexEntry } from "../pipeline/archive-index.ts";
import type { IndexEntries } from "../pipeline/index-entries.ts";
import { lstatOf } from "./walk.ts";

/** Finds the files of a base by their inode numbers, in some 20 bytes for each. */
export class InodeTable {
  readonly #entries: IndexEntries;
  readonly #inodes: BigUint64Array;
  /** Positions plus one, each at the place that its inode number leads to or the next free one. */
  readonly #places: Uint32Array;

  constructor(entries: IndexEntries) {
    this.#entries = entries;
    this.#inodes = new BigUint64Array(entries.length);
    this.#places = new Uint32Array(2 ** Math.ceil(Math.log2(2 * entries.length + 2)));
    for (const { position, ino } of entries.fileInodes()) {
      this.#inodes[position] = ino;
      this.#places[this.#placeOf(ino)] = position + 1;
    }
  }

  /** A name under which the base has this very file, if that still leads to it and nothing has changed. */
  nameOf(stat: BigIntStats): Buffer | null {
    const position = (this.#places[this.#placeOf(stat.ino)] as number) - 1;
    if (position < 0) return null;
    const entry = this.#entries.at(position);
    const there = lstatOf(entry.path);
    return there?.dev === stat.dev && there.ino === stat.ino && isSame(entry, there) ? entry.path : null;
  }

  #placeOf(ino: bigint): number {
    const mask = this.#places.length - 1;
    let place = Math.imul(Number(BigInt.asUintN(32, ino ^ (ino >> 32n))), 0x9e3779b1) & mask;
    for (let taken = this.#places[place]; taken; taken = this.#places[place]) {
      if (this.#inodes[taken - 1] === ino) break;
      place = (place + 1) & mask;
    }
    return place;
  }
}

const isSame = ({ mtimeNs, ctimeNs, size }: IndexEntry, stat: BigIntStats): boolean =>
  stat.mtimeNs === mtimeNs && stat.ctimeNs === ctimeNs && Number(stat.size) === size;
