import {
  chmodSync,
  existsSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { DamagedArtifact } from "../../agent-cli/pipeline/damaged.ts";
import type { SourceSpec } from "../../agent-cli/pipeline/pipeline.ts";
import { SlabPool } from "../../agent-cli/pipeline/slabs.ts";
import { TarWriter } from "../../agent-cli/pipeline/tar.ts";
import type { TarEntry } from "../../agent-cli/pipeline/tar-entry.ts";
import { asideName } from "../../agent-cli/pipeline/unfinished-file.ts";
import { expectSameTree, isRoot, key, run, world } from "./world.ts";

/** A tree with a few files of data that does not compress, so that damage anywhere hits content too. */
function makeTree(source: string): void {
  mkdirSync(join(source, "sub"));
  writeFileSync(join(source, "a.txt"), "first");
  writeFileSync(join(source, "sub", "b.bin"), noise(300_000));
  writeFileSync(join(source, "sub", "c.txt"), "third");
}

let seed = 1;
/** The same numbers in every run, so that a failure can be had again. */
function random(below: number): number {
  seed = (seed * 48_271) % 2_147_483_647;
  return seed % below;
}
const noise = (size: number): Buffer => Buffer.from(Array.from({ length: size }, () => random(256)));

const compressions = ["zstd", "gzip", "none"] as const;

test.each(compressions)(
  "a flipped byte anywhere is refused before anything is written (%s)",
  async (compression) => {
    const { source, destination, storage, backup, restore } = world();
    makeTree(source);
    const expected = await backup({ compression });
    const good = storage.objects.get(key) as Buffer;
    for (let i = 0; i < 40; i += 1) {
      const bad = Buffer.from(good);
      const at = random(bad.length);
      bad[at] = (bad[at] as number) ^ (1 + random(255));
      storage.objects.set(key, bad);
      await expect(restore({ compression, expected }), `byte ${at}`).rejects.toThrow(DamagedArtifact);
      expect(existsSync(destination)).toBe(false);
    }
  },
);

test.each(compressions)("a cut-off artifact is refused, hash known or not (%s)", async (compression) => {
  const { source, destination, storage, backup, restore } = world();
  makeTree(source);
  const expected = await backup({ compression });
  const good = storage.objects.get(key) as Buffer;
  const cuts = [
    0,
    1,
    3,
    4,
    5,
    10,
    good.length - 1,
    good.length - 4,
    ...Array.from({ length: 30 }, () => random(good.length)),
  ];
  for (const cut of cuts) {
    // Without compression the last kilobytes are padding, and a cut inside the final zeros loses nothing.
    if (compression === "none" && cut > good.length - 10_240) continue;
    storage.objects.set(key, good.subarray(0, cut));
    for (const known of [expected, { sha256: null, sizeBytes: null }]) {
      await expect(restore({ compression, expected: known }), `cut at ${cut}`).rejects.toThrow(
        DamagedArtifact,
      );
      expect(existsSync(destination)).toBe(false);
    }
  }
});

test.each(["zstd", "gzip"] as const)(
  "damage inside %s is noticed without a recorded hash",
  async (compression) => {
    const { source, destination, storage, backup, restore } = world();
    makeTree(source);
    await backup({ compression });
    const good = storage.objects.get(key) as Buffer;
    for (let i = 0; i < 30; i += 1) {
      const bad = Buffer.from(good);
      // Behind the gzip header, whose time and system fields say nothing about the content.
      const at = 10 + random(bad.length - 10);
      bad[at] = (bad[at] as number) ^ 0x55;
      storage.objects.set(key, bad);
      await expect(restore({ compression }), `byte ${at}`).rejects.toThrow(DamagedArtifact);
      expect(existsSync(destination)).toBe(false);
    }
  },
);

test.each(compressions)(
  "reordered, swapped, doubled and foreign artifacts are refused (%s)",
  async (compression) => {
    const { source, destination, storage, backup, restore } = world();
    writeFileSync(join(source, "large"), noise(9_000_000));
    const expected = await backup({ compression });
    const good = storage.objects.get(key) as Buffer;
    const half = Math.floor(good.length / 2);
    const others = [
      Buffer.concat([good.subarray(half), good.subarray(0, half)]),
      Buffer.concat([good, good]),
      Buffer.concat([good, Buffer.from("\0trailing")]),
      Buffer.concat([good, Buffer.from("trailing")]),
      Buffer.from("<html>not found</html>"),
    ];
    for (const other of others) {
      storage.objects.set(key, other);
      await expect(restore({ compression, expected })).rejects.toThrow(DamagedArtifact);
      await expect(restore({ compression })).rejects.toThrow(DamagedArtifact);
      expect(existsSync(destination)).toBe(false);
    }
  },
  240_000,
);

test("a tar header that was altered is refused by its own checksum", async () => {
  const { source, destination, storage, backup, restore } = world();
  makeTree(source);
  await backup({ compression: "none" });
  const good = storage.objects.get(key) as Buffer;
  const at = good.lastIndexOf(join(source, "sub", "c.txt").slice(1));
  // A letter of the name, a digit of the mode, one of the owner.
  for (const field of [5, 104, 112]) {
    const bad = Buffer.from(good);
    bad[at + field] = (bad[at + field] as number) ^ 1;
    storage.objects.set(key, bad);
    await expect(restore({ compression: "none" })).rejects.toThrow(/checksum is wrong/);
  }
  expect(existsSync(destination)).toBe(false);
});

test("frames of one backup in another order are refused by their hash", async () => {
  const { source, destination, storage, backup, restore } = world();
  writeFileSync(join(source, "large"), noise(9_000_000));
  const expected = await backup();
  const good = storage.objects.get(key) as Buffer;
  const magic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
  const second = good.indexOf(magic, 4);
  const third = good.indexOf(magic, second + 4);
  const swapped = [good.subarray(second, third), good.subarray(0, second), good.subarray(third)];
  storage.objects.set(key, Buffer.concat(swapped));
  await expect(restore({ expected })).rejects.toThrow(/the backup is damaged/);
  expect(existsSync(destination)).toBe(false);
});

test("an artifact that is a different one the second time it is fetched is not called restored", async () => {
  const { source, storage, backup, restore } = world();
  makeTree(source);
  const expected = await backup({ compression: "none" });
  const good = storage.objects.get(key) as Buffer;
  const changed = Buffer.from(good);
  changed[good.indexOf("third")] = 0x54;
  // Without a known size there is no copy in the work directory.
  const twoFaced = {
    ...storage,
    stat: async () => null,
    get: async (...args: Parameters<typeof storage.get>) => {
      const stream = await storage.get(...args);
      storage.objects.set(key, changed);
      return stream;
    },
  };
  const job = { compression: "none", storage: twoFaced } as const;
  await expect(restore({ ...job, expected: { sha256: expected.sha256, sizeBytes: null } })).rejects.toThrow(
    /SHA-256/,
  );
});

const member = (
  path: string,
  type: TarEntry["type"],
  linkPath: string | null = null,
  size = 0,
): TarEntry => ({
  path: Buffer.from(path),
  type,
  mode: 0o644,
  uid: 0,
  gid: 0,
  userName: null,
  groupName: null,
  size,
  mtimeNs: 0n,
  linkPath: linkPath === null ? null : Buffer.from(linkPath),
  devMajor: 0,
  devMinor: 0,
  sparse: null,
});

/** An archive with members of our choice; files hold "evil". */
function craft(members: TarEntry[]): Buffer {
  const tar = new TarWriter(new SlabPool());
  for (const entry of members) {
    const isFile = entry.type === "file";
    tar.writeHeader(isFile ? { ...entry, size: 4 } : entry);
    if (!isFile) continue;
    tar.write(Buffer.from("evil"));
    tar.pad(4);
  }
  return Buffer.concat(tar.finish());
}

test.each([
  ["..", [member("../escaped", "file")]],
  [".. inside", [member("a/../../escaped", "file")]],
  ["an absolute name", [member("/tmp/backupx-escaped", "file")]],
  ["a directory ..", [member("../escaped/", "directory")]],
  ["a symlink in the archive", [member("out", "symlink", "../"), member("out/escaped", "file")]],
  [
    "a deeper symlink",
    [member("a/", "directory"), member("a/out", "symlink", "/"), member("a/out/b/escaped", "file")],
  ],
  [
    "a symlink that takes the place of a folder in between",
    [
      member("a", "symlink", "b"),
      member("c/x", "file"),
      member("c/", "symlink", "../"),
      member("c/escaped", "file"),
    ],
  ],
  ["a file called ..", [member("a/good", "file"), member("a/..", "file")]],
  ["a hard link outside", [member("x", "link", "../../etc/passwd")]],
  ["an absolute hard link", [member("x", "link", "/etc/passwd")]],
])("a restore never leaves its destination: %s", async (_name, members) => {
  const { root, destination, storage, restore } = world();
  storage.objects.set(key, craft([member("good", "file"), ...members]));
  const before = readdirSync(root);
  await expect(restore({ compression: "none" })).rejects.toThrow(/refused/);
  expect(existsSync(destination)).toBe(false);
  expect(readdirSync(root).filter((name) => !name.startsWith("work-"))).toEqual(
    before.filter((name) => !name.startsWith("work-")),
  );
});

test.each(["fail", "keep", "overwrite"] as const)(
  "a symlink that stands in the destination is not followed (%s)",
  async (conflict) => {
    const { root, destination, storage, restore } = world();
    mkdirSync(destination);
    mkdirSync(join(root, "outside"));
    symlinkSync(join(root, "outside"), join(destination, "dir"));
    const archives = [
      [member("dir/file", "file")],
      [member("dir/", "directory")],
      [member("dir/deep/", "directory")],
    ];
    for (const members of archives) {
      storage.objects.set(key, craft([member("first", "file"), ...members]));
      await expect(restore({ compression: "none", conflict })).rejects.toThrow(
        /symbolic link, which is not followed/,
      );
    }
    expect(readdirSync(join(root, "outside"))).toEqual([]);
    expect(readdirSync(destination)).toEqual(["dir"]);
  },
);

describe("in place", () => {
  /** A folder that stands behind a link, as /usr/lib behind /lib, and a backup that was made by way of the link. */
  async function behindALink(compression: "zstd" | "none") {
    const w = world();
    mkdirSync(join(w.root, "usr", "lib", "app", "deep"), { recursive: true });
    symlinkSync("usr/lib", join(w.root, "lib"));
    const app = join(w.root, "lib", "app");
    writeFileSync(join(app, "one"), "1");
    writeFileSync(join(app, "deep", "two"), "2");
    linkSync(join(app, "one"), join(app, "three"));
    const source: SourceSpec = { type: "file", paths: [app], excludes: [], oneFileSystem: false };
    const expected = await w.backup({ source, compression });
    const restore = (change = {}) =>
      w.restore({ compression, expected, destination: null, conflict: "overwrite", ...change });
    return { ...w, app, restore };
  }

  test.each(["zstd", "none"] as const)(
    "a restore goes where a link of root's own leads (%s)",
    async (compression) => {
      const { root, app, restore } = await behindALink(compression);
      rmSync(app, { recursive: true });
      await restore();
      expect(readlinkSync(join(root, "lib"))).toBe("usr/lib");
      expect(readFileSync(join(root, "usr/lib/app/deep/two"), "utf8")).toBe("2");
      expect(lstatSync(join(app, "three")).ino).toBe(lstatSync(join(app, "one")).ino);
      writeFileSync(join(app, "one"), "changed");
      await restore({ selectedPaths: [join(app, "one")] });
      expect(readFileSync(join(app, "one"), "utf8")).toBe("1");
    },
  );

  test.runIf(isRoot)("a restore does not follow a link that somebody else made, or could", async () => {
    const { root, app, restore } = await behindALink("zstd");
    const refused = () => expect(restore()).rejects.toThrow(/lib is a symbolic link, which is not followed/);
    rmSync(app, { recursive: true });
    lchownSync(join(root, "lib"), 12345, 12345);
    await refused();
    lchownSync(join(root, "lib"), 0, 0);
    chmodSync(root, 0o777);
    await refused();
    chmodSync(root, 0o755);
    chmodSync(join(root, "usr"), 0o775);
    await refused();
    chmodSync(join(root, "usr"), 0o755);
    rmSync(join(root, "lib"));
    symlinkSync("hop/lib", join(root, "lib"));
    symlinkSync("usr", join(root, "hop"));
    lchownSync(join(root, "hop"), 12345, 12345);
    await refused();
    expect(readdirSync(join(root, "usr/lib"))).toEqual([]);
    lchownSync(join(root, "hop"), 0, 0);
    await restore();
    expect(readdirSync(join(root, "usr/lib"))).toEqual(["app"]);
  });

  test.each(["fail", "keep", "overwrite"] as const)(
    "a link that the archive itself brings is never gone through, whatever its place in it (%s)",
    async (conflict) => {
      const { root, storage, restore } = world();
      mkdirSync(join(root, "outside"));
      const name = (path: string) => join(root, path).slice(1);
      const link = member(name("dir"), "symlink", join(root, "outside"));
      const archives = [
        [link, member(name("dir/file"), "file")],
        [member(name("dir/file"), "file"), link],
        [member(name("dir/"), "directory"), link, member(name("dir/file"), "file")],
        [link, member(name("dir/"), "directory"), member(name("dir/file"), "file")],
      ];
      for (const members of archives) {
        storage.objects.set(key, craft(members));
        const done = restore({ compression: "none", destination: null, conflict });
        if (members[0] === link) await expect(done).rejects.toThrow();
        else await done.catch(() => {});
        expect(readdirSync(join(root, "outside"))).toEqual([]);
        rmSync(join(root, "dir"), { recursive: true, force: true });
      }
    },
  );
});

test("overwriting a symlink replaces the link, not what it points to", async () => {
  const { root, destination, storage, restore } = world();
  mkdirSync(destination);
  writeFileSync(join(root, "victim"), "precious");
  symlinkSync(join(root, "victim"), join(destination, "file"));
  storage.objects.set(key, craft([member("file", "file")]));
  await restore({ compression: "none", conflict: "overwrite" });
  expect(readFileSync(join(root, "victim"), "utf8")).toBe("precious");
  expect(lstatSync(join(destination, "file")).isFile()).toBe(true);
});

test("a hard link to a file that is not in the archive is refused", async () => {
  const { destination, storage, restore } = world();
  mkdirSync(destination);
  writeFileSync(join(destination, "private"), "x");
  storage.objects.set(key, craft([member("alias", "link", "private")]));
  await expect(restore({ compression: "none" })).rejects.toThrow(DamagedArtifact);
  expect(readdirSync(destination)).toEqual(["private"]);
});

test("conflicts: fail names them and writes nothing, keep leaves them, overwrite replaces them", async () => {
  const { source, backup, restore, restored } = world();
  makeTree(source);
  await backup();
  mkdirSync(join(restored(), "sub"), { recursive: true });
  writeFileSync(join(restored(), "sub", "c.txt"), "mine");
  await expect(restore()).rejects.toThrow(`would replace what exists: ${join(restored(), "sub", "c.txt")}`);
  expect(existsSync(join(restored(), "a.txt"))).toBe(false);
  await restore({ conflict: "keep" });
  expect(readFileSync(join(restored(), "a.txt"), "utf8")).toBe("first");
  expect(readFileSync(join(restored(), "sub", "c.txt"), "utf8")).toBe("mine");
  await restore({ conflict: "overwrite" });
  expect(readFileSync(join(restored(), "sub", "c.txt"), "utf8")).toBe("third");
});

test("a directory where a file belongs stops the restore before it writes", async () => {
  const { source, backup, restore, restored } = world();
  makeTree(source);
  await backup();
  mkdirSync(join(restored(), "sub", "c.txt"), { recursive: true });
  await expect(restore({ conflict: "overwrite" })).rejects.toThrow(
    /it is a directory, the backup has a file/,
  );
  expect(existsSync(join(restored(), "a.txt"))).toBe(false);
});

test("selected paths: a file, a directory with all in it, nothing else", async () => {
  const { source, backup, restore, restored, destination } = world();
  makeTree(source);
  mkdirSync(join(source, "subway"));
  writeFileSync(join(source, "subway", "no"), "");
  await backup();
  const result = await restore({ selectedPaths: [join(source, "sub")] });
  expect(result.entries).toBe(3);
  expect(readdirSync(restored())).toEqual(["sub"]);
  await expect(restore({ selectedPaths: [join(source, "a.txt"), "/not/backed/up"] })).rejects.toThrow(
    "not in this backup: /not/backed/up",
  );
  await expect(restore({ selectedPaths: [] })).rejects.toThrow(/no path is selected/);
  await expect(restore({ selectedPaths: ["relative"] })).rejects.toThrow(/must be absolute/);
  expect(readdirSync(destination).length).toBe(1);
});

test("a selected hard link brings its content along although its first name is not selected", async () => {
  const { source, backup, restore, restored } = world();
  writeFileSync(join(source, "1-first"), "shared");
  run("ln", [join(source, "1-first"), join(source, "2-second")]);
  run("ln", [join(source, "1-first"), join(source, "3-third")]);
  await backup();
  await restore({ selectedPaths: [join(source, "2-second"), join(source, "3-third")] });
  expect(readdirSync(restored())).toEqual(["2-second", "3-third"]);
  expect(readFileSync(join(restored(), "3-third"), "utf8")).toBe("shared");
  expect(lstatSync(join(restored(), "2-second")).ino).toBe(lstatSync(join(restored(), "3-third")).ino);
});

test("null as destination is the original place", async () => {
  const { source, backup, restore } = world();
  makeTree(source);
  await backup();
  run("rm", ["-r", join(source, "sub")]);
  await restore({ destination: null, conflict: "keep" });
  expect(readFileSync(join(source, "sub", "c.txt"), "utf8")).toBe("third");
});

test("an aborted restore stops with the reason and leaves no partial file", async () => {
  const { source, storage, backup, restore, restored } = world();
  writeFileSync(join(source, "large"), noise(5_000_000));
  await backup({ compression: "none" });
  const controller = new AbortController();
  let fetched = 0;
  const aborting = {
    ...storage,
    stat: async () => null,
    get: async (...args: Parameters<typeof storage.get>) => {
      fetched += 1;
      const stream = await storage.get(...args);
      async function* cut() {
        let chunks = 0;
        for await (const chunk of stream) {
          yield chunk;
          chunks += 1;
          if (fetched === 2 && chunks === 10) controller.abort(new Error("cancelled"));
        }
      }
      return cut();
    },
  };
  const job = { compression: "none", storage: aborting, signal: controller.signal } as const;
  await expect(restore(job)).rejects.toThrow("cancelled");
  expect(fetched).toBe(2);
  expect(readdirSync(restored())).toEqual([]);
});

test.runIf(isRoot)("a full disk is a clear error, and no partial file is left (tmpfs)", async () => {
  const { source, destination, backup, restore } = world();
  writeFileSync(join(source, "1-fits"), noise(100_000));
  writeFileSync(join(source, "2-large"), Buffer.alloc(12_000_000, "x"));
  await backup();
  mkdirSync(destination);
  run("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", destination]);
  try {
    const file = join(destination, source, "2-large");
    await expect(restore()).rejects.toThrow(`no space left to restore ${file}`);
    expect(readdirSync(join(destination, source))).toEqual(["1-fits"]);
  } finally {
    run("umount", [destination]);
  }
});

