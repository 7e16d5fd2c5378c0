import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { backUp } from "../../agent-cli/jobs/back-up.ts";
import { bandwidthOf } from "../../agent-cli/jobs/bandwidth.ts";
import type { StoragesOf } from "../../agent-cli/jobs/connections.ts";
import { copy } from "../../agent-cli/jobs/copy.ts";
import type { CopySpec, RestoreSpec, TaskSpec, VerificationSpec } from "../../agent-cli/jobs/job.ts";
import { openTarget } from "../../agent-cli/jobs/open-target.ts";
import { restore } from "../../agent-cli/jobs/restore.ts";
import { verify } from "../../agent-cli/jobs/verify.ts";
import type { TokenBucket } from "../../agent-cli/storage/limited.ts";
import type { VaultContext } from "../../agent-cli/vault-client.ts";
import { agentApi } from "../../protocol/index.ts";
import { memoryVault } from "../fakes/memory-vault.ts";
import { world } from "./world.ts";

const NODE_CAP = 9_000_000;
const noVault = {} as VaultContext;

/** Buckets that let everything pass and keep account of it, by their rates: each test gives every cap another one. */
function accounts(ofJob: number | null) {
  const taken = new Map<number, number>();
  const made: number[] = [];
  const makeBucket = (bytesPerSecond: number): TokenBucket => {
    made.push(bytesPerSecond);
    return {
      bytesPerSecond,
      sliceBytes: 10_000,
      async take(bytes) {
        expect(bytes).toBeLessThanOrEqual(10_000);
        taken.set(bytesPerSecond, (taken.get(bytesPerSecond) ?? 0) + bytes);
      },
    };
  };
  const bucketOf = bandwidthOf(ofJob, makeBucket);
  const storages: StoragesOf = (target) => {
    const bucket = bucketOf(target);
    return bucket ? { bucket } : {};
  };
  return { storages, taken, made };
}

/** A source of some 200 KB, and disks to back it up to, each with a cap of its own if one is given. */
function room() {
  const made = world();
  writeFileSync(join(made.source, "file"), randomBytes(200_000));
  const stateDir = join(made.root, "state");
  mkdirSync(stateDir);
  const disk = (id: number, bandwidthBytesPerSecond: number | null) => {
    const path = join(made.root, `disk-${id}`);
    mkdirSync(path, { recursive: true });
    const transferMode = "direct" as const;
    const capped = { id, name: `disk-${id}`, type: "local_disk", transferMode, bandwidthBytesPerSecond };
    return { ...capped, config: { path }, quotaRemainingBytes: null };
  };
  const run = () => ({ workDir: made.workDir(), report: made.report, signal: new AbortController().signal });

  /** Whatever else a spec may say is as the master says it when nothing special is wanted. */
  const taskSpec = (targets: ReturnType<typeof disk>[], compression: string): TaskSpec =>
    agentApi.taskSpec.reply.parse({
      taskId: 7,
      name: "t",
      type: "file",
      sourcePath: made.source,
      sourcePaths: made.source,
      excludePatterns: "",
      dbHost: "",
      dbPort: 0,
      dbUser: "",
      dbPassword: "",
      dbName: "",
      dbPath: "",
      extraConfig: "",
      compression,
      encrypt: false,
      storageTargets: targets,
      source: made.files(),
      sourceSecrets: { password: null },
      pipeline: { compression },
      recordId: 9,
      fileNameStem: "t-9",
      objectPrefix: "BackupX/file/261123/records/9/",
      targets,
    });
  const backup = (targets: ReturnType<typeof disk>[], storages: StoragesOf, compression = "none") =>
    backUp(
      { kind: "backup", recordId: 9, spec: taskSpec(targets, compression) },
      { ...run(), stateDir, identityFile: null },
      () => Promise.reject(new Error("no vault is used here")),
      storages,
    );
  return { ...made, disk, run, backup };
}

/** A backup on an uncapped disk, for others to read. */
async function stored(compression = "none") {
  const made = room();
  const result = await made.backup([made.disk(1, null)], () => ({}), compression);
  const read = {
    storagePath: result.key,
    fileName: result.fileName,
    checksum: result.sha256,
    fileSize: result.sizeBytes,
    archiveIndex: result.archiveIndex,
  };
  return { ...made, result, read };
}

