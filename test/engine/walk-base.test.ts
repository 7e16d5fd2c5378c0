import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  renameSync,
  rmSync,
  statfsSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { decodeArchiveIndex, type IndexEntry, unsureCtime } from "../../agent-cli/pipeline/archive-index.ts";
import { encodeArchiveIndex } from "../../agent-cli/pipeline/index-builder.ts";
import { WarningList } from "../../agent-cli/pipeline/warnings.ts";
import { compareSegment, PathSet } from "../../agent-cli/sources/compare-segment.ts";
import { compileExcludes } from "../../agent-cli/sources/excludes.ts";
import { walk } from "../../agent-cli/sources/walk.ts";
import { BaseWalk } from "../../agent-cli/sources/walk-base.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "walk-base-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const at = (path: string) => join(root, path);
const write = (path: string, text = path) => writeFileSync(at(path), text);
const makeDir = (path: string) => mkdirSync(at(path), { recursive: true });

type Options = { paths?: string[]; excludes?: string[]; own?: string[] };
const walkOptions = ({ excludes = [], own = [] }: Options) => ({
  excludes: compileExcludes(excludes),
  oneFileSystem: false,
  ownPaths: own,
  warnings: new WarningList(),
});

function entryOf(path: Buffer, linked: Map<string, Buffer>, unsure: boolean): IndexEntry {
  const stat = lstatSync(path, { bigint: true });
  const common = {
    path,
    sparse: false,
    mode: Number(stat.mode) & 0o7777,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    mtimeNs: stat.mtimeNs,
    ctimeNs: unsure ? unsureCtime : stat.ctimeNs,
    dev: stat.dev,
    ino: stat.ino,
    linkPath: null,
    sum: null,
    tarOffset: 0,
    size: 0,
  };
  if (stat.isDirectory()) return { ...common, type: "directory" };
  if (stat.isSymbolicLink())
    return { ...common, type: "symlink", linkPath: readlinkSync(path, { encoding: "buffer" }) };
  const first = linked.get(String(stat.ino));
  if (first) return { ...common, type: "link", linkPath: first };
  if (stat.nlink > 1n) linked.set(String(stat.ino), path.subarray(1));
  return { ...common, type: "file", size: Number(stat.size), sum: 1 };
}

/** An index of what is there now; what is written later has another time, however coarse the clock. */
async function indexOf(options: Options & { unsure?: string[]; skipped?: string[] } = {}) {
  const linked = new Map<string, Buffer>();
  const entries: IndexEntry[] = [];
  for (const { path } of walk(options.paths ?? [root], walkOptions(options))) {
    if (options.skipped?.includes(path.toString())) continue;
    entries.push(entryOf(path, linked, options.unsure?.includes(path.toString()) ?? false));
  }
  await sleep(30);
  const frames = [{ compressedBytes: 1, plainBytes: 512 }];
  return decodeArchiveIndex(encodeArchiveIndex({ frames, entries, deleted: [], base: null }));
}
type Index = Awaited<ReturnType<typeof indexOf>>;

/** What a differential run makes of the tree: names relative to it. */
function compare(index: Index, options: Options & { incomplete?: string[] } = {}) {
  const paths = options.paths ?? [root];
  const opened = walkOptions(options);
  const base = new BaseWalk(index.entries, paths, opened);
  const found = { unchanged: [] as string[], packed: [] as string[], deleted: [] as string[], segments: 0 };
  const order: string[] = [];
  const name = (path: Buffer) => path.toString("latin1").slice(root.length + 1) || ".";
  const take = (steps: ReturnType<BaseWalk["end"]>, all: string[]) => {
    for (const step of steps) {
      if (step.kind === "unchangedSegment") {
        found.segments += 1;
        found.unchanged.push(...all);
        order.push(...all);
      } else if (step.kind === "deleted") found.deleted.push(name(step.path));
      else if (step.kind === "unchanged") {
        found.unchanged.push(name(step.entry.path));
        order.push(name(step.entry.path));
      } else {
        found.packed.push(name(step.path));
        order.push(name(step.path));
      }
    }
  };
  const marks = {
    roots: new PathSet(paths.map((path) => Buffer.from(path))),
    incomplete: new PathSet((options.incomplete ?? []).map((path) => Buffer.from(path))),
  };
  for (const segment of index.entries.segments) {
    const all = [...index.entries.of(segment)].map(({ path }) => name(path));
    take(base.segment(segment, compareSegment(segment, marks)), all);
  }
  take(base.end(), []);
  const fresh = [...walk(paths, walkOptions(options))].map(({ path }) => name(path));
  // Whatever has changed: together they are the tree, in the order of a plain walk.
  expect(order).toEqual(fresh);
  return { ...found, warnings: opened.warnings.kept };
}

