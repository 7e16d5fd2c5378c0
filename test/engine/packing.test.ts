import { createHash } from "node:crypto";
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { expect, test } from "vitest";
import { readArchiveIndex } from "../../agent-cli/pipeline/archive-index.ts";
import { decompress } from "../../agent-cli/pipeline/frames.ts";
import { PackThreads } from "../../agent-cli/pipeline/pack-threads.ts";
import { SlabPool, slabBytes } from "../../agent-cli/pipeline/slabs.ts";
import { TarWriter } from "../../agent-cli/pipeline/tar.ts";
import { TarReader } from "../../agent-cli/pipeline/untar.ts";
import { FilePacker } from "../../agent-cli/sources/file-packer.ts";
import type { MemoryStorage } from "../fakes/memory-storage.ts";
import { expectSameTree, key, world } from "./world.ts";

const text = (bytes: number, seed: string) => Buffer.alloc(bytes, `${seed} and more of it, `);

async function indexIn(storage: MemoryStorage) {
  const artifact = storage.objects.get(key) as Buffer;
  const found = await readArchiveIndex(
    async (offset, length) => artifact.subarray(offset, offset + length),
    artifact.length,
  );
  if (!found) throw new Error("the artifact has no index");
  return { ...found, entries: [...found.index.entries] };
}

async function plainTar(storage: MemoryStorage): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  const artifact = storage.objects.get(key) as Buffer;
  for await (const part of decompress(
    (async function* () {
      yield artifact;
    })(),
    "zstd",
  ))
    parts.push(part);
  return Buffer.concat(parts);
}

/** The content of the entry that begins at this place of the archive. */
function contentAt(tar: Buffer, offset: number): Buffer {
  const parts: Buffer[] = [];
  let entries = 0;
  const reader = new TarReader({
    entry: () => {
      entries += 1;
    },
    data: (chunk) => {
      if (entries === 1) parts.push(Buffer.from(chunk));
    },
    endEntry() {},
  });
  reader.push(tar.subarray(offset));
  return Buffer.concat(parts);
}

const hashOf = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

test("the index leads to every file, with its hash, and the record is told where it lies", async () => {
  const { source, backup, storage } = world();
  writeFileSync(join(source, "empty"), "");
  writeFileSync(join(source, "small"), "small");
  writeFileSync(join(source, "large"), text(2 * slabBytes + 12_345, "large"));
  mkdirSync(join(source, "sub"));
  writeFileSync(join(source, "sub", "after"), text(70_000, "after"));
  const done = await backup();
  const { entries, index, place } = await indexIn(storage);
  expect(done.archiveIndex).toEqual(place);
  expect(entries.map(({ path, type }) => `${type} ${path.subarray(source.length)}`)).toEqual([
    "directory ",
    "file /empty",
    "file /large",
    "file /small",
    "directory /sub",
    "file /sub/after",
  ]);
  const tar = await plainTar(storage);
  expect(index.frames.reduce((sum, { plainBytes }) => sum + plainBytes, 0)).toBe(tar.length);
  for (const { path, type, size, sha256, tarOffset } of entries) {
    if (type !== "file") continue;
    const content = readFileSync(path);
    expect(size).toBe(content.length);
    expect(sha256?.toString("hex")).toBe(hashOf(content));
    expect(contentAt(tar, tarOffset).equals(content)).toBe(true);
  }
});

test("a file that fits a frame lies in one frame", async () => {
  const { source, backup, storage } = world();
  for (let i = 0; i < 60; i += 1) writeFileSync(join(source, `${i}`), text(100_000 + i * 10_007, `${i}`));
  writeFileSync(join(source, "large"), text(3 * slabBytes, "large"));
  await backup();
  const { entries, index } = await indexIn(storage);
  const borders = [0];
  for (const { plainBytes } of index.frames) borders.push((borders.at(-1) ?? 0) + plainBytes);
  const crossing = entries.filter(({ tarOffset, size }) => {
    const end = tarOffset + 1536 + size;
    return borders.some((border) => border > tarOffset && border < end);
  });
  expect(crossing.map(({ path }) => basename(path.toString()))).toEqual(["large"]);
});

test("the same tree gives the same bytes, however many threads pack it", async () => {
  const { source, backup, storage } = world();
  for (let i = 0; i < 2000; i += 1) writeFileSync(join(source, `${i}`), text(i * 11, `${i}`));
  const packed = async (threads: number) => {
    const pipeline = { compression: "zstd", level: 1, bandwidthBytesPerSecond: null, threads } as const;
    await backup({ pipeline });
    const { place } = await indexIn(storage);
    return hashOf((storage.objects.get(key) as Buffer).subarray(0, place.offsetBytes));
  };
  expect(await packed(1)).toBe(await packed(3));
});

