import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { describe, expect, test } from "vitest";
import { decodeArchiveIndex, type IndexEntry } from "../../agent-cli/pipeline/archive-index.ts";
import { sumFromBits } from "../../agent-cli/pipeline/file-sum.ts";
import type { Identities } from "../../agent-cli/pipeline/identities.ts";
import type { Compression } from "../../agent-cli/pipeline/pipeline.ts";
import { compareTree } from "../../agent-cli/pipeline/verify/compare-tree.ts";
import type { Check, Grade, VerificationReport, VerifyJob } from "../../agent-cli/pipeline/verify/finding.ts";
import { listedIn } from "../../agent-cli/pipeline/verify/index-check.ts";
import { runVerification } from "../../agent-cli/pipeline/verify/verify.ts";
import { gradeReached } from "../../protocol/verification.ts";
import { packIndexed, withOlderSums } from "./indexed-archive.ts";
import { isRoot, key, run, world } from "./world.ts";

type World = ReturnType<typeof world>;

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const stored = ({ storage }: World): Buffer => storage.objects.get(key) as Buffer;

/** Verifies what the world's storage holds; the expectation is of `original`, as it was stored. */
function verify(
  w: World,
  grade: Grade,
  original: Uint8Array,
  change: Partial<VerifyJob> = {},
): Promise<VerificationReport> {
  return runVerification({
    grade,
    source: w.files(),
    compression: "zstd",
    identities: null,
    storage: w.storage,
    key,
    expected: { sha256: sha256(original), sizeBytes: original.length },
    workDir: w.workDir(),
    report: w.report,
    signal: new AbortController().signal,
    ...change,
  });
}

const brief = ({ checks }: { checks: Check[] }) =>
  checks.map(({ grade, name, outcome }) => `${grade} ${name} ${outcome}`);
const damage = ({ checks }: { checks: Check[] }) =>
  checks.filter(({ outcome }) => outcome === "damaged").map(({ grade, detail }) => `${grade} ${detail}`);

/** A tree with one of each kind that everybody can make. */
function fill(source: string): void {
  mkdirSync(join(source, "deep/er"), { recursive: true });
  writeFileSync(join(source, "a.txt"), "content of a\n".repeat(3000));
  writeFileSync(join(source, "deep/ünïcode\nname"), Buffer.from([0, 1, 2, 255]));
  writeFileSync(join(source, "empty"), "");
  writeFileSync(join(source, "script"), "#!/bin/sh\n");
  chmodSync(join(source, "script"), 0o750);
  linkSync(join(source, "a.txt"), join(source, "deep/hard"));
  symlinkSync("../a.txt", join(source, "deep/soft"));
  symlinkSync("/nowhere", join(source, "dangling"));
  const sparse = join(source, "sparse");
  writeFileSync(sparse, "head");
  truncateSync(sparse, 3_000_000);
  utimesSync(join(source, "empty"), 1_000_000_000.123456, 1_000_000_000.123456);
  chmodSync(join(source, "deep/er"), 0o555);
}

async function backedUp(compression: Compression = "zstd", recipients: string[] = []) {
  const w = world();
  fill(w.source);
  await w.backup({
    pipeline: {
      compression,
      level: null,
      encryption: recipients.length > 0 ? { recipients } : null,
    },
  });
  return { w, original: Buffer.from(stored(w)) };
}

async function aKey(): Promise<{ recipient: string; identities: Identities }> {
  const identity = await generateX25519Identity();
  return {
    recipient: await identityToRecipient(identity),
    identities: { origin: "the test's file", keys: [identity], readableByOthers: false },
  };
}

const change = (w: World, to: (bytes: Buffer) => Buffer) =>
  void w.storage.objects.set(key, to(Buffer.from(stored(w))));
const flip = (at: number) => (bytes: Buffer) => {
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes;
};