test.runIf(isRoot)(
  "a disk that fills up under several threads holds whole files only, and the restore can be gone on with (tmpfs)",
  async () => {
    const { source, destination, backup, restore, restored } = world();
    for (let i = 0; i < 3000; i += 1) {
      if (i < 30) mkdirSync(join(source, `d${i}`), { mode: 0o750 });
      writeFileSync(join(source, `d${i % 30}`, `f${i}`), `${i} `.repeat(500));
    }
    const expected = await backup();
    mkdirSync(destination);
    run("mount", ["-t", "tmpfs", "-o", "size=6m", "tmpfs", destination]);
    try {
      await expect(restore({ expected })).rejects.toThrow(/no space left to restore .*\/d\d+\/f\d+$/);
      const names = readdirSync(restored(), { recursive: true, encoding: "utf8" });
      const files = names.filter((name) => lstatSync(join(restored(), name)).isFile());
      expect(files.length).toBeGreaterThan(1000);
      for (const file of files)
        expect(readFileSync(join(restored(), file)), file).toEqual(readFileSync(join(source, file)));
      run("mount", ["-o", "remount,size=64m", destination]);
      await restore({ expected, conflict: "keep" });
      expectSameTree(restored(), source);
    } finally {
      run("umount", [destination]);
    }
  },
);

