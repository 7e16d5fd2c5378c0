import { type BigIntStats, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import path from "node:path";

export type Comparison = { files: number; bytes: number; differences: string[] };

/** Node sets times as seconds in a double, which today is exact to a quarter of a microsecond. */
const TIME_TOLERANCE_NS = 1000n;

/**
 * Compares two trees entry by entry: names, kinds, bytes, link targets, modes and, of files, modification times.
 * `excludes` are names or absolute paths of the first tree that the second need not have.
 */
export function compareTrees(original: string, copy: string, excludes: string[]): Comparison {
  const result: Comparison = { files: 0, bytes: 0, differences: [] };
  compareEntry(original, copy, new Set(excludes), result);
  return result;
}

function compareEntry(a: string, b: string, excludes: Set<string>, result: Comparison): void {
  const x = lstatSync(a, { bigint: true });
  const y = lstatSync(b, { bigint: true, throwIfNoEntry: false });
  const differ = (what: string) => result.differences.push(`${a}: ${what}`);
  if (!y) return void differ("is missing");
  if (kindOf(x) !== kindOf(y)) return void differ(`is a ${kindOf(x)}, was restored as a ${kindOf(y)}`);
  if (x.mode !== y.mode && !x.isSymbolicLink())
    differ(`has mode ${x.mode.toString(8)}, restored ${y.mode.toString(8)}`);
  if (x.isSymbolicLink()) {
    if (readlinkSync(a) !== readlinkSync(b)) differ("links elsewhere");
  } else if (x.isDirectory()) {
    compareDirectory(a, b, excludes, result);
  } else if (x.isFile()) {
    compareFile(a, b, x, y, differ);
    result.files++;
    result.bytes += Number(x.size);
  }
}

function compareDirectory(a: string, b: string, excludes: Set<string>, result: Comparison): void {
  const wanted = readdirSync(a).filter((name) => !excludes.has(name) && !excludes.has(path.join(a, name)));
  const names = new Set(wanted);
  for (const name of wanted) compareEntry(path.join(a, name), path.join(b, name), excludes, result);
  for (const name of readdirSync(b)) {
    if (!names.has(name)) result.differences.push(`${path.join(b, name)}: is not in the original`);
  }
}

function compareFile(
  a: string,
  b: string,
  x: BigIntStats,
  y: BigIntStats,
  differ: (what: string) => void,
): void {
  if (distance(x.mtimeNs, y.mtimeNs) >= TIME_TOLERANCE_NS) differ("has another modification time");
  if (x.size !== y.size) differ(`has ${x.size} bytes, restored ${y.size}`);
  else if (!readFileSync(a).equals(readFileSync(b))) differ("has other bytes");
}

const distance = (a: bigint, b: bigint) => (a > b ? a - b : b - a);

const kindOf = (stat: BigIntStats) =>
  stat.isFile() ? "file" : stat.isDirectory() ? "directory" : stat.isSymbolicLink() ? "link" : "special file";
