import { createHash } from "node:crypto";
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { describe, expect, test } from "vitest";
import type { Identities } from "../../agent-cli/pipeline/identities.ts";
import type { Compression } from "../../agent-cli/pipeline/pipeline.ts";
import type { Check, Grade, VerificationReport, VerifyJob } from "../../agent-cli/pipeline/verify/finding.ts";
import { runVerification } from "../../agent-cli/pipeline/verify/verify.ts";
import { gradeReached } from "../../protocol/verification.ts";
import { key, world } from "./world.ts";

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
      bandwidthBytesPerSecond: null,
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