test.runIf(isRoot)("a work directory without room does not stop a restore (tmpfs)", async () => {
  const { root, source, storage, backup, restore, restored } = world();
  writeFileSync(join(source, "file"), noise(6_000_000));
  const expected = await backup();
  const workDir = join(root, "small");
  mkdirSync(workDir);
  run("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", workDir]);
  try {
    await restore({ expected, workDir });
    // Its end, where an index could be, and then all of it twice.
    expect(storage.gets).toBe(3);
    expect(readFileSync(join(restored(), "file")).equals(readFileSync(join(source, "file")))).toBe(true);
  } finally {
    run("umount", [workDir]);
  }
});

test.each(["zstd", "none"] as const)(
  "what a killed restore has left beside files and links is gone after the next one, whatever it was (%s)",
  async (compression) => {
    for (const conflict of ["fail", "keep", "overwrite"] as const) {
      const { source, backup, restore, restored } = world();
      makeTree(source);
      symlinkSync("a.txt", join(source, "symlink"));
      linkSync(join(source, "a.txt"), join(source, "z hard link"));
      // What is called so in the backup itself is nobody's left-over.
      writeFileSync(join(source, asideName("a.txt")), "mine");
      const expected = await backup({ compression });
      mkdirSync(join(restored(), "sub"), { recursive: true });
      const left = (name: string) => join(restored(), asideName(name));
      symlinkSync("half a link", left("symlink"));
      writeFileSync(left("z hard link"), "content of another name");
      writeFileSync(join(restored(), "sub", asideName("b.bin")), "half", { mode: 0o600 });
      chmodSync(join(restored(), "sub", asideName("b.bin")), 0o1200);
      writeFileSync(join(restored(), "sub", asideName("c.txt")), "whole, but not named yet");
      const somebodys = join(restored(), "sub", asideName("not in this backup"));
      writeFileSync(somebodys, "somebody's");
      await restore({ compression, expected, conflict, dryRun: true });
      expect(lstatSync(left("symlink")).isSymbolicLink()).toBe(true);
      await restore({ compression, expected, conflict });
      expect(readFileSync(somebodys, "utf8")).toBe("somebody's");
      rmSync(somebodys);
      expect(readdirSync(restored(), { recursive: true }).sort()).toEqual(
        readdirSync(source, { recursive: true }).sort(),
      );
    }
  },
);

