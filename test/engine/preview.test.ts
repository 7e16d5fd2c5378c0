import { linkSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { availableSources } from "../../agent-cli/sources/available.ts";
import { sourceOf } from "../../agent-cli/sources/open-source.ts";
import { previewFiles } from "../../agent-cli/sources/preview-files.ts";
import { world } from "./world.ts";

const spec = (paths: string[], excludes: string[] = []) => ({
  type: "file" as const,
  paths,
  excludes,
  oneFileSystem: false,
});

test("a preview counts the entries and bytes that a backup reads", async () => {
  const { source, backup } = world();
  mkdirSync(join(source, "deep/er"), { recursive: true });
  writeFileSync(join(source, "deep/er/ünïcode ✓"), "x".repeat(1234));
  writeFileSync(join(source, "a"), "12345");
  writeFileSync(join(source, "b.log"), "12345");
  linkSync(join(source, "a"), join(source, "second name of a"));
  symlinkSync("nowhere", join(source, "dangling"));
  const made = await backup({ source: spec([source], ["*.log"]) });
  const seen = await previewFiles(spec([source], ["*.log"]), {
    ownPaths: [],
    signal: new AbortController().signal,
  });
  expect(seen).toMatchObject({ complete: true, entries: made.entries, bytes: made.sourceBytes });
  expect(seen.excluded).toEqual({ count: 1, first: [join(source, "b.log")] });
});

test("a preview whose time is over says so, and tells what it has seen by then", async () => {
  const { source } = world();
  for (let i = 0; i < 1500; i++) writeFileSync(join(source, `file-${i}`), "12345");
  const stop = new AbortController();
  let turns = 0;
  const signal = new Proxy(stop.signal, {
    get(target, name) {
      if (name === "aborted" && ++turns > 700) stop.abort();
      return Reflect.get(target, name, target);
    },
  });
  const seen = await previewFiles(spec([source]), { ownPaths: [], signal });
  expect(seen.complete).toBe(false);
  expect(seen.entries).toBeGreaterThan(600);
  expect(seen.entries).toBeLessThan(800);
  expect(seen.first).toHaveLength(100);
});

test("every source that a node tells its master of is one that a job can open", async () => {
  const { sources } = await availableSources();
  for (const type of sources) expect(sourceOf(type as never), type).toBeDefined();
  expect(sources).toEqual(expect.arrayContaining(["file", "sqlite", "command"]));
});
