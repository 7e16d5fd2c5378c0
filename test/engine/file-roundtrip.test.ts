import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { statfs } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { SlabPool } from "../../agent-cli/pipeline/slabs.ts";
import { TarWriter } from "../../agent-cli/pipeline/tar.ts";
import type { TarEntry } from "../../agent-cli/pipeline/tar-entry.ts";
import { TarReader } from "../../agent-cli/pipeline/untar.ts";
import type { Storage } from "../../agent-cli/storage/storage.ts";
import { testWith } from "../needs.ts";
import { expectSameTree, isRoot, key, run, scratch, target, world } from "./world.ts";

const longName = "x".repeat(200);

/** A tree with everything in it that a file system can hold and an archive can get wrong. */
function makeDifficultTree(root: string): void {
  const at = (...names: string[]) => join(root, ...names);
  writeFileSync(at("empty"), "");
  mkdirSync(at("empty directory"));
  writeFileSync(at("ünïcødé 日本語 🙂.txt"), "unicode");
  writeFileSync(at("new\nline\ttab \\ ' \""), "odd");
  writeFileSync(
    Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0x66, 0xff, 0xfe, 0x2e, 0x74])]),
    "not UTF-8",
  );
  mkdirSync(at("a".repeat(90), "b".repeat(90), "c".repeat(90)), { recursive: true });
  writeFileSync(at("a".repeat(90), "b".repeat(90), "c".repeat(90), "deep.txt"), "300 characters");
  writeFileSync(at(longName), "long name");
  writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.alloc(180, 0xfe)]), "long and not UTF-8");
  for (const size of [1, 511, 512, 513, 4096, 4 * 1024 * 1024 - 1, 4 * 1024 * 1024 + 1, 9_999_999]) {
    writeFileSync(at(`size-${size}`), Buffer.alloc(size, `${size} `));
  }
  symlinkSync("empty", at("link"));
  symlinkSync("/nowhere/at all", at("dangling"));
  symlinkSync("t".repeat(300), at("long link"));
  symlinkSync("empty directory", at("link to directory"));
  writeFileSync(at("hard 1"), "hard");
  linkSync(at("hard 1"), at("hard 2"));
  mkdirSync(at("sub"));
  linkSync(at("hard 1"), at("sub", "hard 3"));
  linkSync(at(longName), at("sub", "long hard"));
  for (const mode of [0o000, 0o400, 0o755, 0o1777, 0o4755, 0o6711]) {
    writeFileSync(at(`mode-${mode.toString(8)}`), "");
    chmodSync(at(`mode-${mode.toString(8)}`), mode);
  }
  writeFileSync(at("old"), "before 1970");
  utimesSync(at("old"), -86_400.5, -86_400.5);
  writeFileSync(at("precise"), "");
  utimesSync(at("precise"), 1_700_000_000, 1_700_000_000.123456);
  lutimesSync(at("link"), 1_600_000_000, 1_600_000_000.5);
  if (isRoot) chownSync(at("precise"), 1234, 3_000_000);
  mkdirSync(at("closed"), 0o755);
  writeFileSync(at("closed", "inside"), "x");
  utimesSync(at("closed"), 1_500_000_000, 1_500_000_000);
  chmodSync(at("closed"), 0o555);
}

function makeSparse(path: string, size: number, islands: [number, string][]): void {
  const fd = openSync(path, "w");
  for (const [offset, text] of islands) writeSync(fd, text, offset);
  ftruncateSync(fd, size);
  closeSync(fd);
}

const allocated = (path: string): number => statSync(path).blocks * 512;

test.each(["zstd", "gzip", "none"] as const)("restore equals source, with %s", async (compression) => {
  const { source, backup, restore, restored } = world();
  makeDifficultTree(source);
  const done = await backup({ compression });
  expect(done.warnings).toEqual([]);
  const result = await restore({ compression, expected: done });
  expect(result.warnings).toEqual([]);
  expect(result.entries).toBe(done.entries);
  expectSameTree(restored(), source);
});

