import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminApi, agentApi } from "../../protocol/index.ts";
import { startFaultyProxy } from "../fakes/faulty-proxy.ts";
import { bucket, credentials, region, startStrictS3 } from "../fakes/strict-s3.ts";
import { childrenOf, signalAll } from "../processes.ts";
import type { Machine, RunningAgent } from "./machine.ts";
import { TEST_MS, until } from "./until.ts";
import { sourceFolder, startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, TEST_MS);
afterAll(() => world?.close());

type OnEnd = Parameters<World["machine"]>[0];
type Kept = { machine: Machine; agent: RunningAgent; recordId: number; targetId: number };

/** A backup of about that many KiB, its only copy in the vault or on the machine's own disk. */
async function aBackup(onEnd: OnEnd, kind: "vault" | "local_disk", kib = 40): Promise<Kept> {
  const machine = await world.machine(onEnd);
  const agent = machine.start();
  await agent.logged("socket open");
  const targetId = kind === "vault" ? await world.target("vault") : await aDisk(machine, "first");
  const taskId = await world.task(machine, {
    source: { type: "file", paths: [sourceFolder(machine, kib)] },
    targetIds: [targetId],
    pipeline: { compression: "none" },
  });
  const { recordId } = await world.run(taskId);
  expect(await world.endOf(recordId)).toMatchObject({ status: "success" });
  await until("nothing in hand", () => machine.leftovers().length === 0);
  return { machine, agent, recordId, targetId };
}

function aDisk(machine: Machine, name: string): Promise<number> {
  const folder = path.join(machine.folder, name);
  mkdirSync(folder, { recursive: true });
  return world.target("local_disk", { path: folder });
}
const copyTo = (recordId: number, body: { targetId: number; fromTargetId?: number; nodeId?: number }) =>
  world.call(adminApi.copyRecord, { params: { id: recordId }, body });
const copyIn = async (recordId: number, targetId: number) =>
  (await world.record(recordId)).copies.find((copy) => copy.targetId === targetId);
const endOfCopy = (recordId: number, targetId: number) =>
  until(
    `the copy of ${recordId} in ${targetId} to end`,
    async () => {
      const copy = await copyIn(recordId, targetId);
      return copy && copy.status !== "copying" ? copy : null;
    },
    {
      seen: async () => ({ copies: (await world.record(recordId)).copies, log: await world.logOf(recordId) }),
    },
  );
const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => path.join(folder, name))
    .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile() ?? false);

async function expectRestores(
  { recordId, machine }: Kept,
  targetId: number,
  nodeId = machine.nodeId,
): Promise<void> {
  const destination = path.join(machine.folder, `restored-${targetId}`);
  const { restoreId } = await world.call(adminApi.restoreRecord, {
    params: { id: recordId },
    body: { destination, targetId, nodeId },
  });
  expect(await world.endOfRestore(restoreId)).toMatchObject({ status: "success" });
  const source = path.join(machine.folder, "source");
  for (const file of filesBelow(source)) {
    expect(readFileSync(path.join(destination, file)).equals(readFileSync(file)), file).toBe(true);
  }
}