describe("a sound backup of files", () => {
  test.each<[Compression]>([["zstd"], ["gzip"], ["none"]])(
    "with %s passes every grade",
    async (compression) => {
      const { w, original } = await backedUp(compression);
      for (const grade of [1, 2, 3, 4] as const) {
        const report = await verify(w, grade, original, { compression });
        expect(gradeReached(report.checks), JSON.stringify(report)).toBe(grade);
        expect(report.checks).toHaveLength(grade);
      }
      const report = await verify(w, 4, original, { compression });
      expect(report).toMatchObject({ differences: [], differenceCount: 0 });
      expect(report.entries).toBeGreaterThan(8);
    },
  );

  test("leaves nothing behind in the work directory, nor do the damaged ones", async () => {
    const { w, original } = await backedUp();
    const workDir = w.workDir();
    await verify(w, 4, original, { workDir });
    expect(readdirSync(workDir)).toEqual([]);
    change(w, flip(original.length >> 1));
    const other = w.workDir();
    await verify(w, 4, original, { workDir: other });
    expect(readdirSync(other)).toEqual([]);
  });

  test("that is encrypted passes every grade with its key, and two of them without", async () => {
    const { recipient, identities } = await aKey();
    const { w, original } = await backedUp("zstd", [recipient]);
    expect(gradeReached((await verify(w, 4, original, { identities })).checks)).toBe(4);
    const missing = "this backup is encrypted, and there is no key";
    const without = await verify(w, 4, original, { identities: { missing } });
    expect(brief(without)).toEqual(["1 size passed", "2 sha256 passed", "3 decryption not_checked"]);
    expect(gradeReached(without.checks)).toBe(2);
    const stranger = await verify(w, 4, original, { identities: (await aKey()).identities });
    expect(brief(stranger)).toEqual(["1 size passed", "2 sha256 passed", "3 archive not_checked"]);
    expect(stranger.checks[2]?.detail).toMatch(/no identity in .* opens this backup/);
  });
});

describe("a damaged one", () => {
  test("that is missing", async () => {
    const { w, original } = await backedUp();
    w.storage.objects.delete(key);
    const report = await verify(w, 4, original);
    expect(brief(report)).toEqual(["1 size damaged"]);
    expect(damage(report)).toEqual(["1 it is not there any more"]);
    expect(gradeReached(report.checks)).toBeNull();
  });

  test("that is cut off", async () => {
    const { w, original } = await backedUp();
    change(w, (bytes) => bytes.subarray(0, -7));
    expect(damage(await verify(w, 4, original))).toEqual([
      `1 it has ${original.length - 7} bytes, and ${original.length} were stored`,
    ]);
  });

  test("with one flipped bit has it found by its hash, and told where when it is opened", async () => {
    const { w, original } = await backedUp();
    change(w, flip(original.length >> 1));
    const hashed = await verify(w, 2, original);
    expect(damage(hashed)).toEqual([
      `2 its SHA-256 is ${sha256(stored(w))}, and ${sha256(original)} was recorded`,
    ]);
    expect(gradeReached(hashed.checks)).toBe(1);
    expect(gradeReached((await verify(w, 1, original)).checks)).toBe(1);
    const opened = await verify(w, 4, original);
    expect(brief(opened)).toEqual(["1 size passed", "2 sha256 damaged", "3 archive damaged"]);
    expect(damage(opened)[1]).toMatch(/^3 the backup is damaged: /);
  });

  test("with a flipped bit in its encryption names the chunk", async () => {
    const { recipient, identities } = await aKey();
    const { w, original } = await backedUp("none", [recipient]);
    change(w, flip(300 + 65_552));
    expect(damage(await verify(w, 3, original, { identities, compression: "none" }))[1]).toMatch(
      /chunk 2 of its encryption was altered/,
    );
  });

  test("that was swapped for another good one is found by its hash alone", async () => {
    const { w, original } = await backedUp();
    const other = await backedUp();
    writeFileSync(join(other.w.source, "more"), "more");
    const bytes = Buffer.concat([stored(other.w)]);
    const padded = Buffer.alloc(original.length - bytes.length > 0 ? original.length - bytes.length : 0);
    w.storage.objects.set(key, Buffer.concat([bytes, padded]).subarray(0, original.length));
    const report = await verify(w, 2, original);
    expect(gradeReached(report.checks)).toBe(1);
  });

  test("whose hash was made of damaged bytes is found when it is opened", async () => {
    const { w } = await backedUp();
    change(w, (bytes) => bytes.subarray(0, -9));
    const report = await verify(w, 4, stored(w));
    expect(brief(report)).toEqual(["1 size passed", "2 sha256 passed", "3 archive damaged"]);
    expect(gradeReached(report.checks)).toBe(2);
  });

  test("without a recorded hash or size is not called proved", async () => {
    const { w, original } = await backedUp();
    const report = await verify(w, 3, original, { expected: { sha256: null, sizeBytes: original.length } });
    expect(brief(report)).toEqual(["1 size passed", "2 sha256 not_checked", "3 archive passed"]);
    expect(gradeReached(report.checks)).toBe(1);
    const sizeless = await verify(w, 1, original, { expected: { sha256: null, sizeBytes: null } });
    expect(gradeReached(sizeless.checks)).toBeNull();
  });
});