test("GNU tar finds no difference between our archive and the source, to the nanosecond", async () => {
  const { source, backup, storage } = world();
  makeDifficultTree(source);
  makeSparse(join(source, "sparse"), 50_000_000, [[10_000_000, "island"]]);
  await backup({ compression: "none" });
  const archive = storage.objects.get(key) as Buffer;
  run("tar", ["-C", "/", "--compare", "-f", "-"], archive);
  const out = scratch();
  run("tar", ["-C", out, "-xpf", "-"], archive);
  const ns = (path: string) => statSync(path, { bigint: true }).mtimeNs;
  expect(ns(join(out, source, "precise"))).toBe(ns(join(source, "precise")));
  expectSameTree(join(out, source), source);
  expect(allocated(join(out, source, "sparse"))).toBeLessThan(1_000_000);
});

testWith(["zstd", "gzip"], "zstd and gzip read what we compress", async () => {
  const { source, backup, storage } = world();
  makeDifficultTree(source);
  await backup({ compression: "none" });
  const plain = storage.objects.get(key) as Buffer;
  await backup({ compression: "zstd" });
  expect(run("zstd", ["-dc"], storage.objects.get(key)).equals(plain)).toBe(true);
  await backup({ compression: "gzip" });
  expect(run("gzip", ["-dc"], storage.objects.get(key)).equals(plain)).toBe(true);
});

const madeByOthers = [
  ["zstd", ["--format=gnu"], ["zstd", "-q"]],
  ["zstd", ["--format=posix", "-S"], ["zstd", "-q", "-19", "--long"]],
  ["zstd", ["--format=posix"], ["zstd", "-q", "--no-check"]],
  ["gzip", ["--format=gnu"], ["gzip"]],
  ["none", ["--format=posix", "-S"], ["cat"]],
] as const;
for (const [compression, format, [program, ...args]] of madeByOthers) {
  const name = `we read what tar ${format.join(" ")} and ${[program, ...args].join(" ")} made`;
  testWith([program], name, async () => {
    const { source, storage, restore, restored } = world();
    makeDifficultTree(source);
    // GNU's own format has no time before 1970 that is a fraction.
    rmSync(join(source, "old"));
    makeSparse(join(source, "sparse"), 30_000_000, [[10_000_000, "island"]]);
    const tar = run("tar", ["-C", "/", ...format, "-cf", "-", source.slice(1)]);
    storage.objects.set(key, run(program, [...args], tar));
    const result = await restore({ compression });
    expect(result.warnings).toEqual([]);
    // GNU's own format keeps whole seconds.
    expectSameTree(restored(), source, format[0] === "--format=gnu" ? 1_000_000_000n : 1000n);
  });
}

test("keeps holes in sparse files, whichever end they are at", async () => {
  const { source, backup, restore, restored } = world();
  makeSparse(join(source, "all hole"), 10_000_000, []);
  makeSparse(join(source, "islands"), 300_000_000, [
    [0, "start"],
    [99_999_999, "middle"],
    [299_999_990, "at the end"],
  ]);
  makeSparse(join(source, "hole at end"), 20_000_001, [[5_000_000, "x".repeat(100_000)]]);
  const done = await backup();
  expect(done.sizeBytes).toBeLessThan(100_000);
  await restore();
  expectSameTree(restored(), source);
  for (const name of ["all hole", "islands", "hole at end"]) {
    expect(readFileSync(join(restored(), name)).equals(readFileSync(join(source, name)))).toBe(true);
    expect(allocated(join(restored(), name))).toBeLessThan(1_000_000);
  }
});