const aTree = () => {
  makeDir("a/b");
  makeDir("c");
  for (const path of ["1", "a/1", "a/b/1", "a/b/2", "c/1"]) write(path);
  symlinkSync("nowhere", at("link"));
};
const treeNames = [".", "1", "a", "a/1", "a/b", "a/b/1", "a/b/2", "c", "c/1", "link"];

describe("along a base", () => {
  it("finds nothing to read in a tree that is as it was, and takes its segments as they are", async () => {
    aTree();
    const found = compare(await indexOf());
    expect(found).toMatchObject({ unchanged: treeNames, packed: [], deleted: [] });
    // Only where a directory's times tell of its names; test machines have such file systems.
    expect([0xef53, 0x01021994, 0x58465342, 0x9123683e, 0x794c7630]).toContain(statfsSync(root).type);
    if (statfsSync(root).type !== 0x794c7630) expect(found.segments).toBe(1);
  });

  it.each<[string, () => void, { packed: string[]; deleted?: string[] }]>([
    ["a new file", () => write("a/new"), { packed: ["a", "a/new"] }],
    ["a new file at the very end", () => write("zz"), { packed: [".", "zz"] }],
    [
      "a new directory",
      () => {
        makeDir("a/n/m");
        write("a/n/m/1");
      },
      { packed: ["a", "a/n", "a/n/m", "a/n/m/1"] },
    ],
    ["the same size, other content", () => write("a/b/2", "x/b/2"), { packed: ["a/b/2"] }],
    [
      "the same size and time, other content",
      () => {
        const { atime, mtime } = lstatSync(at("a/b/2"));
        write("a/b/2", "x/b/2");
        utimesSync(at("a/b/2"), atime, mtime);
      },
      { packed: ["a/b/2"] },
    ],
    ["other permissions only", () => chmodSync(at("a/1"), 0o600), { packed: ["a/1"] }],
    ["a directory's permissions only", () => chmodSync(at("a"), 0o700), { packed: ["a"] }],
    ["a file less", () => rmSync(at("a/b/1")), { packed: ["a/b"], deleted: ["a/b/1"] }],
    ["a directory less", () => rmSync(at("a"), { recursive: true }), { packed: ["."], deleted: ["a"] }],
    [
      "a directory renamed",
      () => renameSync(at("a"), at("d")),
      { packed: [".", "d", "d/1", "d/b", "d/b/1", "d/b/2"], deleted: ["a"] },
    ],
    [
      "a file in place of a directory",
      () => {
        rmSync(at("a"), { recursive: true });
        write("a");
      },
      { packed: [".", "a"], deleted: ["a"] },
    ],
    [
      "a directory in place of a file",
      () => {
        rmSync(at("a/1"));
        makeDir("a/1/x");
      },
      { packed: ["a", "a/1", "a/1/x"], deleted: ["a/1"] },
    ],
    [
      "a link in place of a file",
      () => {
        rmSync(at("a/1"));
        symlinkSync("b", at("a/1"));
      },
      { packed: ["a", "a/1"] },
    ],
    [
      "a link in place of a directory",
      () => {
        rmSync(at("c"), { recursive: true });
        symlinkSync("a", at("c"));
      },
      { packed: [".", "c"], deleted: ["c"] },
    ],
    [
      "another directory in place of a directory",
      () => {
        rmSync(at("a/b"), { recursive: true });
        makeDir("a/b");
        write("a/b/3");
      },
      { packed: ["a", "a/b", "a/b/3"], deleted: ["a/b/1", "a/b/2"] },
    ],
    [
      "a link to elsewhere",
      () => {
        rmSync(at("link"));
        symlinkSync("else", at("link"));
      },
      { packed: [".", "link"] },
    ],
  ])("sees %s", async (_name, change, { packed, deleted = [] }) => {
    aTree();
    const index = await indexOf();
    change();
    const found = compare(index);
    expect(found.packed).toEqual(packed);
    expect(found.deleted).toEqual(deleted);
  });

  it("takes no name for another: newlines, bytes that are no text, prefixes of one another", async () => {
    for (const name of ["ab", "ab.d", "a\nb", "ü", "a b"]) makeDir(name);
    writeFileSync(Buffer.concat([Buffer.from(`${root}/ab/`), Buffer.from([0xff, 0xfe])]), "x");
    for (const path of ["ab/1", "ab.d/1", "a\nb/1", "ü/1", "a b/1"]) write(path);
    const index = await indexOf();
    write("ab.d/2");
    expect(compare(index)).toMatchObject({ packed: ["ab.d", "ab.d/2"], deleted: [] });
  });

  it("keeps hard links whose content is in the base, and packs one whose first name has gone with a directory", async () => {
    makeDir("a");
    makeDir("b");
    write("a/first");
    linkSync(at("a/first"), at("b/second"));
    expect(compare(await indexOf()).packed).toEqual([]);
    const index = await indexOf();
    renameSync(at("a"), at("z"));
    expect(compare(index)).toMatchObject({ packed: [".", "b/second", "z", "z/first"], deleted: ["a"] });
  });

  it("reads again what the base is not sure of, and looks again where it left something out", async () => {
    aTree();
    const index = await indexOf({ unsure: [at("a/1")], skipped: [at("a/b/2")] });
    expect(compare(index, { incomplete: [at("a/b")] })).toMatchObject({
      packed: ["a/1", "a/b/2"],
      deleted: [],
    });
  });

  it("leaves out what is excluded, also when it is new", async () => {
    aTree();
    const excludes = ["*.log", "c/"];
    const index = await indexOf({ excludes });
    write("a/x.log");
    write("a/y");
    makeDir("a/c");
    expect(compare(index, { excludes })).toMatchObject({ packed: ["a", "a/y"], deleted: [] });
  });

  it("leaves out what belongs to the agent", async () => {
    aTree();
    const index = await indexOf();
    makeDir("own/below");
    expect(compare(index, { own: [at("own")] }).packed).toEqual(["."]);
  });

  it("goes along several paths, also such as were not there before, or are not there now", async () => {
    aTree();
    makeDir("d");
    const paths = [at("a"), at("a/b"), at("c"), at("d"), at("e")];
    const index = await indexOf({ paths });
    makeDir("e");
    write("e/1");
    rmSync(at("d"), { recursive: true });
    const found = compare(index, { paths });
    expect(found).toMatchObject({ packed: ["e", "e/1"], deleted: ["d"] });
    expect(found.warnings.map(({ reason }) => reason)).toEqual(["does not exist"]);
    rmSync(root, { recursive: true });
    expect(() => compare(index, { paths })).toThrow("nothing to back up");
  });

  it("takes whole segments of a large tree where nothing has changed, and merges the others", async () => {
    for (let d = 0; d < 30; d += 1) {
      makeDir(`dir/${d}/deep`);
      for (let f = 0; f < 700; f += 1) write(`dir/${d}/deep/${f}`, "x");
    }
    const index = await indexOf();
    expect(index.entries.segments.length).toBe(6);
    write("dir/5/deep/new");
    rmSync(at("dir/6/deep/3"));
    write("late");
    const found = compare(index);
    expect(found.packed).toEqual([".", "dir/5/deep", "dir/5/deep/new", "dir/6/deep", "late"]);
    expect(found.deleted).toEqual(["dir/6/deep/3"]);
    expect(found.segments).toBe(statfsSync(root).type === 0x794c7630 ? 0 : 4);
  });

  it("agrees with a plain walk after any number of changes, again and again", async () => {
    const random = sequence(20261123);
    const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
    for (let round = 0; round < 25; round += 1) {
      const directories = () => [...walk([root], walkOptions({}))].filter(({ kind }) => kind === "directory");
      const others = () => [...walk([root], walkOptions({}))].filter(({ kind }) => kind !== "directory");
      const name = () => `/${pick(["a", "b", "c.d", "c", "d\n", "é", "z"])}`;
      const anyPath = () => `${pick(directories()).path}${name()}`;
      const tryTo = (change: () => void) => {
        try {
          change();
        } catch {
          // A name that is taken, or a directory moved into itself: another one then.
        }
      };
      const changes = [
        () => mkdirSync(anyPath()),
        () => writeFileSync(anyPath(), String(random())),
        () => symlinkSync("x", anyPath()),
        () => renameSync(pick(directories()).path, anyPath()),
        () => renameSync(pick(others()).path, anyPath()),
        () => rmSync(pick(others()).path),
        () => rmSync(pick(directories().slice(1)).path, { recursive: true }),
        () => chmodSync(pick(others()).path, 0o600),
        () => linkSync(pick(others()).path, anyPath()),
      ];
      for (let i = 0; i < 60; i += 1) tryTo(pick(changes.slice(0, 3)));
      const index = await indexOf();
      const before = new Map([...index.entries].map((entry) => [entry.path.toString("latin1"), entry.ino]));
      for (let i = 0; i < round; i += 1) tryTo(pick(changes));
      const found = compare(index);
      const isGone = (path: string) =>
        found.deleted.some((gone) => path === gone || path.startsWith(`${gone}/`));
      const present = new Set([...found.unchanged, ...found.packed]);
      for (const [path, ino] of before) {
        const short = path.slice(root.length + 1) || ".";
        expect(present.has(short) || isGone(short)).toBe(true);
        if (found.unchanged.includes(short)) {
          expect(lstatSync(Buffer.from(path, "latin1"), { bigint: true }).ino).toBe(ino);
          expect(isGone(short)).toBe(false);
        }
      }
    }
  });
});

/** Numbers that look random and are the same each time. */
function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x7fffffff;
  };
}
