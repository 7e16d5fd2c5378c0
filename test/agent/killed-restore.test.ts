import { randomBytes } from "node:crypto";
import {
  chmodSync,
  cpSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { expectSameTree } from "../engine/world.ts";
import { runAgentCommand, scratch } from "./agent-process.ts";

const preload = new URL("../fakes/kill-before.mjs", import.meta.url).href;

/** Some of everything that a restore makes, each in its own way; hard links where all of their names are restored. */
function makeTree(source: string, hasHardLinks: boolean): void {
  mkdirSync(join(source, "deep", "er"), { recursive: true });
  for (let i = 0; i < 30; i += 1) writeFileSync(join(source, "deep", `small-${i}`), `content of ${i}`);
  writeFileSync(join(source, "deep", "er", "large"), randomBytes(5_000_000));
  writeFileSync(join(source, "empty"), "");
  const sparse = openSync(join(source, "sparse"), "w");
  writeSync(sparse, "an island", 3_000_000);
  ftruncateSync(sparse, 9_000_000);
  for (let i = 0; i < 4; i += 1) {
    symlinkSync(`../small-${i}`, join(source, "deep", "er", `link-${i}`));
    if (hasHardLinks) linkSync(join(source, "deep", `small-${i}`), join(source, `other name of ${i}`));
  }
  chmodSync(join(source, "deep", "small-1"), 0o640);
  utimesSync(join(source, "deep", "small-2"), 1_500_000_000, 1_500_000_000);
  chmodSync(join(source, "deep", "er"), 0o750);
  for (const folder of [join(source, "deep", "er"), join(source, "deep"), source])
    utimesSync(folder, 1_600_000_000, 1_600_000_000);
}

async function aBackup(compression: string, conflict: string) {
  const folder = scratch();
  const source = join(folder, "source");
  // A file that is kept may be somebody's own, so a link to it would get content of its own.
  makeTree(source, conflict !== "keep");
  const args = ["backup", source, "--to", join(folder, "out"), "--compression", compression, "--json"];
  const made = await runAgentCommand(args);
  const { artifact, sha256 } = JSON.parse(made.stdout) as Record<string, string>;
  const back = join(folder, "back");
  mkdirSync(join(folder, "tmp"));
  const restore = (conflict: string, kill?: string) =>
    runAgentCommand(
      ["restore", artifact ?? "", "--to", back, "--sha256", sha256 ?? "", "--conflict", conflict],
      {
        env: {
          TMPDIR: join(folder, "tmp"),
          ...(kill && { NODE_OPTIONS: `--import=${preload}`, BACKUPX_TEST_KILL: `${kill} ${back}` }),
        },
      },
    );
  return { folder, source, back, restoredTo: join(back, source), restore };
}

/** Whatever has its own name and may be read is whole: as it was backed up, or as it was before the restore. */
function expectNothingHalf(restoredTo: string, allowed: string[]): void {
  const names = readdirSync(restoredTo, { recursive: true, encoding: "utf8" });
  for (const name of names.filter((path) => !/(^|\/)\.backupx-[0-9a-f]{16}$/.test(path))) {
    const stat = lstatSync(join(restoredTo, name));
    if (!stat.isFile() || (stat.mode & 0o7777) === 0o1200) continue;
    const content = readFileSync(join(restoredTo, name));
    const isWhole = allowed.some(
      (tree) =>
        lstatSync(join(tree, name), { throwIfNoEntry: false }) &&
        readFileSync(join(tree, name)).equals(content),
    );
    expect(isWhole, `${name}, ${content.length} bytes`).toBe(true);
  }
}

test.each([
  ["zstd", "keep"],
  ["zstd", "overwrite"],
  ["none", "overwrite"],
])(
  "a restore (%s, %s) that is killed at any step leaves nothing half under its name, and the next one nothing of it",
  async (compression, conflict) => {
    const { folder, source, back, restoredTo, restore } = await aBackup(compression, conflict);
    const old = join(folder, "old");
    if (conflict === "overwrite") {
      cpSync(source, old, { recursive: true, verbatimSymlinks: true });
      for (const name of ["deep/small-0", "deep/small-7", "deep/er/large", "sparse"])
        writeFileSync(join(old, name), "older");
    }
    const prepare = () => {
      rmSync(back, { recursive: true, force: true });
      if (conflict === "overwrite") cpSync(old, restoredTo, { recursive: true, verbatimSymlinks: true });
    };
    prepare();
    const counted = join(folder, "counted");
    expect(await restore(conflict, `count ${counted}`)).toMatchObject({ code: 0 });
    expectSameTree(restoredTo, source);
    const counts = Object.entries(JSON.parse(readFileSync(counted, "utf8")) as Record<string, number>);
    const steps = counts.flatMap(([name, count]) =>
      count === 0 ? [] : [...new Set([1, count])].map((nth) => `${name} ${nth}`),
    );
    expect(steps.length).toBeGreaterThan(15);
    for (const step of steps) {
      prepare();
      expect(await restore(conflict, step), step).toMatchObject({ code: null });
      if (lstatSync(restoredTo, { throwIfNoEntry: false }))
        expectNothingHalf(restoredTo, conflict === "overwrite" ? [source, old] : [source]);
      expect(await restore(conflict), step).toMatchObject({ code: 0 });
      expectSameTree(restoredTo, source);
    }
  },
  300_000,
);