testWith(
  ["zstd"],
  "packs and restores a sparse file of 9 GiB",
  async () => {
    const { source, backup, restore, restored, storage } = world();
    const size = 9 * 1024 ** 3;
    makeSparse(join(source, "huge"), size, [[8.5 * 1024 ** 3, "beyond"]]);
    const done = await backup();
    expect(done.sourceBytes).toBe(size);
    expect(run("sh", ["-c", "zstd -dc | tar -tvf -"], storage.objects.get(key)).toString()).toContain(
      `${size}`,
    );
    await restore();
    const fd = openSync(join(restored(), "huge"), "r");
    const island = Buffer.alloc(6);
    readSync(fd, island, 0, 6, 8.5 * 1024 ** 3);
    closeSync(fd);
    expect(island.toString()).toBe("beyond");
    expect(statSync(join(restored(), "huge")).size).toBe(size);
    expect(allocated(join(restored(), "huge"))).toBeLessThan(1_000_000);
  },
  240_000,
);

test("writes and reads a header for more than the 8 GiB that ustar can say", () => {
  const size = 9 * 1024 ** 3 + 1;
  const entry: TarEntry = {
    ...{
      path: Buffer.from("huge"),
      type: "file",
      mode: 0o644,
      uid: 0,
      gid: 0,
      userName: null,
      groupName: null,
    },
    ...{ size, mtimeNs: 1_700_000_000_000_000_001n, linkPath: null, devMajor: 0, devMinor: 0, sparse: null },
  };
  const tar = new TarWriter(new SlabPool());
  tar.writeHeader(entry);
  const header = Buffer.from(tar.slab.subarray(0, tar.used));
  const read: TarEntry[] = [];
  new TarReader({ entry: (found) => void read.push(found), data() {}, endEntry() {} }).push(header);
  expect(read).toEqual([entry]);
  const listed = spawnSync("tar", ["-tvf", "-"], { input: header }).stdout.toString();
  expect(listed).toContain(`${size}`);
});

test("100,000 small files, with modes, owners, times and links", async () => {
  const { source, backup, restore, restored } = world(await roomyFolder());
  for (let i = 0; i < 500; i += 1) mkdirSync(join(source, `d${i}`));
  for (let i = 0; i < 100_000; i += 1) {
    const directory = join(source, `d${i % 500}`);
    const file = join(directory, `f${i}`);
    writeFileSync(file, `content of ${i}`.repeat(i % 50));
    if (i % 10 === 0) chmodSync(file, [0o600, 0o640, 0o755, 0o4711][i % 4] as number);
    if (i % 10 === 1) utimesSync(file, 1_600_000_000 + i, 1_600_000_000 + i + 0.25);
    if (i % 10 === 2 && isRoot) chownSync(file, i, i + 1);
    if (i % 100 === 3) symlinkSync(`f${i}`, join(directory, `symlink to ${i}`));
    if (i % 100 === 4) linkSync(file, join(source, `d${(i + 1) % 500}`, `other name of ${i}`));
  }
  const done = await backup();
  expect(done).toMatchObject({ entries: 102_501, warningCount: 0 });
  const result = await restore({ expected: done });
  expect(result).toMatchObject({ entries: 102_501, bytes: done.sourceBytes, warningCount: 0 });
  expectSameTree(restored(), source);
}, 300_000);

/** In memory where there is room for it: on a busy disk so many files take minutes. */
async function roomyFolder(): Promise<string> {
  const memory = "/dev/shm";
  if (!existsSync(memory)) return tmpdir();
  const { bavail, bsize } = await statfs(memory);
  return bavail * bsize > 4 * 1024 ** 3 ? memory : tmpdir();
}

test.runIf(isRoot)("pipes and devices come back, sockets are left out with a warning", async () => {
  const { source, backup, restore, restored } = world();
  run("mkfifo", [join(source, "pipe")]);
  run("mknod", [join(source, "null"), "c", "1", "3"]);
  const server = createServer().listen(join(source, "socket"));
  await new Promise((resolve) => server.once("listening", resolve));
  const done = await backup();
  server.close();
  expect(done.warnings).toEqual([{ path: join(source, "socket"), reason: "skipped: it is a socket" }]);
  await restore();
  expect(statSync(join(restored(), "pipe")).isFIFO()).toBe(true);
  expect(statSync(join(restored(), "null"))).toMatchObject({ rdev: statSync("/dev/null").rdev });
});

