import {
  type BigIntStats,
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from "node:fs";
import { setImmediate as breathe } from "node:timers/promises";
import { type Segment, scanSegments } from "../../sources/sparse.ts";
import { errorCode } from "../error-code.ts";
import { FileSumming } from "../file-summing.ts";
import { splitMemberPath } from "../member-path.ts";
import { encodeSparseMap } from "../tar.ts";
import type { ListedEntry } from "./archive-list.ts";

/** Node sets times as floating-point seconds, which keeps them to about a quarter of a microsecond. */
const toleranceNs = 1000n;
const bufferBytes = 1024 * 1024;
const breatheEvery = 200;
const slash = Buffer.from("/");

type Comparing = {
  root: string;
  signal: AbortSignal;
  onEntry: (path: string) => void;
  onDifference: (path: string, reason: string) => void;
};

/**
 * Compares a restored tree with what the backup lists: each entry's type, size, content, link, mode and time, its owner
 * where this user can set owners, and that nothing is there besides. Returns how many entries were compared.
 */
export async function compareTree(
  entries: AsyncIterable<ListedEntry>,
  { root, signal, onEntry, onDifference }: Comparing,
): Promise<number> {
  const children = new ChildCounts();
  const buffer = Buffer.allocUnsafeSlow(bufferBytes);
  const user = { isRoot: process.geteuid?.() === 0, id: process.geteuid?.() ?? -1 };
  let count = 0;
  for await (const entry of entries) {
    const names = splitMemberPath(entry.path);
    if (names.length === 0) continue;
    const shown = `/${entry.path.toString()}`;
    children.add(names, entry.type === "directory");
    onEntry(shown);
    for (const reason of differencesOf(entry, placeOf(root, names), root, user, buffer)) {
      onDifference(shown, reason);
    }
    count += 1;
    if (count % breatheEvery === 0) await breathe();
    signal.throwIfAborted();
  }
  for (const [folder, expected] of children.counts) {
    const place = Buffer.concat([Buffer.from(`${root}/`), Buffer.from(folder, "latin1")]);
    const found = namesIn(place);
    if (found > expected) {
      const path = `/${Buffer.from(folder, "latin1").toString()}`;
      onDifference(path, `${found - expected} more than the ${expected} of the backup are in it`);
    }
  }
  return count;
}

const placeOf = (root: string, names: readonly Buffer[]): Buffer =>
  Buffer.concat([Buffer.from(root), ...names.flatMap((name) => [slash, name])]);

function namesIn(folder: Buffer): number {
  try {
    return readdirSync(folder, { encoding: "buffer" }).length;
  } catch {
    // It is missing or no directory, which was told of the directory itself.
    return 0;
  }
}

/** How many different things the backup has directly in each directory; the ones above its first are not listed in it. */
class ChildCounts {
  readonly counts = new Map<string, number>([["", 0]]);

  add(names: readonly Buffer[], isDirectory: boolean): void {
    const path = keyOf(names);
    if (isDirectory && this.counts.has(path)) return;
    this.#count(names.slice(0, -1));
    if (isDirectory) this.counts.set(path, 0);
  }

  #count(folder: readonly Buffer[]): void {
    const path = keyOf(folder);
    if (!this.counts.has(path)) this.add(folder, true);
    this.counts.set(path, (this.counts.get(path) ?? 0) + 1);
  }
}

const keyOf = (names: readonly Buffer[]): string => names.map((name) => name.toString("latin1")).join("/");

type User = { isRoot: boolean; id: number };

function differencesOf(
  entry: ListedEntry,
  place: Buffer,
  root: string,
  user: User,
  buffer: Buffer,
): string[] {
  const stat = lstatSync(place, { bigint: true, throwIfNoEntry: false });
  if (!stat) return ["it is missing"];
  const type = typeOf(stat);
  const expected = entry.type === "link" ? "file" : entry.type;
  if (type !== expected) return [`it is a ${type}, not a ${expected}`];
  if (entry.type === "link") return linkDifferences(entry, stat, root);
  return [
    ...attributeDifferences(entry, stat, user),
    ...(entry.type === "symlink" ? targetDifferences(entry, place) : []),
    ...(entry.type === "file" ? contentDifferences(entry, stat, place, buffer) : []),
  ];
}

