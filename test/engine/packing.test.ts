import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { readArchiveIndex } from "../../agent-cli/pipeline/archive-index.ts";
import { sumOf } from "../../agent-cli/pipeline/file-summing.ts";
import { decompress } from "../../agent-cli/pipeline/frames.ts";
import { PackThreads } from "../../agent-cli/pipeline/pack-threads.ts";
import { SlabPool, slabBytes } from "../../agent-cli/pipeline/slabs.ts";
import { TarWriter } from "../../agent-cli/pipeline/tar.ts";
import { TarReader } from "../../agent-cli/pipeline/untar.ts";
import { FilePacker } from "../../agent-cli/sources/file-packer.ts";
import { HardLinks } from "../../agent-cli/sources/hard-links.ts";
import { newTally } from "../../agent-cli/sources/source.ts";
import type { MemoryStorage } from "../fakes/memory-storage.ts";
import { testWith } from "../needs.ts";
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

test("the index leads to every file, with its checksum, and the record is told where it lies", async () => {
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
  for (const { path, type, size, sum, tarOffset } of entries) {
    if (type !== "file") continue;
    const content = readFileSync(path);
    expect(size).toBe(content.length);
    expect(sum).toBe(sumOf(content));
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
    const pipeline = { compression: "zstd", level: 1, threads } as const;
    await backup({ pipeline });
    const { place } = await indexIn(storage);
    return hashOf((storage.objects.get(key) as Buffer).subarray(0, place.offsetBytes));
  };
  expect(await packed(1)).toBe(await packed(3));
});

/** What is packed of files that were listed. */
function packFiles(paths: string[]) {
  const tar = new TarWriter(new SlabPool());
  const warnings: string[] = [];
  const leftOut: string[] = [];
  const packer = new FilePacker(tar, {
    own: new Set(),
    checksums: true,
    links: new HardLinks(null),
    tally: newTally(),
    report: {
      stored() {},
      leftOut: (path) => leftOut.push(basename(path.toString())),
      warn: (path, reason) => warnings.push(`${basename(path.toString())}: ${reason}`),
    },
  });
  for (const path of paths) expect(packer.file(Buffer.from(path))).toBe(null);
  const stored: string[] = [];
  const reader = new TarReader({
    entry: ({ path, type, linkPath }) => {
      const link = linkPath ? ` to ${basename(linkPath.toString())}` : "";
      stored.push(`${basename(path.toString())}: ${type === "file" ? "" : type}${link}`);
    },
    data: (chunk) => {
      stored[stored.length - 1] += chunk.toString();
    },
    endEntry() {},
  });
  for (const frame of tar.finish()) reader.push(frame);
  return { stored, warnings, leftOut };
}

test("between listing and reading a file may vanish, become another or become a directory", () => {
  const { source } = world();
  const at = (name: string) => join(source, name);
  writeFileSync(at("b"), "b at first");
  appendFileSync(at("b"), ", then longer");
  mkdirSync(at("c"));
  expect(packFiles(["a", "b", "c"].map(at))).toEqual({
    stored: ["b: b at first, then longer"],
    warnings: [
      "a: skipped: it vanished before it was read",
      "c: skipped: it was replaced while the backup ran",
    ],
    leftOut: ["a", "c"],
  });
});

test("a file with several names is stored under the first that can be read, whatever becomes of the others", () => {
  const { source } = world();
  const names = ["first", "second", "third"].map((name) => join(source, name));
  const [first = "", second = "", third = ""] = names;
  writeFileSync(first, "content");
  linkSync(first, second);
  linkSync(first, third);
  rmSync(first);
  expect(packFiles(names)).toMatchObject({
    stored: ["second: content", "third: link to second"],
    leftOut: ["first"],
  });
});

test("what is asked of the threads of a run that has ended fails for the reason that it has ended for", async () => {
  const settings = {
    compression: "zstd",
    level: 1,
    frameChecksums: true,
    threads: 2,
    compare: null,
  } as const;
  const threads = new PackThreads(settings);
  const slab = () => threads.frame(new ArrayBuffer(slabBytes), 10);
  await expect(slab()).resolves.toMatchObject({ plainBytes: 10 });
  const ask = () => [slab(), threads.readAhead([Buffer.from("/")]), slab()];
  const before = Promise.allSettled(ask());
  threads.fail(new Error("cancelled"));
  for (const settled of [await before, await Promise.allSettled(ask())]) {
    expect(settled).toEqual(Array(3).fill({ status: "rejected", reason: new Error("cancelled") }));
  }
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

describe.runIf(process.getuid?.() === 0)("a file system that tells no types along with names", () => {
  testWith(["mkfs.ext4", "mount"], "is backed up whole, names that are no text included", async () => {
    const { root, source, backup, restore, destination } = world();
    const image = join(root, "image");
    execFileSync("dd", ["if=/dev/zero", `of=${image}`, "bs=1M", "count=8"], { stdio: "ignore" });
    execFileSync("mkfs.ext4", ["-q", "-O", "^filetype", image]);
    execFileSync("mount", ["-o", "loop", image, source]);
    try {
      mkdirSync(join(source, "deep"));
      writeFileSync(
        Buffer.concat([Buffer.from(`${source}/deep/`), Buffer.from([0xff, 0x0a, 0x41])]),
        "content",
      );
      symlinkSync("nowhere", join(source, "dangling"));
      const { warningCount } = await backup();
      expect(warningCount).toBe(0);
      await restore();
      expectSameTree(source, join(destination, source));
    } finally {
      execFileSync("umount", [source]);
    }
  });
});
