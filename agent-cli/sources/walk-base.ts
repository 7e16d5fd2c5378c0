import type { BigIntStats } from "node:fs";
import { dirname, resolve } from "node:path";
import type { IndexEntry } from "../pipeline/archive-index.ts";
import type { IndexEntries, PackedSegment, Segment } from "../pipeline/index-entries.ts";
import { type ComparedSegment, verdict } from "./compare-segment.ts";
import {
  directoryStat,
  type Found,
  identities,
  identity,
  join,
  type Level,
  lstatOf,
  type Named,
  prefixBytes,
  readLevel,
  statOf,
  type WalkOptions,
  walkRoot,
} from "./walk.ts";

/** What a walk along a base comes by, in the order of a walk. */
export type Step =
  | Found
  | { kind: "unchanged"; entry: IndexEntry }
  | { kind: "unchangedSegment"; segment: PackedSegment; last: Buffer }
  /** It is gone, or another kind of thing now; what was below it is gone too. */
  | { kind: "deleted"; path: Buffer };

/**
 * A walk that goes along the entries of a base, segment by segment, each compared before. Only directories whose names
 * may have changed are read; where they were, what is there now is merged with what was, both in order of names.
 */
export class BaseWalk {
  readonly #entries: IndexEntries;
  readonly #options: WalkOptions;
  readonly #own: ReadonlySet<string>;
  /** Paths that the task names and that nothing has led to yet, with what they are. */
  readonly #roots = new Map<string, BigIntStats>();
  readonly #uncovered = new Set<string>();
  /** The directories that were read, from the outermost to the one that the next entry is in. */
  readonly #levels: Level[] = [];
  /** What is below this is gone. */
  #gone: Buffer | null = null;