describe("an archive with an index", () => {
  const packed = async (options: Parameters<typeof packIndexed>[1] = {}) => {
    const w = world();
    writeFileSync(join(w.source, "a"), "content of a");
    writeFileSync(join(w.source, "b"), "content of b");
    mkdirSync(join(w.source, "folder"));
    symlinkSync("a", join(w.source, "soft"));
    const artifact = await packIndexed(w.source, options);
    w.storage.objects.set(key, artifact.bytes);
    return { w, ...artifact };
  };
  type Entry = Awaited<ReturnType<typeof packIndexed>>["entries"][number];
  const changed = (name: string, how: (entry: Entry) => Partial<Entry>) =>
    packed({
      change: (index) => {
        index.entries = index.entries.map((entry) =>
          entry.path.toString().endsWith(name) ? { ...entry, ...how(entry) } : entry,
        );
      },
    });

  test("passes every grade, and is compared with what the index says", async () => {
    const { w, bytes, archiveIndex } = await packed();
    const report = await verify(w, 4, bytes, { archiveIndex });
    expect(gradeReached(report.checks), JSON.stringify(report)).toBe(4);
    expect(report.checks[2]?.detail).toMatch(/5 entries, 24 bytes, as its index has them$/);
  });

  test.each<[string, string, (entry: Entry) => Partial<Entry>]>([
    ["mode", "has another mode", () => ({ mode: 0o4755 })],
    ["owner", "has another uid", ({ uid }) => ({ uid: uid + 1 })],
    ["time", "has another mtimeNs", ({ mtimeNs }) => ({ mtimeNs: mtimeNs + 1_000_000n })],
    ["size", "has another size", ({ size }) => ({ size: size + 1 })],
    ["content", "has another content", () => ({ sum: sumFromBits(7, true) })],
    [
      "name",
      "is in the archive where its index has",
      ({ path }) => ({ path: Buffer.concat([path, Buffer.from("x")]) }),
    ],
  ])("whose index lies of the %s of a file is damaged, at the third grade", async (_what, words, how) => {
    const { w, bytes, archiveIndex } = await changed("/a", how);
    const report = await verify(w, 4, bytes, { archiveIndex });
    expect(brief(report)).toEqual(["1 size passed", "2 sha256 passed", "3 archive damaged"]);
    expect(damage(report)[0]).toContain(`/a ${words}`);
  });

  test("that has other entries than its index is damaged", async () => {
    const fewer = await packed({ change: (index) => void index.entries.pop() });
    const report = await verify(fewer.w, 3, fewer.bytes, { archiveIndex: fewer.archiveIndex });
    expect(damage(report)[0]).toMatch(/is in the archive and not in its index/);
  });

  test("that is not the recorded one is damaged", async () => {
    const { w, bytes, archiveIndex } = await packed();
    const report = await verify(w, 3, bytes, {
      archiveIndex: { ...archiveIndex, sha256: "0".repeat(64) },
    });
    expect(damage(report)).toEqual(["3 the backup is damaged: its index is not the one that was recorded"]);
  });
});