/** What a packing thread makes of files that were listed with these sizes. */
function packFiles(entries: { path: string; size: number; fd?: number }[]) {
  const slabs = new SlabPool();
  const tar = new TarWriter(slabs);
  const packer = new FilePacker(tar, { own: new Set(), hashing: true, whole: true });
  packer.begin();
  for (const { path, size, fd = null } of entries) {
    expect(packer.add({ kind: "file", path: Buffer.from(path), size, fd })).toBe(true);
  }
  const frames = tar.finish();
  const stored: string[] = [];
  const reader = new TarReader({
    entry: ({ path }) => void stored.push(`${basename(path.toString())}: `),
    data: (chunk) => {
      stored[stored.length - 1] += chunk.toString();
    },
    endEntry() {},
  });
  for (const frame of frames) reader.push(frame);
  return { stored, warnings: packer.warnings, frames: frames.length };
}

test("between listing and reading a file may vanish, grow a little, grow beyond its frame, or become a directory", () => {
  const { source } = world();
  const at = (name: string) => join(source, name);
  for (const name of ["b", "c", "d"]) writeFileSync(at(name), `${name} at first`);
  appendFileSync(at("b"), ", then longer");
  appendFileSync(at("c"), Buffer.alloc(slabBytes, "+"));
  mkdirSync(at("e"));
  const listed = ["a", "b", "c", "d", "e"].map((name) => ({ path: at(name), size: 10 }));
  expect(packFiles(listed)).toEqual({
    stored: ["b: b at first, then longer", "c: c at first", "d: d at first"],
    warnings: [
      { entry: 0, reason: "skipped: it vanished before it was read" },
      { entry: 2, reason: "it grew while it was read: the first 10 bytes are stored" },
      { entry: 4, reason: "skipped: it was replaced while the backup ran" },
    ],
    frames: 1,
  });
});

test("a file that has grown to what does not fit beside the others gets a frame of its own", () => {
  const { source } = world();
  writeFileSync(join(source, "a"), Buffer.alloc(slabBytes / 2, "a"));
  writeFileSync(join(source, "b"), Buffer.alloc(slabBytes / 2, "b"));
  const listed = ["a", "b"].map((name) => ({ path: join(source, name), size: 10 }));
  expect(packFiles(listed)).toMatchObject({ warnings: [], frames: 2 });
});

test("a file that was opened when it was listed is stored though its name is gone: other names lead to it", () => {
  const { source } = world();
  const path = join(source, "first");
  writeFileSync(path, "held");
  const fd = openSync(path, "r");
  rmSync(path);
  expect(packFiles([{ path, size: 4, fd }])).toEqual({ stored: ["first: held"], warnings: [], frames: 1 });
  closeSync(fd);
});

test("a thread that breaks down fails what was asked of it, in words", async () => {
  const threads = new PackThreads(
    { compression: "zstd", level: 99, own: [], hashing: true, compare: null },
    2,
  );
  const asked = [1, 2, 3].map(() => threads.frame(new ArrayBuffer(slabBytes), 10));
  for (const answer of asked) {
    await expect(answer).rejects.toThrow(
      "a packing thread broke down: compression level 99 is not one of zstd",
    );
  }
  await expect(threads.frame(new ArrayBuffer(slabBytes), 10)).rejects.toThrow("a packing thread broke down");
  await threads.close();
});

/** Threads of this process that run JavaScript beside its own. */
const workers = () =>
  readdirSync("/proc/self/task").filter((id) => {
    try {
      return readFileSync(`/proc/self/task/${id}/comm`, "latin1").startsWith("WorkerThread");
    } catch {
      return false;
    }
  }).length;

test.runIf(process.platform === "linux")(
  "no thread outlives its run, whether that ends well or is cancelled",
  async () => {
    const { source, backup, restore, restored, storage } = world();
    for (let i = 0; i < 500; i += 1) writeFileSync(join(source, `${i}`), text(i * 100, `${i}`));
    writeFileSync(join(source, "large"), text(4 * slabBytes, "large"));
    const before = workers();
    await backup();
    expect(workers()).toBe(before);
    await restore();
    expectSameTree(restored(), source);
    const cancel = new AbortController();
    let most = 0;
    const stuck = {
      ...storage,
      put: () => {
        most = Math.max(most, workers());
        cancel.abort(new Error("cancelled"));
        return new Promise<never>((_, reject) => setTimeout(() => reject(new Error("over")), 50));
      },
    };
    const targets = [{ id: 1, name: "stuck", storage: stuck, key, quotaRemainingBytes: null }];
    await expect(backup({ targets, signal: cancel.signal })).rejects.toThrow("cancelled");
    expect(workers()).toBe(before);
  },
);