  /** Throws when none of the paths exists, as the plain walk does. */
  constructor(entries: IndexEntries, paths: readonly string[], options: WalkOptions) {
    this.#entries = entries;
    this.#options = options;
    this.#own = identities(options.ownPaths);
    const roots = [...new Set(paths.map((path) => resolve(path)))].sort();
    const missing = roots.filter((root) => !this.#note(root));
    if (missing.length === roots.length) {
      throw new Error(`nothing to back up: ${roots.join(", ")} does not exist`);
    }
  }

  #note(root: string): boolean {
    const stat = statOf(Buffer.from(root), this.#options.warnings);
    if (stat === "missing") return false;
    if (stat) {
      this.#roots.set(root, stat);
      this.#uncovered.add(root);
    }
    return true;
  }

  /** Goes along the next segment. */
  *segment(segment: Segment, compared: ComparedSegment): Generator<Step> {
    for (const root of compared.roots) this.#uncovered.delete(root.toString());
    if (compared.allSame) {
      yield* this.#leaveLevels(compared.first);
      if (this.#isWithinUnchanged(compared)) {
        yield { kind: "unchangedSegment", segment, last: compared.last };
        return;
      }
    }
    let row = 0;
    for (const entry of this.#entries.of(segment)) {
      yield* this.#entry(entry, compared.verdicts[row] as number);
      row += 1;
    }
  }

  /** What comes after the last entry of the base. */
  *end(): Generator<Step> {
    for (let level = this.#levels.pop(); level; level = this.#levels.pop()) yield* this.#rest(level);
    for (const [root, stat] of this.#roots) {
      if (!this.#uncovered.delete(root)) continue;
      yield* walkRoot(Buffer.from(root), stat, this.#options, this.#own, this.#uncovered);
    }
  }

  /** Whether everything in the segment lies where no names were read: nothing new can be between its entries. */
  #isWithinUnchanged({ first, last }: ComparedSegment): boolean {
    if (this.#gone && isBelow(first, this.#gone)) return false;
    this.#gone = null;
    const level = this.#levels.at(-1);
    if (!level) return true;
    const end = first.indexOf(slash, prefixBytes(level.path));
    return end > 0 && isBelow(last, first.subarray(0, end));
  }

  *#entry(entry: IndexEntry, found: number): Generator<Step> {
    const { path } = entry;
    if (this.#gone) {
      if (isBelow(path, this.#gone)) return;
      this.#gone = null;
    }
    yield* this.#leaveLevels(path);
    const level = this.#levels.at(-1);
    const isRead = level !== undefined && path.indexOf(slash, prefixBytes(level.path)) < 0;
    const isDirectory = entry.type === "directory";
    if (isRead) {
      const there = yield* this.#nameIn(level, path);
      if (!there) {
        yield this.#leave(entry);
        return;
      }
      if (there.isDirectory() !== isDirectory) {
        yield this.#leave(entry);
        yield* this.#new(level, there);
        return;
      }
    }
    if (!isDirectory && found === verdict.same) yield { kind: "unchanged", entry };
    else if (!isDirectory) yield* this.#changed(entry);
    else yield* this.#directory(entry, found, isRead ? level : null);
  }

  *#directory(entry: IndexEntry, found: number, parent: Level | null): Generator<Step> {
    if (found === verdict.same) {
      yield { kind: "unchanged", entry };
      return;
    }
    const stat = lstatOf(entry.path);
    if (!stat?.isDirectory() || this.#own.has(identity(stat))) {
      yield* this.#changed(entry);
      return;
    }
    const path = Buffer.from(entry.path);
    if (found === verdict.read) yield { kind: "unchanged", entry };
    else yield { path, kind: "directory", stat };
    if (this.#isElsewhere(path, stat, parent)) this.#gone = path;
    else this.#levels.push(readLevel(path, stat, this.#options.warnings));
  }

  /** Whether it is on a file system that this run is not to go to. */
  #isElsewhere(path: Buffer, stat: BigIntStats, parent: Level | null): boolean {
    if (!this.#options.oneFileSystem || this.#roots.has(path.toString())) return false;
    const device = parent?.device ?? lstatOf(Buffer.from(dirname(path.toString("latin1")), "latin1"))?.dev;
    return device !== stat.dev;
  }

  /** An entry that is not as it was: it is to be looked at as if it were new, if it is there at all. */
  *#changed(entry: IndexEntry): Generator<Step> {
    const path = Buffer.from(entry.path);
    const stat = lstatOf(path);
    const wasDirectory = entry.type === "directory";
    if (stat && !wasDirectory && !stat.isDirectory()) {
      yield { path, kind: stat.isFile() ? "file" : "special" };
      return;
    }
    yield this.#leave(entry);
    if (stat && !this.#isLeftOut(path, stat.isDirectory())) yield* this.#fresh(path, stat, null);
  }

  /** Something that the base does not have, with all below it. */
  *#fresh(path: Buffer, stat: BigIntStats, parent: Level | null): Generator<Step> {
    const isDirectory = stat.isDirectory();
    if (isDirectory && this.#own.has(identity(stat))) return;
    // Like tar, the mount point itself is stored, what is mounted there is not.
    if (isDirectory && this.#isElsewhere(path, stat, parent)) yield { path, kind: "directory", stat };
    else yield* walkRoot(path, stat, this.#options, this.#own, this.#uncovered);
  }

  #leave(entry: IndexEntry): Step {
    const path = Buffer.from(entry.path);
    if (entry.type === "directory") this.#gone = path;
    return { kind: "deleted", path };
  }

  /** Finishes the directories that an entry with this path is not in. */
  *#leaveLevels(path: Buffer): Generator<Step> {
    for (let level = this.#levels.at(-1); level && !isBelow(path, level.path); level = this.#levels.at(-1)) {
      this.#levels.pop();
      yield* this.#rest(level);
    }
  }

  *#rest(level: Level): Generator<Step> {
    for (; level.next < level.entries.length; level.next += 1) {
      yield* this.#new(level, level.entries[level.next] as Named);
    }
  }

  /** Goes on to the name that the path ends with, past new ones; null when it is not there any more. */
  *#nameIn(level: Level, path: Buffer): Generator<Step, Named | null> {
    const name = path.toString("latin1", prefixBytes(level.path));
    for (let there = level.entries[level.next]; there; there = level.entries[level.next]) {
      if (there.name > name) return null;
      level.next += 1;
      if (there.name === name) return there;
      yield* this.#new(level, there);
    }
    return null;
  }

  *#new(level: Level, there: Named): Generator<Step> {
    const path = join(level.path, there.name);
    const isDirectory = there.isDirectory();
    if (this.#isLeftOut(path, isDirectory)) return;
    this.#uncovered.delete(path.toString());
    if (!isDirectory) {
      yield { path, kind: there.isFile() ? "file" : "special" };
      return;
    }
    const stat = directoryStat(path, this.#options.warnings);
    if (stat) yield* this.#fresh(path, stat, level);
  }

  #isLeftOut(path: Buffer, isDirectory: boolean): boolean {
    const { excludes } = this.#options;
    return excludes !== null && !this.#roots.has(path.toString()) && excludes(path.toString(), isDirectory);
  }
}

const slash = 47;

const isBelow = (path: Buffer, directory: Buffer): boolean =>
  directory.length === 1
    ? path.length > 1
    : path.length > directory.length &&
      path[directory.length] === slash &&
      path.compare(directory, 0, directory.length, 0, directory.length) === 0;