test("an archive whose index is of a newer agent's format is not called damaged", async () => {
  const w = world();
  writeFileSync(join(w.source, "a"), "content");
  const { bytes, archiveIndex } = await packIndexed(w.source);
  const newer = Buffer.from(bytes);
  newer.writeUInt32LE(7, newer.length - 12);
  w.storage.objects.set(key, newer);
  const index = newer.subarray(archiveIndex.offsetBytes);
  const report = await verify(w, 4, newer, { archiveIndex: { ...archiveIndex, sha256: sha256(index) } });
  const words =
    "this backup was made by a newer agent: its index is of the format 7, and this agent knows up to 6; update this one";
  expect(gradeReached(report.checks)).toBe(2);
  expect(report.checks.at(-1)).toMatchObject({ outcome: "not_checked", detail: words });
  await expect(w.restore({ expected: { sha256: sha256(newer), sizeBytes: newer.length } })).rejects.toThrow(
    words,
  );
});

describe("a differential backup", () => {
  type Change = { entries: IndexEntry[]; deleted: Buffer[] };
  async function differential(change: (index: Change) => void = () => {}, ofFull?: typeof withOlderSums) {
    const w = world();
    writeFileSync(join(w.source, "old"), "it stays");
    writeFileSync(join(w.source, "gone"), "it goes");
    const full = await packIndexed(w.source, ofFull ? { change: ofFull } : {});
    rmSync(join(w.source, "gone"));
    writeFileSync(join(w.source, "new"), "it comes");
    const base = { index: { recordId: 1, sha256: full.sha256 }, entries: full.entries };
    const own = await packIndexed(w.source, { base, change });
    w.storage.objects.set("base", full.bytes);
    w.storage.objects.set(key, own.bytes);
    const stored = {
      storage: w.storage,
      key: "base",
      expected: { sha256: full.sha256, sizeBytes: full.bytes.length },
      archiveIndex: full.archiveIndex,
    };
    return { w, own, full, base: stored };
  }

  test("is restored together with its base and compared with everything that it lists", async () => {
    const { w, own, base } = await differential();
    const report = await verify(w, 4, own.bytes, { archiveIndex: own.archiveIndex, base });
    expect(gradeReached(report.checks), JSON.stringify(report)).toBe(4);
    expect(report.checks[2]?.detail).toMatch(/1 more are in its full backup/);
    expect(report.checks[3]?.detail).toMatch(/all 3 entries/);
  });

  test("is compared by the sums of an older agent where its full one has them", async () => {
    const keepOlder = ({ entries }: { entries: IndexEntry[] }) => {
      for (const entry of entries) if (entry.path.toString().endsWith("/old")) entry.sum = crc32("it stays");
    };
    const sound = await differential(keepOlder, withOlderSums);
    const { archiveIndex } = sound.own;
    const report = await verify(sound.w, 4, sound.own.bytes, { archiveIndex, base: sound.base });
    expect(gradeReached(report.checks), JSON.stringify(report)).toBe(4);
    const other = await differential(({ entries }) => {
      for (const entry of entries) if (entry.path.toString().endsWith("/old")) entry.sum = crc32("it is not");
    }, withOlderSums);
    const unlike = await verify(other.w, 4, other.own.bytes, {
      archiveIndex: other.own.archiveIndex,
      base: other.base,
    });
    expect(gradeReached(unlike.checks)).toBe(3);
  });

  test("of which a restore gives something else than it lists has reached the third grade, and says what", async () => {
    const { w, own, base } = await differential(({ entries }) => {
      const old = entries.find(({ path }) => path.toString().endsWith("/old"));
      if (old) old.mode = 0o640;
    });
    const report = await verify(w, 4, own.bytes, { archiveIndex: own.archiveIndex, base });
    expect(gradeReached(report.checks)).toBe(3);
    expect(report.differences).toEqual([
      { path: `${w.source}/old`, reason: expect.stringMatching(/^its mode is \d+, not 640$/) },
    ]);
    expect(damage(report)[0]).toMatch(/^4 restored, one thing differs: /);
  });

  test("whose list of what is gone is another than its index's is damaged", async () => {
    const { w, own, base } = await differential((index) => {
      index.deleted = [];
    });
    const report = await verify(w, 4, own.bytes, { archiveIndex: own.archiveIndex, base });
    expect(damage(report)).toEqual([
      "3 the backup is damaged: /.backupx-deleted has another content in the archive than in its index",
    ]);
  });

  test("whose base is damaged or missing is told so at the fourth grade", async () => {
    const { w, own, full, base } = await differential();
    const alone = await verify(w, 4, own.bytes, { archiveIndex: own.archiveIndex });
    expect(brief(alone).at(-1)).toBe("4 restore not_checked");
    w.storage.objects.set("base", flip(40)(Buffer.from(full.bytes)));
    const report = await verify(w, 4, own.bytes, { archiveIndex: own.archiveIndex, base });
    expect(gradeReached(report.checks)).toBe(3);
    expect(damage(report)[0]).toMatch(/^4 the backup is damaged: /);
  });
});