/** A storage that stops before it takes more than the first chunk, so that a test can change the source meanwhile. */
function slowStorage(inner: Storage, atFirstChunk: () => void): Storage {
  return {
    ...inner,
    async put(id, body, options) {
      async function* paused() {
        let first = true;
        for await (const chunk of body) {
          if (first) {
            await sleep(100);
            atFirstChunk();
          }
          first = false;
          yield chunk;
        }
      }
      return await inner.put(id, paused(), options);
    },
  };
}

test("a file that shrinks or vanishes while it is read is a warning, and the archive stays readable", async () => {
  const { source, backup, restore, restored, storage } = world();
  // So large that the bounded buffers on the way cannot hold it: it is still being read when the test changes it.
  const size = 64 * 1024 * 1024;
  writeFileSync(join(source, "1-shrinks"), Buffer.alloc(size, "s"));
  writeFileSync(join(source, "3-vanishes"), "gone");
  writeFileSync(join(source, "4-stays"), "stays");
  const slow = slowStorage(storage, () => {
    const shrinking = openSync(join(source, "1-shrinks"), "r+");
    ftruncateSync(shrinking, size / 2 + 100);
    closeSync(shrinking);
    rmSync(join(source, "3-vanishes"));
  });
  const done = await backup({ compression: "none", targets: [{ ...target(1, storage), storage: slow }] });
  expect(done.warnings.map(({ path, reason }) => `${path.slice(source.length + 1)}: ${reason}`)).toEqual([
    `1-shrinks: it shrank or could not be read to its end: zeros are stored from byte ${size / 2 + 100} on`,
    "3-vanishes: skipped: it vanished before it was read",
  ]);
  await restore({ compression: "none", expected: done });
  const shrunk = readFileSync(join(restored(), "1-shrinks"));
  expect(shrunk.length).toBe(size);
  expect(shrunk.subarray(size / 2 + 100).every((byte) => byte === 0)).toBe(true);
  expect(readFileSync(join(restored(), "4-stays"), "utf8")).toBe("stays");
}, 240_000);

test("of a file that grows while it is read, what it was at first is stored, with a warning", async () => {
  const { source, backup, restore, restored, storage } = world();
  const size = 64 * 1024 * 1024;
  writeFileSync(join(source, "log"), Buffer.alloc(size, "l"));
  const slow = slowStorage(storage, () => writeFileSync(join(source, "log"), "more", { flag: "a" }));
  const done = await backup({ compression: "none", targets: [{ ...target(1, storage), storage: slow }] });
  expect(done.warnings).toEqual([
    { path: join(source, "log"), reason: `it grew while it was read: the first ${size} bytes are stored` },
  ]);
  await restore({ compression: "none", expected: done });
  expect(readFileSync(join(restored(), "log")).equals(Buffer.alloc(size, "l"))).toBe(true);
});

test("a missing path is a warning, unless all are missing", async () => {
  const { source, backup, restore, restored, files } = world();
  writeFileSync(join(source, "file"), "here");
  const done = await backup({ source: files([source, "/not/there"]) });
  expect(done.warnings).toEqual([{ path: "/not/there", reason: "does not exist" }]);
  await restore();
  expectSameTree(restored(), source);
  await expect(backup({ source: files(["/not/there", "/nor/here"]) })).rejects.toThrow(
    "nothing to back up: /nor/here, /not/there does not exist",
  );
});

