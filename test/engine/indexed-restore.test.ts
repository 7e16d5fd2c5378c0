import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { describe, expect, it, test } from "vitest";
import { DamagedArtifact } from "../../agent-cli/pipeline/damaged.ts";
import { sumFromBits } from "../../agent-cli/pipeline/file-sum.ts";
import type { StoredArtifact } from "../../agent-cli/pipeline/pipeline.ts";
import { localDisk } from "../../agent-cli/storage/local-disk.ts";
import type { GetOptions } from "../../agent-cli/storage/storage.ts";
import type { MemoryStorage } from "../fakes/memory-storage.ts";
import { type Packed, packIndexed } from "./indexed-archive.ts";
import { expectSameTree, key, world } from "./world.ts";

/** Content that does not compress, the same for the same seed. */
function noise(size: number, seed: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = seed + 1;
  for (let i = 0; i < size; i += 1) {
    state = (state * 48_271) % 2_147_483_647;
    bytes[i] = state >> 8;
  }
  return bytes;
}

function makeTree(source: string, files: number): void {
  for (let i = 0; i < files; i += 1) {
    const folder = join(source, `folder-${Math.floor(i / 50)}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `file-${i}`), noise((i * 137) % 9000, i), { mode: 0o600 + (i % 8) });
  }
  writeFileSync(join(source, "large"), noise(700_000, 7));
  linkSync(join(source, "large"), join(source, "large-too"));
  symlinkSync("large", join(source, "symbolic"));
  writeFileSync(join(source, "empty"), "");
  mkdirSync(join(source, "nothing"), { mode: 0o700 });
  utimesSync(join(source, "nothing"), 1_600_000_000, 1_600_000_000);
}

/** The storage, and how many bytes were asked of it. */
function counting(storage: MemoryStorage) {
  const counted = { bytes: 0 };
  const get: MemoryStorage["get"] = async (...args) => {
    const stream = await storage.get(...args);
    async function* through() {
      for await (const chunk of stream) {
        counted.bytes += chunk.length;
        yield chunk;
      }
    }
    return through();
  };
  return { counted, storage: { ...storage, get } };
}

const known = ({ bytes, sha256, archiveIndex }: Packed) => ({
  expected: { sha256, sizeBytes: bytes.length },
  archiveIndex,
});

const keys = async () => {
  const identity = await generateX25519Identity();
  const recipient = await identityToRecipient(identity);
  return { recipient, identities: { origin: "test", keys: [identity], readableByOthers: false } };
};

describe.each([false, true])("an archive with an index (encrypted: %s)", (locked) => {
  const prepared = async (files: number, frameBytes = 64 * 1024) => {
    const w = world();
    makeTree(w.source, files);
    const { recipient, identities } = locked ? await keys() : { recipient: null, identities: null };
    const recipients = recipient ? { recipients: [recipient] } : {};
    const packed = await packIndexed(w.source, { frameBytes, ...recipients });
    w.storage.objects.set(key, packed.bytes);
    return { ...w, packed, job: { ...known(packed), identities } };
  };

  it("restores whole, as it was", async () => {
    const { source, restored, restore, job } = await prepared(300);
    const { entries, warningCount } = await restore(job);
    expectSameTree(restored(), source);
    expect({ entries, warningCount }).toEqual({ entries: 300 + 6 + 6, warningCount: 0 });
  });

  it("restores whole with threads, whatever the frames' size", async () => {
    for (const frameBytes of [64 * 1024, 1024 * 1024]) {
      const { source, restored, restore, job } = await prepared(1200, frameBytes);
      await restore(job);
      expectSameTree(restored(), source);
    }
  });

  it("fetches for selected paths only what holds them", async () => {
    const { source, restored, restore, job, packed, storage } = await prepared(600);
    const wanted = [join(source, "folder-3"), join(source, "folder-9", "file-473"), join(source, "symbolic")];
    const { counted, storage: observed } = counting(storage);
    await restore({ ...job, storage: observed, selectedPaths: wanted });
    expect(readdirSync(restored()).sort()).toEqual(["folder-3", "folder-9", "symbolic"]);
    expect(readdirSync(join(restored(), "folder-3")).length).toBe(50);
    expect(readdirSync(join(restored(), "folder-9"))).toEqual(["file-473"]);
    const name = join("folder-9", "file-473");
    expect(readFileSync(join(restored(), name)).equals(readFileSync(join(source, name)))).toBe(true);
    expect(counted.bytes).toBeLessThan(packed.bytes.length / 4);
  });

  it("brings the content of a hard link along, from wherever it is", async () => {
    const { source, restored, restore, job } = await prepared(60);
    await restore({ ...job, selectedPaths: [join(source, "large-too")] });
    expect(readdirSync(restored())).toEqual(["large-too"]);
    expect(readFileSync(join(restored(), "large-too")).equals(noise(700_000, 7))).toBe(true);
  });

  it("names what is not in it, and writes nothing", async () => {
    const { destination, restore, job } = await prepared(5);
    await expect(restore({ ...job, selectedPaths: ["/not/there"] })).rejects.toThrow(
      "not in this backup: /not/there",
    );
    expect(existsSync(destination)).toBe(false);
  });

  it("keeps, overwrites or refuses what exists", async () => {
    const { source, restored, restore, job, logs } = await prepared(60);
    mkdirSync(join(restored(), "folder-0"), { recursive: true });
    const mine = join(restored(), "folder-0", "file-7");
    writeFileSync(mine, "mine");
    await expect(restore(job)).rejects.toThrow(`would replace what exists: ${mine}`);
    expect(readdirSync(restored())).toEqual(["folder-0"]);
    await restore({ ...job, conflict: "keep" });
    expect(readFileSync(mine, "utf8")).toBe("mine");
    expect(logs).toContain("1 existing files were kept as they are");
    await restore({ ...job, conflict: "overwrite" });
    expectSameTree(restored(), source);
  });

  it("is refused before anything is written when a byte of it is flipped, wherever", async () => {
    const { destination, restore, job, packed, storage } = await prepared(60);
    for (let at = 0; at < packed.bytes.length; at += Math.floor(packed.bytes.length / 23)) {
      const bad = Buffer.from(packed.bytes);
      bad[at] = (bad[at] as number) ^ 0x10;
      storage.objects.set(key, bad);
      await expect(restore(job), `byte ${at}`).rejects.toThrow(/the backup is damaged|no identity/);
      await expect(
        restore({ ...job, expected: { sha256: null, sizeBytes: null } }),
        `byte ${at}, no hash`,
      ).rejects.toThrow(/the backup is damaged|no identity/);
      expect(existsSync(destination)).toBe(false);
    }
  });

  it("never gives a damaged file its name when it is fetched alone", async () => {
    const { source, restored, restore, job, packed, storage } = await prepared(60);
    const entry = packed.entries.find(({ path }) => path.toString().endsWith("file-31"));
    const bad = Buffer.from(packed.bytes);
    // Somewhere in the middle of the small files' frames.
    for (let at = 20_000; at < 200_000; at += 1000) bad[at] = (bad[at] as number) ^ 0x40;
    storage.objects.set(key, bad);
    const path = entry?.path.toString() as string;
    await expect(restore({ ...job, selectedPaths: [path] })).rejects.toThrow(DamagedArtifact);
    const folder = join(restored(), "folder-0");
    expect(existsSync(folder) ? readdirSync(folder) : []).toEqual([]);
    expect(lstatSync(join(source, "folder-0", "file-31")).isFile()).toBe(true);
  });
});

test("an index other than the recorded one is refused", async () => {
  const { source, storage, destination, restore } = world();
  makeTree(source, 20);
  const packed = await packIndexed(source);
  const other = await packIndexed(source, { frameBytes: 32 * 1024 });
  storage.objects.set(key, other.bytes);
  const selectedPaths = [join(source, "empty")];
  const { archiveIndex } = packed;
  await expect(restore({ selectedPaths, archiveIndex })).rejects.toThrow(
    "its index is not the one that was recorded",
  );
  expect(existsSync(destination)).toBe(false);
});

test("content that is not what the index has the checksum of does not take its place, threads or not", async () => {
  for (const files of [40, 1500]) {
    const { source, storage, restored, restore } = world();
    makeTree(source, files);
    const packed = await packIndexed(source, {
      change: ({ entries }) => {
        const victim = entries.find(({ path }) => path.toString().endsWith("file-33"));
        if (victim) victim.sum = sumFromBits(1, true);
      },
    });
    storage.objects.set(key, packed.bytes);
    await expect(restore(known(packed))).rejects.toThrow(
      `the content of ${join(restored(), "folder-0", "file-33")} is not what was backed up`,
    );
    const names = readdirSync(join(restored(), "folder-0"));
    expect(names).not.toContain("file-33");
    expect(names.filter((name) => name.startsWith(".backupx"))).toEqual([]);
  }
});

test("a file that a killed restore left unfinished is nobody's: it is replaced whatever the policy", async () => {
  for (const conflict of ["fail", "keep"] as const) {
    const { source, storage, restored, restore } = world();
    makeTree(source, 60);
    const packed = await packIndexed(source);
    storage.objects.set(key, packed.bytes);
    const left = join(restored(), "folder-0", "file-7");
    mkdirSync(join(restored(), "folder-0"), { recursive: true });
    writeFileSync(left, "half");
    chmodSync(left, 0o1200);
    const { outcome } = await restore({ ...known(packed), conflict, dryRun: true });
    expect([outcome?.refuse.entries, outcome?.overwrite.entries]).toEqual([0, 0]);
    await restore({ ...known(packed), conflict });
    expect(readFileSync(left)).toEqual(readFileSync(join(source, "folder-0", "file-7")));
    expect(readdirSync(join(restored(), "folder-0"))).toEqual(readdirSync(join(source, "folder-0")));
  }
});

describe("an artifact in a file of this machine", () => {
  const prepared = async () => {
    const w = world();
    makeTree(w.source, 1100);
    writeFileSync(join(w.source, "noise"), randomBytes(34 * 1024 * 1024));
    const packed = await packIndexed(w.source, { frameBytes: 2 * 1024 * 1024 });
    const place = join(w.root, key);
    writeFileSync(place, packed.bytes);
    const storage = localDisk({ path: w.root });
    return { ...w, place, job: { ...known(packed), storage, nearby: true } };
  };

  it("is proven in a thread, and read where it lies", async () => {
    const { source, restored, restore, job } = await prepared();
    const { get } = job.storage;
    const onlyItsEnd = (name: string, options: GetOptions) =>
      options.range?.offset ? get(name, options) : Promise.reject(new Error("it was asked for otherwise"));
    await restore({ ...job, storage: { ...job.storage, get: onlyItsEnd } });
    expectSameTree(restored(), source);
  });

  it("is refused before anything is written when a byte of it is flipped", async () => {
    const { destination, restore, job, place } = await prepared();
    const bytes = readFileSync(place);
    bytes[20_000_000] = (bytes[20_000_000] as number) ^ 1;
    writeFileSync(place, bytes);
    await expect(restore(job)).rejects.toThrow("its SHA-256 is not the one that was recorded");
    await expect(restore({ ...job, conflict: "keep" })).rejects.toThrow(DamagedArtifact);
    expect(existsSync(destination)).toBe(false);
  });

  it("is not hashed to its end when the restore is cancelled", async () => {
    const { destination, restore, job } = await prepared();
    const controller = new AbortController();
    // Its path is asked for when the thread is about to start.
    const pathOf = (name: string) => {
      setTimeout(() => controller.abort(new Error("cancelled")), 1);
      return job.storage.pathOf?.(name) as string;
    };
    const cancelled = restore({ ...job, storage: { ...job.storage, pathOf }, signal: controller.signal });
    await expect(cancelled).rejects.toThrow("cancelled");
    expect(existsSync(destination)).toBe(false);
  });
});

test("an index that names other members than the archive is refused", async () => {
  const { source, storage, restored, restore } = world();
  makeTree(source, 10);
  const packed = await packIndexed(source, {
    change: ({ entries }) => {
      const victim = entries.find(({ path }) => path.toString().endsWith("file-3"));
      if (victim) victim.path = Buffer.from(join(source, "folder-0", "another"));
    },
  });
  storage.objects.set(key, packed.bytes);
  await expect(restore(known(packed))).rejects.toThrow("its index does not fit what is in it");
  expect(readdirSync(join(restored(), "folder-0"))).not.toContain("another");
});

test("a cancelled restore with threads leaves no partial file", async () => {
  const { source, storage, root, restored, restore } = world();
  makeTree(source, 2000);
  const packed = await packIndexed(source);
  storage.objects.set(key, packed.bytes);
  const controller = new AbortController();
  const cancelling: MemoryStorage = {
    ...storage,
    async get(name, options) {
      if (existsSync(join(restored(), "folder-4"))) controller.abort(new Error("cancelled"));
      return storage.get(name, options);
    },
  };
  const job = { storage: cancelling, signal: controller.signal, nearby: true };
  await expect(restore({ ...known(packed), ...job })).rejects.toThrow("cancelled");
  const left = readdirSync(root, { recursive: true, encoding: "utf8" });
  expect(left.filter((name) => name.includes(".backupx-"))).toEqual([]);
  for (const name of readdirSync(join(restored(), "folder-0"))) {
    const path = join("folder-0", name);
    expect(readFileSync(join(restored(), path)).equals(readFileSync(join(source, path)))).toBe(true);
  }
});

describe("a differential backup", () => {
  const prepared = async () => {
    const w = world();
    makeTree(w.source, 1100);
    const full = await packIndexed(w.source);
    writeFileSync(join(w.source, "folder-2", "file-101"), "changed");
    writeFileSync(join(w.source, "folder-2", "new"), "new");
    rmSync(join(w.source, "folder-3"), { recursive: true });
    rmSync(join(w.source, "empty"));
    const index = { recordId: 12, sha256: full.sha256 };
    const diff = await packIndexed(w.source, { base: { index, entries: full.entries } });
    w.storage.objects.set("full", full.bytes).set(key, diff.bytes);
    const base: StoredArtifact = { storage: w.storage, key: "full", ...known(full) };
    return { ...w, full, diff, base, job: { ...known(diff), base } };
  };

  it("is merged with the full one below it, without what was deleted", async () => {
    const { source, restored, restore, job, diff, full } = await prepared();
    expect(diff.bytes.length).toBeLessThan(full.bytes.length / 5);
    await restore(job);
    expectSameTree(restored(), source);
  });

  it("fetches selected paths from whichever of the two holds them", async () => {
    const { source, restored, restore, job, full, storage, base } = await prepared();
    const { counted, storage: observed } = counting(storage);
    const paths = ["folder-2/new", "folder-2/file-102", "large-too"].map((name) => join(source, name));
    await restore({ ...job, storage: observed, base: { ...base, storage: observed }, selectedPaths: paths });
    expect(readdirSync(join(restored(), "folder-2")).sort()).toEqual(["file-102", "new"]);
    expect(readFileSync(join(restored(), "large-too")).equals(noise(700_000, 7))).toBe(true);
    expect(counted.bytes).toBeLessThan(full.bytes.length / 2);
    const deleted = restore({ ...job, selectedPaths: [join(source, "folder-3")] });
    await expect(deleted).rejects.toThrow("not in this backup");
  });

  it("is refused without the full one, with another one, and with a damaged one", async () => {
    const { destination, restore, job, base, full, storage } = await prepared();
    await expect(restore({ ...job, base: null })).rejects.toThrow(
      "a differential backup: it can only be restored together with record 12",
    );
    const other = { ...base, expected: { sha256: "0".repeat(64), sizeBytes: null } };
    await expect(restore({ ...job, base: other })).rejects.toThrow("what is at hand is another one");
    const bad = Buffer.from(full.bytes);
    bad[9000] = (bad[9000] as number) ^ 1;
    storage.objects.set("full", bad);
    const unknown = { ...base, expected: { sha256: null, sizeBytes: null } };
    for (const each of [base, unknown])
      await expect(restore({ ...job, base: each })).rejects.toThrow(
        /the backup is damaged: record 12, on which it stands: its SHA-256/,
      );
    expect(existsSync(destination)).toBe(false);
  });
});

describe("a dry run", () => {
  it.each(["index", "whole"])("tells what would happen to each entry and writes nothing (%s)", async (by) => {
    const { source, storage, root, restored, restore } = world();
    makeTree(source, 60);
    const packed = await packIndexed(source);
    storage.objects.set(key, packed.bytes);
    mkdirSync(join(restored(), "folder-0"), { recursive: true });
    writeFileSync(join(restored(), "folder-0", "file-7"), "mine");
    mkdirSync(join(restored(), "empty"));
    symlinkSync(join(root, "nowhere"), join(restored(), "folder-1"));
    const before = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((n) => !/^work/.test(n));
    const { counted, storage: observed } = counting(storage);
    const archiveIndex = by === "index" ? packed.archiveIndex : null;
    const job = { ...known(packed), archiveIndex, storage: observed, dryRun: true } as const;
    const outcomes = [];
    for (const conflict of ["fail", "keep", "overwrite"] as const)
      outcomes.push((await restore({ ...job, conflict })).outcome);
    const counts = outcomes.map((outcome) => {
      const { create, overwrite, keep, refuse } = outcome as NonNullable<typeof outcome>;
      return [create.entries, overwrite.entries, keep.entries, refuse.entries];
    });
    // What exists: the root and folder-0, file-7, "empty" of another kind, and a link where folder-1 with ten files goes.
    expect(counts).toEqual([
      [53, 0, 2, 1 + 1 + 11],
      [53, 0, 2 + 1, 1 + 11],
      [53, 1, 2, 1 + 11],
    ]);
    const refused = outcomes[0]?.refuse.paths ?? [];
    expect(refused).toContainEqual({
      path: join(restored(), "folder-0", "file-7"),
      size: 959,
      reason: "it exists",
    });
    expect(refused.map(({ reason }) => reason)).toContainEqual(
      expect.stringContaining("folder-1 is a symbolic link, which is not followed"),
    );
    expect(readdirSync(root, { recursive: true, encoding: "utf8" }).filter((n) => !/^work/.test(n))).toEqual(
      before,
    );
    if (by === "index") expect(counted.bytes).toBeLessThan(packed.bytes.length / 4);
  });

  it("does not need the base of a differential backup, and names what is not in it", async () => {
    const { source, storage, destination, restore } = world();
    makeTree(source, 10);
    const full = await packIndexed(source);
    const index = { recordId: 1, sha256: full.sha256 };
    const diff = await packIndexed(source, { base: { index, entries: full.entries } });
    storage.objects.set(key, diff.bytes);
    const { outcome } = await restore({ ...known(diff), dryRun: true });
    expect(outcome?.create.entries).toBe(10 + 7);
    const missing = restore({ ...known(diff), dryRun: true, selectedPaths: ["/none"] });
    await expect(missing).rejects.toThrow("not in this backup: /none");
    expect(existsSync(destination)).toBe(false);
  });
});