function typeOf(stat: BigIntStats): ListedEntry["type"] | "socket" {
  if (stat.isFile()) return "file";
  if (stat.isDirectory()) return "directory";
  if (stat.isSymbolicLink()) return "symlink";
  if (stat.isFIFO()) return "fifo";
  if (stat.isCharacterDevice()) return "char";
  return stat.isBlockDevice() ? "block" : "socket";
}

function linkDifferences({ linkPath }: ListedEntry, stat: BigIntStats, root: string): string[] {
  const names = splitMemberPath(linkPath as Buffer);
  const target = lstatSync(placeOf(root, names), { bigint: true, throwIfNoEntry: false });
  return target?.ino === stat.ino ? [] : [`it is not the same file as /${linkPath}`];
}

function attributeDifferences(entry: ListedEntry, stat: BigIntStats, user: User): string[] {
  const found: string[] = [];
  const mode = Number(stat.mode) & 0o7777;
  // Whoever is not root gives special bits only to files of his own; see Extractor.
  const wanted = user.isRoot || entry.uid === user.id ? entry.mode : entry.mode & 0o1777;
  if (entry.type !== "symlink" && mode !== wanted) {
    found.push(`its mode is ${mode.toString(8)}, not ${wanted.toString(8)}`);
  }
  if (user.isRoot && (Number(stat.uid) !== entry.uid || Number(stat.gid) !== entry.gid)) {
    found.push(`its owner is ${stat.uid}:${stat.gid}, not ${entry.uid}:${entry.gid}`);
  }
  const away = stat.mtimeNs - entry.mtimeNs;
  if ((away < 0n ? -away : away) > toleranceNs) {
    found.push(`its time is ${inWords(stat.mtimeNs)}, not ${inWords(entry.mtimeNs)}`);
  }
  return found;
}

const inWords = (ns: bigint): string => {
  const time = new Date(Number(ns / 1_000_000n));
  return Number.isNaN(time.getTime()) ? `${ns} ns` : time.toISOString();
};

function targetDifferences({ linkPath }: ListedEntry, place: Buffer): string[] {
  const target = readlinkSync(place, { encoding: "buffer" });
  return linkPath?.equals(target) ? [] : [`it leads to ${target}, not to ${linkPath}`];
}

function contentDifferences(
  { size, sum: expected, asStored }: ListedEntry,
  stat: BigIntStats,
  place: Buffer,
  buffer: Buffer,
): string[] {
  if (Number(stat.size) !== size) return [`it has ${stat.size} bytes, not ${size}`];
  if (expected === null) return [];
  try {
    const summing = new FileSumming(expected);
    if (asStored) addStored(summing, place, size, buffer);
    else addContent(summing, place, buffer);
    return summing.sum() === expected ? [] : ["its content is another one"];
  } catch (error) {
    return [`it cannot be read: ${errorCode(error)}`];
  }
}

function addContent(summing: FileSumming, place: Buffer, buffer: Buffer): void {
  reading(place, (fd) => {
    for (let read = -1; read !== 0; ) {
      read = readSync(fd, buffer, 0, buffer.length, null);
      summing.add(buffer.subarray(0, read));
    }
  });
}

/** A file with holes as an archive stores it: the map of what is not zeros, then that. */
function addStored(summing: FileSumming, place: Buffer, size: number, buffer: Buffer): void {
  reading(place, (fd) => {
    const segments = segmentsOf(fd, size);
    summing.add(encodeSparseMap(segments));
    for (const { offset, length } of segments) {
      for (let done = 0; done < length; ) {
        const read = readSync(fd, buffer, 0, Math.min(buffer.length, length - done), offset + done);
        if (read === 0) break;
        summing.add(buffer.subarray(0, read));
        done += read;
      }
    }
  });
}

function segmentsOf(fd: number, size: number): Segment[] {
  const scan = scanSegments(fd, size);
  let next = scan.next();
  while (!next.done) next = scan.next();
  return next.value;
}

function reading(place: Buffer, read: (fd: number) => void): void {
  const fd = openSync(place, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    read(fd);
  } finally {
    closeSync(fd);
  }
}