describe.concurrent("a further copy", { timeout: TEST_MS }, () => {
  test("from the vault to the node's own disk: it alone is enough for a restore", async ({
    onTestFinished,
  }) => {
    const kept = await aBackup(onTestFinished, "vault", 20 * 1024);
    const { recordId, targetId, machine } = kept;
    const disk = await aDisk(machine, "second");
    const { fromTargetId } = await copyTo(recordId, { targetId: disk });
    expect(fromTargetId).toBe(targetId);
    const { sizeBytes, checksum } = await world.record(recordId);
    expect(await endOfCopy(recordId, disk)).toMatchObject({ status: "success", sizeBytes, checksum });
    expect(await world.logOf(recordId)).toMatch(/copied to local_disk-\d+: \d+ bytes, SHA-256/);
    await world.call(adminApi.removeCopy, { params: { id: recordId, targetId } });
    expect((await world.vaultKeys()).filter((key) => key.includes(`/records/${recordId}/`))).toEqual([]);
    await expectRestores(kept, disk);
  });

  test("from a disk to the vault, and from there by another node to S3", async ({ onTestFinished }) => {
    const kept = await aBackup(onTestFinished, "local_disk", 20 * 1024);
    const { recordId } = kept;
    const vault = await world.target("vault");
    await copyTo(recordId, { targetId: vault });
    expect(await endOfCopy(recordId, vault)).toMatchObject({ status: "success" });
    const s3 = await startStrictS3();
    onTestFinished(() => s3.close());
    const { id: bucketTarget } = await world.call(adminApi.createTarget, {
      body: {
        name: `s3-${recordId}`,
        type: "s3",
        config: { endpoint: s3.endpoint, bucket, region },
        secrets: credentials,
      },
    });
    const other = await world.machine(onTestFinished);
    await other.start().logged("socket open");
    const started = await copyTo(recordId, { targetId: bucketTarget, nodeId: other.nodeId });
    expect(started).toMatchObject({ nodeId: other.nodeId, fromTargetId: vault });
    expect(await endOfCopy(recordId, bucketTarget)).toMatchObject({ status: "success" });
    const [key] = [...s3.objects.keys()];
    expect(key).toBe((await copyIn(recordId, vault))?.storagePath);
    await until("nothing in hand", () => other.leftovers().length === 0);
    await expectRestores(kept, bucketTarget);
  });

  test("of bytes that have changed is never completed, and says why", async ({ onTestFinished }) => {
    const { machine, recordId } = await aBackup(onTestFinished, "local_disk");
    const [file] = filesBelow(path.join(machine.folder, "first"));
    const bytes = readFileSync(file ?? "");
    bytes[1000] = (bytes[1000] ?? 0) ^ 1;
    writeFileSync(file ?? "", bytes);
    const vault = await world.target("vault");
    await copyTo(recordId, { targetId: vault });
    expect(await endOfCopy(recordId, vault)).toMatchObject({
      status: "failed",
      error: expect.stringContaining("SHA-256"),
    });
    expect((await world.vaultKeys()).filter((key) => key.includes(`/records/${recordId}/`))).toEqual([]);
    expect(await world.rows("select * from vault_uploads where record_id = ?", recordId)).toEqual([]);
    const disk = await aDisk(machine, "second");
    await copyTo(recordId, { targetId: disk });
    expect(await endOfCopy(recordId, disk)).toMatchObject({ status: "failed" });
    expect(filesBelow(path.join(machine.folder, "second"))).toEqual([]);
  });

  /** A slow copy to a second disk, with its first bytes written. */
  async function halfCopied(onEnd: OnEnd) {
    const kept = await aBackup(onEnd, "local_disk", 4096);
    const disk = await aDisk(kept.machine, "second");
    await world.call(adminApi.updateNode, {
      params: { id: kept.machine.nodeId },
      body: { bandwidthBytesPerSecond: 200 * 1024 },
    });
    await copyTo(kept.recordId, { targetId: disk });
    const files = () => filesBelow(path.join(kept.machine.folder, "second"));
    await until("the first bytes", () => files().some((file) => statSync(file).size > 0));
    await until(
      "progress",
      async () => ((await copyIn(kept.recordId, disk))?.progress?.artifactBytes ?? 0) > 0,
    );
    return { ...kept, disk, files, children: childrenOf(kept.agent.pid) };
  }

  test("whose machine loses its power fails when it is back, leaves nothing, and can be made again", async ({
    onTestFinished,
  }) => {
    const { machine, agent, recordId, disk, files, children } = await halfCopied(onTestFinished);
    signalAll(children, "SIGSTOP");
    await agent.end("SIGKILL");
    signalAll(children, "SIGKILL");
    expect(files()).toHaveLength(1);
    machine.start();
    expect(await endOfCopy(recordId, disk)).toMatchObject({
      status: "failed",
      error: expect.stringContaining("interrupted"),
    });
    await until("no half file", () => files().length === 0, { seen: files });
    expect(await world.record(recordId)).toMatchObject({ status: "success" });
    await world.call(adminApi.updateNode, {
      params: { id: machine.nodeId },
      body: { bandwidthBytesPerSecond: null },
    });
    await copyTo(recordId, { targetId: disk });
    expect(await endOfCopy(recordId, disk)).toMatchObject({ status: "success" });
    expect(files()).toHaveLength(1);
  });

  test("that is stopped by a person ends at once and leaves nothing", async ({ onTestFinished }) => {
    const { recordId, disk, files, children } = await halfCopied(onTestFinished);
    await world.call(adminApi.removeCopy, { params: { id: recordId, targetId: disk } });
    expect(await endOfCopy(recordId, disk)).toMatchObject({ status: "failed", error: "cancelled" });
    await until("the job's process to be gone", () => children.every((pid) => !existsSync(`/proc/${pid}`)));
    expect(files()).toEqual([]);
  });
});