describe("SQLite", () => {
  function database(path: string, rows: number): void {
    const db = new DatabaseSync(path);
    db.exec(
      "create table t (i integer primary key, text text); create index x on t (text); create table u (a)",
    );
    const insert = db.prepare("insert into t (text) values (?)");
    for (let i = 0; i < rows; i += 1) insert.run(`row ${i}`.repeat(20));
    db.close();
  }
  async function backedUpDatabases(names: string[]) {
    const w = world();
    const paths = names.map((name) => join(w.source, name));
    for (const path of paths) database(path, 500);
    const source = { type: "sqlite" as const, paths };
    const pipeline = { compression: "none" as const, level: null };
    await w.backup({ source, pipeline });
    const check = (grade: Grade) => verify(w, grade, Buffer.from(stored(w)), { source, compression: "none" });
    return { w, paths, check };
  }

  test.each([[["one.db"]], [["one.db", "two.db"]]])("%j passes every grade", async (names) => {
    const { check } = await backedUpDatabases(names);
    const report = await check(4);
    expect(gradeReached(report.checks), JSON.stringify(report)).toBe(4);
    expect(report.checks.filter(({ grade }) => grade === 3)).toHaveLength(names.length);
    const restored = report.checks.filter(({ grade }) => grade === 4);
    expect(restored).toHaveLength(names.length);
    for (const { detail } of restored) expect(detail).toMatch(/2 tables and 500 rows/);
  });

  test.each([[["one.db"]], [["one.db", "two.db"]]])(
    "%j with a page that was damaged before it was hashed fails the integrity check",
    async (names) => {
      const { w, check } = await backedUpDatabases(names);
      change(w, (bytes) => bytes.fill(0xff, bytes.length - 20_000, bytes.length - 15_000));
      const report = await check(4);
      expect(gradeReached(report.checks)).toBe(2);
      expect(damage(report)[0]).toMatch(/^3 .*failed SQLite's integrity check: /);
      expect(brief(report).filter((line) => line.startsWith("4"))).toEqual([]);
    },
  );
});

describe("the comparison of a restored tree", () => {
  const told = async (w: World, spoil: (root: string) => void) => {
    const artifact = await packIndexed(w.source);
    const root = join(w.root, "restored");
    cpSync(w.source, join(root, w.source), {
      recursive: true,
      preserveTimestamps: true,
      verbatimSymlinks: true,
    });
    for (const entry of artifact.entries) {
      const at = join(root, entry.path.toString());
      if (entry.type !== "symlink") chmodSync(at, entry.mode);
      const seconds = Number(entry.mtimeNs) / 1e9;
      if (entry.type === "symlink") lutimesSync(at, seconds, seconds);
    }
    spoil(join(root, w.source));
    for (const { path, type, mtimeNs } of artifact.entries.toReversed()) {
      const seconds = Number(mtimeNs) / 1e9;
      const at = join(root, path.toString());
      if (type === "directory") utimesSync(at, seconds, seconds);
    }
    const found: string[] = [];
    const { index } = decode(artifact);
    await compareTree(listedIn(index), {
      root,
      signal: new AbortController().signal,
      onEntry: () => {},
      onDifference: (path, reason) => void found.push(`${path.slice(w.source.length)} ${reason}`),
    });
    return found;
  };
  const decode = ({
    bytes,
    archiveIndex: { offsetBytes, sizeBytes },
  }: Awaited<ReturnType<typeof packIndexed>>) => ({
    index: decodeArchiveIndex(bytes.subarray(offsetBytes, offsetBytes + sizeBytes)),
  });
  const aTree = () => {
    const w = world();
    mkdirSync(join(w.source, "folder"));
    writeFileSync(join(w.source, "folder/file"), "content");
    symlinkSync("file", join(w.source, "folder/soft"));
    return w;
  };

  test.each<[string, (root: string) => void, RegExp]>([
    [
      "content",
      (root) => rewrite(join(root, "folder/file"), "CONTENT"),
      /^\/folder\/file its content is another one$/,
    ],
    ["size", (root) => rewrite(join(root, "folder/file"), "more than that"), /has 14 bytes, not 7$/],
    ["mode", (root) => chmodSync(join(root, "folder/file"), 0o600), /file its mode is 600, not/],
    [
      "time",
      (root) => utimesSync(join(root, "folder/file"), 1, 1),
      /file its time is 1970-01-01T00:00:01.000Z, not/,
    ],
    ["missing file", (root) => rmSync(join(root, "folder/file")), /file it is missing$/],
    [
      "extra file",
      (root) => writeFileSync(join(root, "folder/x"), ""),
      /^\/folder 1 more than the 2 of the backup/,
    ],
    [
      "link's target",
      (root) => {
        rmSync(join(root, "folder/soft"));
        symlinkSync("other", join(root, "folder/soft"));
      },
      /soft it leads to other, not to file/,
    ],
    [
      "kind",
      (root) => {
        rmSync(join(root, "folder/file"));
        mkdirSync(join(root, "folder/file"));
      },
      /file it is a directory, not a file$/,
    ],
  ])("finds another %s", async (_what, spoil, words) => {
    expect(await told(aTree(), () => {})).toEqual([]);
    const found = await told(aTree(), spoil);
    expect(
      found.some((line) => words.test(line)),
      found.join("\n"),
    ).toBe(true);
  });
});

/** Another content with the same attributes. */
function rewrite(path: string, content: string): void {
  const { atimeMs, mtimeMs } = statSync(path);
  writeFileSync(path, content);
  utimesSync(path, atimeMs / 1000, mtimeMs / 1000);
}

test.runIf(isRoot)(
  "a work directory without room keeps the third grade, in words, and says nothing against the backup (tmpfs)",
  async () => {
    const { w, original } = await backedUp();
    const workDir = join(w.root, "small");
    mkdirSync(workDir);
    run("mount", ["-t", "tmpfs", "-o", "size=16m", "tmpfs", workDir]);
    try {
      const report = await verify(w, 4, original, { workDir });
      expect(gradeReached(report.checks)).toBe(3);
      expect(report.checks.at(-1)).toMatchObject({
        grade: 4,
        outcome: "not_checked",
        detail: expect.stringMatching(
          /^restoring it takes \d+ MiB and 256 MiB to spare, .* has room for 16 MiB$/,
        ),
      });
      expect(readdirSync(workDir)).toEqual([]);
    } finally {
      run("umount", [workDir]);
    }
  },
);

test("a storage that cannot be asked is an error and no finding", async () => {
  const { w, original } = await backedUp();
  const storage = { ...w.storage, stat: () => Promise.reject(new Error("cannot reach it")) };
  await expect(verify(w, 1, original, { storage })).rejects.toThrow("cannot reach it");
});

test("it stops soon when it is cancelled, with the reason", async () => {
  const { w, original } = await backedUp();
  const stop = new AbortController();
  stop.abort(new Error("cancelled"));
  await expect(verify(w, 4, original, { signal: stop.signal })).rejects.toThrow("cancelled");
});
