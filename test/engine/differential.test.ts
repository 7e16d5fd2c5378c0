import {
  appendFileSync,
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { afterEach, describe, expect, it, vi } from "vitest";
import { decodeArchiveIndex } from "../../agent-cli/pipeline/archive-index.ts";
import { isXxh64 } from "../../agent-cli/pipeline/file-sum.ts";
import type { BackupJob, BackupResult, Base } from "../../agent-cli/pipeline/pipeline.ts";
import { memoryStorage } from "../fakes/memory-storage.ts";
import { testWith } from "../needs.ts";
import { packIndexed, withOlderSums } from "./indexed-archive.ts";
import { expectSameTree, isRoot, run, scratch, target, world } from "./world.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

type World = ReturnType<typeof world>;

/** What has just been written is read again by the next run; by this clock, nothing has. */
async function letTimePass(): Promise<void> {
  await sleep(40);
  const now = Date.now() + 60_000;
  vi.spyOn(Date, "now").mockImplementation(() => now);
}

/** A full backup in a storage of its own, and its index as the agent keeps it. */
async function fullOf(w: World, change: Partial<BackupJob> = {}) {
  await letTimePass();
  const storage = memoryStorage();
  let index: Buffer | null = null;
  const onIndex = (bytes: Uint8Array) => {
    index = Buffer.from(bytes);
  };
  const result = await w.backup({ targets: [target(1, storage)], onIndex, ...change });
  vi.restoreAllMocks();
  await sleep(40);
  if (!index) throw new Error("it has no index");
  const base: Base = { recordId: 7, sha256: result.sha256, index: decodeArchiveIndex(index) };
  return { base, storage, result };
}
type Full = Pick<Awaited<ReturnType<typeof fullOf>>, "base" | "storage"> & {
  result: Pick<BackupResult, "sha256" | "sizeBytes">;
};

async function differential(w: World, full: Full, change: Partial<BackupJob> = {}) {
  const storage = memoryStorage();
  let index: Buffer | null = null;
  const onIndex = (bytes: Uint8Array) => {
    index = Buffer.from(bytes);
  };
  const result = await w.backup({ targets: [target(1, storage)], base: full.base, onIndex, ...change });
  const names = (paths: Iterable<{ path: Buffer; tarOffset: number }>) =>
    [...paths].filter(({ tarOffset }) => tarOffset >= 0).map(({ path }) => short(w, path));
  const made = decodeArchiveIndex(index as unknown as Buffer);
  return {
    storage,
    result,
    index: made,
    packed: names(made.entries),
    deleted: made.deleted.map((path) => short(w, path)),
  };
}

const short = (w: World, path: Buffer) => path.toString().slice(w.source.length + 1) || ".";

const restoreBoth = (w: World, full: Full, made: Awaited<ReturnType<typeof differential>>, change = {}) =>
  w.restore({
    storage: made.storage,
    expected: { sha256: made.result.sha256, sizeBytes: made.result.sizeBytes },
    base: {
      storage: full.storage,
      key: "artifact",
      expected: { sha256: full.result.sha256, sizeBytes: full.result.sizeBytes },
    },
    ...change,
  });

function makeTree(w: World): (path: string) => string {
  const at = (path: string) => join(w.source, path);
  for (const folder of ["docs/deep", "pics", "to-rename/below", "empty", "odd\nname", "ünïcode"]) {
    mkdirSync(at(folder), { recursive: true });
  }
  const files = ["a", "docs/1", "docs/2", "docs/deep/3", "pics/p", "to-rename/1", "to-rename/below/2"];
  for (const path of [...files, "odd\nname/x\ny", "ünïcode/ß", "becomes-dir", "becomes-link", "same"]) {
    writeFileSync(at(path), `content of ${path}`);
  }
  mkdirSync(at("becomes-file/below"), { recursive: true });
  writeFileSync(at("becomes-file/below/1"), "1");
  symlinkSync("docs", at("link"));
  writeFileSync(at("linked"), "one content, two names");
  linkSync(at("linked"), at("docs/linked-too"));
  writeFileSync(at("large"), Buffer.alloc(6_000_000, "large "));
  writeFileSync(at("sparse"), "begin");
  truncateSync(at("sparse"), 20_000_000);
  return at;
}

describe("a differential backup", () => {
  it("of a tree that is as it was reads and stores nothing of it, and restores all", async () => {
    const w = world();
    makeTree(w);
    const full = await fullOf(w);
    const made = await differential(w, full);
    expect(made.packed).toEqual([]);
    expect(made.result).toMatchObject({ sourceBytes: 0, entries: full.result.entries, warningCount: 0 });
    expect(made.result.sizeBytes).toBeLessThan(5_000);
    expect(made.index.base).toEqual({ recordId: 7, sha256: full.result.sha256 });
    await restoreBoth(w, full, made);
    expectSameTree(w.restored(), w.source);
  });

  it("restores what is there now, byte for byte, whatever has happened to it", async () => {
    const w = world();
    const at = makeTree(w);
    const full = await fullOf(w);
    writeFileSync(at("docs/new"), "new");
    writeFileSync(at("docs/1"), "CONTENT OF docs/1");
    const { atime, mtime } = lstatSync(at("same"));
    writeFileSync(at("same"), "CONTENT OF same");
    utimesSync(at("same"), atime, mtime);
    rmSync(at("docs/2"));
    rmSync(at("pics"), { recursive: true });
    renameSync(at("to-rename"), at("renamed"));
    rmSync(at("becomes-dir"));
    mkdirSync(at("becomes-dir/with"), { recursive: true });
    writeFileSync(at("becomes-dir/with/1"), "1");
    rmSync(at("becomes-file"), { recursive: true });
    writeFileSync(at("becomes-file"), "a file");
    rmSync(at("becomes-link"));
    symlinkSync("a", at("becomes-link"));
    chmodSync(at("a"), 0o600);
    chmodSync(at("empty"), 0o700);
    linkSync(at("docs/deep/3"), at("docs/deep/3-too"));
    rmSync(at("linked"));
    rmSync(at("link"));
    symlinkSync("elsewhere", at("link"));
    appendFileSync(at("large"), "and larger");
    writeFileSync(at("odd\nname/new\n"), "");
    writeFileSync(at("ünïcode/ä"), "ä");
    const made = await differential(w, full);
    expect(made.deleted).toEqual(["becomes-dir", "becomes-file", "docs/2", "linked", "pics", "to-rename"]);
    expect(made.packed).not.toContain("sparse");
    await restoreBoth(w, full, made);
    expectSameTree(w.restored(), w.source);
  });

  it("is compared with the full backup each time: the second holds what the first held", async () => {
    const w = world();
    const at = makeTree(w);
    const full = await fullOf(w);
    writeFileSync(at("first"), "1");
    expect((await differential(w, full)).packed).toEqual([".", "first"]);
    writeFileSync(at("docs/second"), "2");
    const second = await differential(w, full);
    expect(second.packed).toEqual([".", "docs", "docs/second", "first"]);
    await restoreBoth(w, full, second);
    expectSameTree(w.restored(), w.source);
  });

  it("restores hard links whose first name has gone with its directory", async () => {
    const w = world();
    const at = makeTree(w);
    mkdirSync(at("b"));
    linkSync(at("to-rename/1"), at("zz"));
    linkSync(at("to-rename/1"), at("docs/zz"));
    const full = await fullOf(w);
    renameSync(at("to-rename"), at("b/moved"));
    await restoreBoth(w, full, await differential(w, full));
    expectSameTree(w.restored(), w.source);
    rmSync(w.destination, { recursive: true });
    renameSync(at("docs"), at("zzz"));
    await restoreBoth(w, full, await differential(w, full));
    expectSameTree(w.restored(), w.source);
  });

  it("restores hard links that are as they were, of a file and within what was packed anew", async () => {
    const w = world();
    const at = makeTree(w);
    const full = await fullOf(w);
    writeFileSync(at("n1"), "new");
    linkSync(at("n1"), at("docs/n2"));
    const made = await differential(w, full);
    expect(made.packed).toEqual([".", "docs", "docs/n2", "n1"]);
    await restoreBoth(w, full, made);
    expectSameTree(w.restored(), w.source);
  });

  it("reads again what was written while, or just before, its base was made", async () => {
    const w = world();
    writeFileSync(join(w.source, "hot"), "hot");
    const storage = memoryStorage();
    let index: Buffer | null = null;
    const onIndex = (bytes: Uint8Array) => {
      index = Buffer.from(bytes);
    };
    const result = await w.backup({ targets: [target(1, storage)], onIndex });
    const base = {
      recordId: 7,
      sha256: result.sha256,
      index: decodeArchiveIndex(index as unknown as Buffer),
    };
    expect((await differential(w, { base, storage, result })).packed).toEqual([".", "hot"]);
  });

  it("looks again at what its base could not read", { skip: isRoot }, async () => {
    const w = world();
    const at = makeTree(w);
    chmodSync(at("docs/deep/3"), 0);
    const full = await fullOf(w);
    const made = await differential(w, full);
    expect(made.result.warnings.map(({ path }) => path)).toEqual([at("docs/deep/3")]);
  });

  it("looks again at what its base left out with a warning, in a directory that has not changed", async () => {
    const w = world();
    makeTree(w);
    const { createServer } = await import("node:net");
    const server = createServer();
    await new Promise<void>((done) => server.listen(join(w.source, "docs/socket"), done));
    const full = await fullOf(w);
    const made = await differential(w, full);
    server.close();
    expect(full.result.warnings.map(({ reason }) => reason)).toEqual(["skipped: it is a socket"]);
    expect(made.result.warnings).toEqual(full.result.warnings);
    expect(made.packed).toEqual([]);
  });

  it("says so when its base is not where it was", async () => {
    const w = world();
    makeTree(w);
    const full = await fullOf(w);
    const made = await differential(w, full);
    full.storage.objects.clear();
    await expect(restoreBoth(w, full, made)).rejects.toThrow(/artifact/);
    await expect(restoreBoth(w, full, made, { base: null })).rejects.toThrow(/differential|base|full backup/);
  });

  it("of an encrypted base is encrypted and restored in the same way", async () => {
    const w = world();
    const at = makeTree(w);
    const identity = await generateX25519Identity();
    const encryption = { recipients: [await identityToRecipient(identity)] };
    const pipeline = { compression: "zstd" as const, level: null, encryption };
    const full = await fullOf(w, { pipeline });
    writeFileSync(at("docs/1"), "CONTENT OF docs/1");
    const made = await differential(w, full, { pipeline });
    expect(made.packed).toEqual(["docs/1"]);
    const identities = { keys: [identity], origin: "the test", readableByOthers: false };
    await restoreBoth(w, full, made, {
      identities,
      base: {
        storage: full.storage,
        key: "artifact",
        expected: { sha256: full.result.sha256, sizeBytes: full.result.sizeBytes },
        identities,
      },
    });
    expectSameTree(w.restored(), w.source);
  });

  it("takes segments of a large base as they are, and merges those in which something has changed", async () => {
    const w = world();
    const at = (path: string) => join(w.source, path);
    for (let d = 0; d < 10; d += 1) {
      mkdirSync(at(`dir/${d}`), { recursive: true });
      for (let f = 0; f < 900; f += 1) writeFileSync(at(`dir/${d}/${f}`), `${d} ${f}`);
    }
    const full = await fullOf(w);
    writeFileSync(at("dir/7/400"), "changed");
    rmSync(at("dir/8/3"));
    writeFileSync(at("last"), "last");
    const made = await differential(w, full);
    expect(made.packed).toEqual([".", "dir/7/400", "dir/8", "last"]);
    expect(made.deleted).toEqual(["dir/8/3"]);
    expect(made.result.entries).toBe(full.result.entries);
    await restoreBoth(w, full, made);
    expectSameTree(w.restored(), w.source);
  });

  it("stands on a full one whose sums are an older agent's", async () => {
    const w = world();
    const at = (name: string) => join(w.source, name);
    for (const name of ["changes", "stays", "goes"]) writeFileSync(at(name), `content of ${name}`);
    const full = await packIndexed(w.source, { change: withOlderSums });
    const storage = memoryStorage();
    storage.objects.set("artifact", full.bytes);
    const index = decodeArchiveIndex(full.bytes.subarray(full.archiveIndex.offsetBytes));
    const result = { sha256: full.sha256, sizeBytes: full.bytes.length };
    writeFileSync(at("changes"), "another content");
    rmSync(at("goes"));
    await letTimePass();
    const older = { base: { recordId: 7, sha256: full.sha256, index }, storage, result };
    const made = await differential(w, older);
    expect(made.packed).toEqual([".", "changes"]);
    const sums = [...made.index.entries].map(({ sum }) => sum !== null && isXxh64(sum));
    expect(sums).toEqual([false, true, false]);
    await restoreBoth(w, older, made);
    expectSameTree(w.restored(), w.source);
  });

  testWith(["zstd", "tar"], "can be restored with zstd and tar alone", async () => {
    const w = world();
    const at = makeTree(w);
    const full = await fullOf(w);
    rmSync(at("docs/2"));
    rmSync(at("odd\nname"), { recursive: true });
    rmSync(at("becomes-file"), { recursive: true });
    writeFileSync(at("becomes-file"), "a file");
    rmSync(at("becomes-dir"));
    mkdirSync(at("becomes-dir"));
    writeFileSync(at("docs/1"), "changed");
    chmodSync(at("docs"), 0o755);
    const made = await differential(w, full);
    const back = scratch();
    const folder = scratch();
    writeFileSync(join(folder, "full.tar.zst"), full.storage.objects.get("artifact") as Buffer);
    writeFileSync(join(folder, "differential.tar.zst"), made.storage.objects.get("artifact") as Buffer);
    const script = `set -e
      cd "$1"
      zstd -dc "$2/full.tar.zst" | tar -xp
      zstd -dc "$2/differential.tar.zst" | tar -xO .backupx-deleted | xargs -0 -r rm -rf --
      zstd -dc "$2/differential.tar.zst" | tar -xp --exclude .backupx-deleted`;
    run("sh", ["-c", script, "sh", back, folder]);
    // What tar unlinks and writes anew changes the time of an unchanged directory.
    expectSameTree(join(back, w.source), w.source, 10n ** 18n);
    expect(readFileSync(join(back, w.source, "docs/1"), "utf8")).toBe("changed");
  });
});