describe.concurrent("a copy to a storage that is no disk of this machine", { timeout: TEST_MS }, () => {
  /** A copy from the machine's disk to S3, of which one part is stored and the next gets no answer. */
  async function halfSent(onEnd: OnEnd) {
    const s3 = await startStrictS3();
    const proxy = await startFaultyProxy(s3.port);
    onEnd(() => s3.close());
    onEnd(() => proxy.close());
    proxy.plan = ({ method, url }) =>
      /partNumber=2/.test(`${method} ${url}`) ? { kind: "stall" } : undefined;
    const kept = await aBackup(onEnd, "local_disk", 20 * 1024);
    const config = { endpoint: proxy.endpoint, bucket, region };
    const body = { name: `s3-of-${kept.machine.name}`, type: "s3" as const, config, secrets: credentials };
    const { id: targetId } = await world.call(adminApi.createTarget, { body });
    await copyTo(kept.recordId, { targetId });
    const stored = () => [...s3.uploads.keys(), ...s3.objects.keys()];
    await until("the second part", () => proxy.hits > 0 && stored().length > 0);
    const end = () => endOfCopy(kept.recordId, targetId);
    return { ...kept, proxy, stored, end, targetId, children: childrenOf(kept.agent.pid) };
  }

  test("whose job is killed fails and leaves no part", async ({ onTestFinished }) => {
    const { children, end, stored } = await halfSent(onTestFinished);
    signalAll(children, "SIGKILL");
    expect(await end()).toMatchObject({ status: "failed", error: expect.stringContaining("SIGKILL") });
    expect(stored()).toEqual([]);
  });

  test("whose machine loses its power leaves no part once that is back, and can be made again", async ({
    onTestFinished,
  }) => {
    const { machine, agent, recordId, targetId, proxy, children, end, stored } =
      await halfSent(onTestFinished);
    signalAll(children, "SIGSTOP");
    await agent.end("SIGKILL");
    signalAll(children, "SIGKILL");
    expect(stored()).toHaveLength(1);
    machine.start();
    expect(await end()).toMatchObject({ status: "failed", error: expect.stringContaining("interrupted") });
    expect(stored()).toEqual([]);
    await until("nothing in hand", () => machine.leftovers().length === 0, { seen: machine.leftovers });
    proxy.plan = () => undefined;
    await copyTo(recordId, { targetId });
    expect(await end()).toMatchObject({ status: "success" });
    expect(stored()).toHaveLength(1);
  });
});

describe.concurrent("targets that are away", { timeout: TEST_MS }, () => {
  test("are told, and tried once more from the good copy when they are back", async ({ onTestFinished }) => {
    const machine = await world.machine(onTestFinished);
    await machine.start().logged("socket open");
    // A file where the directory should be: nothing can be written below it.
    const blocked = path.join(machine.folder, "blocked");
    writeFileSync(blocked, "");
    const lost = await world.target("local_disk", { path: blocked });
    const taskId = await world.task(machine, {
      source: { type: "file", paths: [sourceFolder(machine, 40)] },
      targetIds: [await world.target("vault"), lost],
      pipeline: { compression: "none" },
    });
    const { recordId } = await world.run(taskId);
    expect(await world.endOf(recordId)).toMatchObject({ status: "success" });
    const failed = await copyIn(recordId, lost);
    expect(failed).toMatchObject({ status: "failed", error: expect.stringMatching(/\w/) });
    expect(failed?.commandId).not.toBeNull();
    rmSync(blocked);
    mkdirSync(blocked);
    await world.change("update agent_commands set not_before = 0 where id = ?", failed?.commandId);
    await world.run(taskId);
    await until("the copy", async () => (await copyIn(recordId, lost))?.status === "success");
    expect(filesBelow(blocked).length).toBeGreaterThan(0);
  });

  test("a record on the disk of an offline node is removed as soon as that is back", async ({
    onTestFinished,
  }) => {
    const { machine, agent, recordId } = await aBackup(onTestFinished, "local_disk");
    await agent.end("SIGKILL");
    const { pendingCopies } = await world.call(adminApi.deleteRecord, { params: { id: recordId } });
    expect(pendingCopies).toBe(1);
    expect((await world.record(recordId)).copies).toMatchObject([
      { status: "deleting", error: `waits for ${machine.name} to remove it` },
    ]);
    expect(filesBelow(path.join(machine.folder, "first"))).toHaveLength(1);
    machine.start();
    await until(
      "the record to be gone",
      async () => (await world.ask(adminApi.getRecord, { params: { id: recordId } })).status === 404,
    );
    expect(filesBelow(path.join(machine.folder, "first"))).toEqual([]);
  });

  test("the master is away in the middle of a copy: it goes on, and its result arrives", async ({
    onTestFinished,
  }) => {
    const kept = await aBackup(onTestFinished, "local_disk");
    kept.machine.network.plan({ on: agentApi.updateCopy, trouble: { kind: "lose-answer" } });
    const vault = await world.target("vault");
    await copyTo(kept.recordId, { targetId: vault });
    expect(await endOfCopy(kept.recordId, vault)).toMatchObject({ status: "success" });
    kept.machine.network.endPlans();
    await until("nothing in hand", () => kept.machine.leftovers().length === 0);
    const [row] = await world.rows<{ used_bytes: number }>(
      "select used_bytes from storage_targets where id = ?",
      vault,
    );
    expect(row?.used_bytes).toBe((await world.record(kept.recordId)).sizeBytes);
  });
});
