import { type BigIntStats, statfsSync } from "node:fs";
import { resolve } from "node:path";
import { EntryReader, type PackedSegment } from "../pipeline/index-entries.ts";
import { lstatOf } from "./walk.ts";

/** What is known of an entry of the base, one byte each. */
export const verdict = {
  differs: 0,
  /** As it was; of a directory, so are the names in it. */
  same: 1,
  /** A directory that is as it was, but whose names must be read to be known. */
  read: 2,
} as const;

export type ComparedSegment = {
  verdicts: Uint8Array;
  /** Its first and its last path. */
  first: Buffer;
  last: Buffer;
  /** Those of its paths that the task names. */
  roots: Buffer[];
  /** Whether every verdict is `same`. */
  allSame: boolean;
};

/** The same as it goes to a thread. */
export type CompareSettings = { roots: Uint8Array[]; incomplete: Uint8Array[] };

/** `warned` are paths of the base about which there was a warning: they and their directories are looked at again. */
export function compareSettings(roots: readonly string[], warned: readonly Buffer[]): CompareSettings {
  const parents = warned.map((path) => path.subarray(0, Math.max(1, path.lastIndexOf(slashByte))));
  return {
    roots: roots.map((root) => Buffer.from(resolve(root))),
    incomplete: [...warned, ...parents].map((path) => Uint8Array.from(path)),
  };
}

/** Paths that are looked for among a base's entries. */
export class PathSet {
  readonly #paths: ReadonlySet<string>;
  readonly #lengths: ReadonlySet<number>;

  constructor(paths: readonly Uint8Array[]) {
    this.#paths = new Set(paths.map((path) => Buffer.from(path).toString("latin1")));
    this.#lengths = new Set(paths.map(({ length }) => length));
  }

  has(path: Buffer): boolean {
    return this.#lengths.has(path.length) && this.#paths.has(path.toString("latin1"));
  }
}

export type CompareOptions = {
  /** The paths that a task names. */
  roots: PathSet;
  /** Directories of which something was left out: their names are read in any case. */
  incomplete: PathSet;
};

export const compareOptions = ({ roots, incomplete }: CompareSettings): CompareOptions => ({
  roots: new PathSet(roots),
  incomplete: new PathSet(incomplete),
});

/** Looks at every file of a segment of the base, and says which are as they were. */
export function compareSegment(segment: PackedSegment, options: CompareOptions): ComparedSegment {
  const comparison = compareInSteps(segment, options);
  for (let step = comparison.next(); ; step = comparison.next()) if (step.done) return step.value;
}

/** To look at so many files takes a tenth of a millisecond, or much longer where a disk has to be asked. */
const filesPerStep = 32;

/** The same, for whoever has other things to do in between. */
export function* compareInSteps(
  segment: PackedSegment,
  options: CompareOptions,
): Generator<undefined, ComparedSegment> {
  const reader = new EntryReader(segment);
  const verdicts = new Uint8Array(reader.count);
  const roots: Buffer[] = [];
  const trust = new Map<bigint, boolean>();
  let allSame = true;
  let first: Buffer | null = null;
  for (let row = 0; reader.next(); row += 1) {
    const { path } = reader;
    first ??= Buffer.from(path);
    if (options.roots.has(path)) roots.push(Buffer.from(path));
    const found = verdictOn(reader, path, options, trust);
    verdicts[row] = found;
    if (found !== verdict.same) allSame = false;
    if (row % filesPerStep === 0) yield;
  }
  const last = Buffer.from(reader.path);
  return { verdicts, first: first ?? last, last, roots, allSame };
}

function verdictOn(
  reader: EntryReader,
  path: Buffer,
  { incomplete }: CompareOptions,
  trust: Map<bigint, boolean>,
): number {
  const stat = lstatOf(path);
  const type = reader.type;
  if (!stat || !isOfType(stat, type) || !reader.isSame(stat)) return verdict.differs;
  if (type === "link") return isSameAsTarget(reader) ? verdict.same : verdict.differs;
  if (type !== "directory") return verdict.same;
  return tellsOfNames(path, stat, trust) && !incomplete.has(path) ? verdict.same : verdict.read;
}

const kinds = {
  file: 0o100000n,
  link: 0o100000n,
  symlink: 0o120000n,
  directory: 0o040000n,
  char: 0o020000n,
  block: 0o060000n,
  fifo: 0o010000n,
};

const isOfType = (stat: BigIntStats, type: keyof typeof kinds): boolean =>
  (stat.mode & 0o170000n) === kinds[type];

/**
 * The archive of the base has the content under the name it met first. That name can be gone without a trace on the
 * file itself, when a directory above it was renamed.
 */
function isSameAsTarget(reader: EntryReader): boolean {
  if (!reader.linkPath) return false;
  const target = reader.linkPath[0] === slashByte ? reader.linkPath : Buffer.concat([slash, reader.linkPath]);
  const stat = lstatOf(target);
  return stat !== undefined && reader.isSame(stat);
}

const slash = Buffer.from("/");
const slashByte = 47;

/**
 * Kinds of file systems, by their magic numbers, on which a directory's times change whenever a name in it does: ext,
 * XFS, Btrfs, F2FS, ZFS, tmpfs, bcachefs. Network and user-space file systems are often not that exact.
 */
const exactFileSystems: ReadonlySet<number> = new Set([
  0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0x2fc12fc1, 0x01021994, 0xca451a4e,
]);

function tellsOfNames(path: Buffer, stat: BigIntStats, trust: Map<bigint, boolean>): boolean {
  let exact = trust.get(stat.dev);
  if (exact === undefined) {
    exact = isExact(path);
    trust.set(stat.dev, exact);
  }
  return exact;
}

function isExact(path: Buffer): boolean {
  try {
    // It may come as a signed number of 32 bits.
    return exactFileSystems.has(statfsSync(path).type >>> 0);
  } catch {
    return false;
  }
}