test.runIf(isRoot)("what may not be read is left out with a warning", async () => {
  const { root, source, storage } = world();
  const closed = join(source, "closed");
  writeFileSync(join(source, "secret"), "x", { mode: 0o600 });
  writeFileSync(join(source, "open"), "x", { mode: 0o644 });
  mkdirSync(closed, { mode: 0o700 });
  chmodSync(root, 0o755);
  const script = `
    import { runBackup } from ${JSON.stringify(new URL("../../agent-cli/pipeline/backup.ts", import.meta.url).href)};
    import { memoryStorage } from ${JSON.stringify(new URL("../fakes/memory-storage.ts", import.meta.url).href)};
    process.setegid(65534); process.seteuid(65534);
    const done = await runBackup({
      source: { type: "file", paths: [${JSON.stringify(source)}], excludes: [], oneFileSystem: false },
      pipeline: { compression: "none", level: null },
      targets: [{ id: 1, name: "t", storage: memoryStorage(), key: "k", quotaRemainingBytes: null }],
      workDir: ${JSON.stringify(root)}, ownPaths: [], signal: new AbortController().signal,
      report: { progress() {}, log() {} },
    }).catch((error) => error);
    console.log(JSON.stringify(done.warnings ?? String(done)));`;
  const file = join(root, "run.mjs");
  writeFileSync(file, script.replace(`workDir: ${JSON.stringify(root)}`, `workDir: "/proc/self"`));
  const warnings = JSON.parse(run(process.execPath, [file]).toString());
  expect(warnings).toEqual([
    { path: closed, reason: "what is in this directory was skipped: skipped: permission denied" },
    { path: join(source, "secret"), reason: "skipped: permission denied" },
  ]);
  expect(storage.objects.size).toBe(0);
});

test("excludes: names anywhere, directories with all in them, ends of paths, absolute paths, `**`", async () => {
  const { source, backup, restore, restored } = world();
  const all = [
    ...["keep.txt", "a.log", "deep/b.log", "deep/new\nline.log", "node_modules/x/y", "deep/node_modules/z"],
    ...[
      "cache",
      "deep/cache/c",
      "app/tmp/t",
      "other/app/tmp/t",
      "abs/one",
      "abs/two/three",
      ".hidden/h",
      "star/1/2/3",
    ],
  ];
  for (const name of all) {
    mkdirSync(join(source, name, ".."), { recursive: true });
    writeFileSync(join(source, name), name);
  }
  const excludes = [
    "*.log",
    "node_modules",
    "cache/",
    "app/tmp",
    `${source}/abs/t*`,
    ".hidden",
    "star/**/3",
    " ",
  ];
  await backup({ source: { type: "file", paths: [source], excludes, oneFileSystem: false } });
  await restore();
  const left = run("find", [restored(), "-type", "f"]).toString().trim().split("\n");
  expect(left.map((path) => path.slice(restored().length + 1)).sort()).toEqual([
    "abs/one",
    "cache",
    "keep.txt",
  ]);
});

test("paths that lie in one another are stored once, the agent's own directories never", async () => {
  const { source, backup, restore, restored, files } = world();
  mkdirSync(join(source, "sub", "state"), { recursive: true });
  writeFileSync(join(source, "sub", "file"), "x");
  writeFileSync(join(source, "sub", "state", "journal"), "x");
  const paths = [join(source, "sub"), source, `${source}/sub/../sub/file`, source];
  const done = await backup({ source: files(paths), ownPaths: [join(source, "sub", "state")] });
  expect(done.entries).toBe(3);
  await restore();
  expect(run("find", [restored(), "-type", "f"]).toString().trim()).toBe(join(restored(), "sub", "file"));
});

test("a path below an excluded directory is still stored when it is named itself", async () => {
  const { source, backup, restore, restored } = world();
  mkdirSync(join(source, "skip", "wanted"), { recursive: true });
  writeFileSync(join(source, "skip", "wanted", "file"), "x");
  const paths = [source, join(source, "skip", "wanted")];
  await backup({ source: { type: "file", paths, excludes: ["skip"], oneFileSystem: false } });
  await restore();
  expect(readFileSync(join(restored(), "skip", "wanted", "file"), "utf8")).toBe("x");
});

test("links are stored, never followed", async () => {
  const { root, source, backup, restore, restored, files } = world();
  mkdirSync(join(root, "real"));
  writeFileSync(join(root, "real", "file"), "x");
  symlinkSync(join(root, "real"), join(source, "link"));
  const done = await backup({ source: files([source, join(source, "link")]) });
  expect(done.entries).toBe(2);
  await restore();
  expect(lstatSync(join(restored(), "link")).isSymbolicLink()).toBe(true);
});