test("a directory that a killed restore has made gets its own mode and time, also where files are kept", async () => {
  const { source, backup, restore, restored } = world();
  makeTree(source);
  chmodSync(join(source, "sub"), 0o755);
  utimesSync(join(source, "sub"), 1_600_000_000, 1_600_000_000);
  const expected = await backup();
  mkdirSync(join(restored(), "sub"), { recursive: true });
  chmodSync(join(restored(), "sub"), 0o1700);
  await restore({ expected, conflict: "keep" });
  expectSameTree(join(restored(), "sub"), join(source, "sub"));
});

test("an object that is not there is named as such", async () => {
  const { restore } = world();
  await expect(restore()).rejects.toThrow(/there is no object/);
});

test("zstd frames that lie about their size are refused", async () => {
  const { storage, restore, destination } = world();
  const frame = zstdCompressSync(Buffer.alloc(100_000, "x"));
  // A frame header with a four-byte size at 6, which is made to say more, then less.
  for (const size of [100_001, 99_999, 1, 15_000_000]) {
    const lie = Buffer.from(frame);
    const single = ((lie[4] as number) & 0x20) !== 0;
    lie.writeUInt32LE(size, single ? 5 : 6);
    storage.objects.set(key, lie);
    await expect(restore()).rejects.toThrow(DamagedArtifact);
  }
  expect(existsSync(destination)).toBe(false);
});