test("a backup counts what each target gets, in its own bucket and in the job's", async () => {
  const { disk, backup } = room();
  const { storages, taken, made } = accounts(NODE_CAP);
  const { targets, sizeBytes } = await backup([disk(1, 2001), disk(2, 2002), disk(3, null)], storages);
  expect(targets.map(({ status }) => status)).toEqual(Array(3).fill("success"));
  expect(Object.fromEntries(taken)).toEqual({ 2001: sizeBytes, 2002: sizeBytes, [NODE_CAP]: 3 * sizeBytes });
  expect(made.sort((a, b) => a - b)).toEqual([2001, 2002, NODE_CAP]);
});

test("without a cap nothing stands between a job and its storages", async () => {
  const { disk, backup } = room();
  const { storages, made } = accounts(null);
  expect(storages(disk(1, null))).toEqual({});
  expect(storages(null)).toEqual({});
  expect((await backup([disk(1, null)], storages)).targets).toMatchObject([{ status: "success" }]);
  expect(made).toEqual([]);
});

// The latter has an index, by which the parts of a file of this machine could be read without its storage.
test.each(["none", "zstd"])(
  "a restore counts all that it reads, of a disk of this machine too (%s)",
  async (compression) => {
    const { disk, run, read, source, restored, destination, result } = await stored(compression);
    expect(result.archiveIndex === null).toBe(compression === "none");
    const { storages, taken } = accounts(NODE_CAP);
    const spec = {
      ...read,
      type: "file",
      compression,
      encrypt: false,
      source: { type: "file", paths: [source], excludes: [], oneFileSystem: false },
      sourceSecrets: { password: null },
      sourcePaths: [source],
      storage: disk(1, 2001),
      destination,
      selectedPaths: null,
      conflict: "fail",
      dryRun: false,
      base: null,
      identityFile: null,
    } as unknown as RestoreSpec;
    const job = { kind: "restore", restoreId: 3, spec, mark: "0123456789ab" } as const;
    await restore(job, { ...run(), identityFile: null }, noVault, storages);
    expect(readdirSync(restored())).toEqual(["file"]);
    // Once to prove it, once to use it: a disk needs no copy beside it.
    expect(taken.get(2001)).toBeGreaterThan(1.9 * result.sizeBytes);
    expect(taken.get(NODE_CAP)).toBe(taken.get(2001));
  },
);

test("a verification counts what it reads", async () => {
  const { disk, run, read, source, result } = await stored();
  const { storages, taken } = accounts(NODE_CAP);
  const spec = {
    ...read,
    grade: 2,
    compression: "none",
    encrypt: false,
    source: { type: "file", paths: [source], excludes: [], oneFileSystem: false },
    storage: disk(1, 2001),
    vaultSize: null,
    base: null,
    identityFile: null,
  } as unknown as VerificationSpec;
  const { checks } = await verify(
    { kind: "verify", spec },
    { ...run(), identityFile: null },
    noVault,
    storages,
  );
  expect(checks.map(({ outcome }) => outcome)).toEqual(["passed", "passed"]);
  expect(Object.fromEntries(taken)).toEqual({ 2001: result.sizeBytes, [NODE_CAP]: result.sizeBytes });
});

test("a copy counts what it fetches, what it sends and what it reads back", async () => {
  const { disk, run, result } = await stored();
  const { storages, taken } = accounts(NODE_CAP);
  const { key, sizeBytes, sha256 } = result;
  const spec = {
    recordId: 9,
    sizeBytes,
    sha256,
    source: disk(1, 2001),
    sourceKey: key,
    target: disk(2, 2002),
    targetKey: key,
  } as unknown as CopySpec;
  await copy({ kind: "copy", commandId: 5, spec }, run(), noVault, storages);
  expect(Object.fromEntries(taken)).toEqual({
    2001: sizeBytes,
    2002: 2 * sizeBytes,
    [NODE_CAP]: 3 * sizeBytes,
  });
});

test("what goes through the master counts as well", async () => {
  const { run } = room();
  const { storages, taken } = accounts(NODE_CAP);
  const target = {
    id: 4,
    type: "vault",
    config: {},
    transferMode: "master_relay",
    bandwidthBytesPerSecond: 2004,
  };
  const { client } = memoryVault();
  const storage = await openTarget(target, storages(target), () => client);
  const { signal } = run();
  const bytes = Buffer.alloc(123_456, "x");
  await storage.put(
    "a/b",
    (async function* () {
      yield bytes;
    })(),
    { signal },
  );
  expect(taken.get(2004)).toBe(bytes.length);
  let readBytes = 0;
  for await (const chunk of await storage.get("a/b", { signal })) readBytes += chunk.length;
  expect(readBytes).toBe(bytes.length);
  expect(Object.fromEntries(taken)).toEqual({ 2004: 2 * bytes.length, [NODE_CAP]: 2 * bytes.length });
});
