import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type ListJob, listArchive } from "../../agent-cli/pipeline/list-archive.ts";
import { packIndexed } from "./indexed-archive.ts";
import { key, world } from "./world.ts";

const prepared = async () => {
  const w = world();
  for (const name of ["b", "a", "c"]) mkdirSync(join(w.source, name));
  for (let i = 0; i < 25; i += 1) writeFileSync(join(w.source, "b", `file-${i}`), "x".repeat(i));
  writeFileSync(join(w.source, "Report.txt"), "text", { mode: 0o640 });
  symlinkSync("Report.txt", join(w.source, "link"));
  const packed = await packIndexed(w.source);
  w.storage.objects.set(key, packed.bytes);
  const list = (change: Partial<ListJob> = {}) =>
    listArchive({
      storage: w.storage,
      key,
      expected: { sha256: packed.sha256, sizeBytes: packed.bytes.length },
      archiveIndex: packed.archiveIndex,
      compression: "zstd",
      path: w.source,
      name: null,
      after: null,
      limit: 100,
      maxBytesWithoutIndex: null,
      signal: new AbortController().signal,
      ...change,
    });
  return { ...w, packed, list };
};

describe.each(["index", "whole"])("a listing by %s", (by) => {
  const how = by === "index" ? {} : { archiveIndex: null };

  it("shows a directory's entries by name, as they were", async () => {
    const { source, list } = await prepared();
    const { entries, next } = await list(how);
    expect(entries.map(({ name, type, size }) => [name, type, size])).toEqual([
      ["Report.txt", "file", 4],
      ["a", "directory", 0],
      ["b", "directory", 0],
      ["c", "directory", 0],
      ["link", "symlink", 0],
    ]);
    expect(entries[0]).toMatchObject({ path: join(source, "Report.txt"), mode: 0o640, linkPath: null });
    expect(entries[4]?.linkPath).toBe("Report.txt");
    expect(next).toBeNull();
  });

  it("shows the way down to what was backed up", async () => {
    const { source, list } = await prepared();
    const [first = ""] = source.split("/").filter(Boolean);
    const { entries } = await list({ ...how, path: "/" });
    expect(entries).toEqual([
      { name: first, path: `/${first}`, type: "directory", size: 0, mtime: null, mode: null, linkPath: null },
    ]);
  });

  it("comes in pages", async () => {
    const { source, list } = await prepared();
    const names: string[] = [];
    let after: string | null = null;
    let pages = 0;
    do {
      const page = await list({ ...how, path: join(source, "b"), limit: 10, after });
      names.push(...page.entries.map(({ name }) => name));
      after = page.next;
      pages += 1;
    } while (after !== null);
    expect(pages).toBe(3);
    expect(names).toEqual(Array.from({ length: 25 }, (_, i) => `file-${i}`).sort());
  });

  it("searches by a part of the name, in pages too", async () => {
    const { source, list } = await prepared();
    expect((await list({ ...how, name: "REPORT", path: "/" })).entries.map(({ path }) => path)).toEqual([
      join(source, "Report.txt"),
    ]);
    const first = await list({ ...how, name: "file-1", path: "/", limit: 4 });
    const second = await list({ ...how, name: "file-1", path: "/", limit: 100, after: first.next });
    expect(first.entries.length + second.entries.length).toBe(11);
    expect(second.next).toBeNull();
  });

  it("names a directory that is not there", async () => {
    const { list } = await prepared();
    await expect(list({ ...how, path: "/not/there" })).rejects.toThrow(
      "there is no directory /not/there in this backup",
    );
    expect((await list({ ...how, name: "nothing-like-it" })).entries).toEqual([]);
  });
});

it("an archive without an index is listed only when it is small", async () => {
  const { list } = await prepared();
  await expect(list({ archiveIndex: null, maxBytesWithoutIndex: 100 })).rejects.toThrow(
    "this backup has no index and is too large to be read for a listing",
  );
});
