import { mkdirSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import type { Machine } from "./machine.ts";
import { TEST_MS, until } from "./until.ts";
import { sourceFolder, startWorld, type World } from "./world.ts";

// Under a cap of one KiB in a second, what is moved here takes hours: a job that is still at it has been held back, one
// that has ended has not. No clock is looked at.
const SLOWEST = 1024;
const KIB = 8 * 1024;

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, TEST_MS);
afterAll(() => world?.close());

type OnEnd = Parameters<World["machine"]>[0];
type Kept = Awaited<ReturnType<typeof aBackup>>;

function aDisk(machine: Machine, name: string): Promise<number> {
  const folder = path.join(machine.folder, name);
  mkdirSync(folder);
  return world.target("local_disk", { path: folder });
}

async function aBackup(onEnd: OnEnd) {
  const machine = await world.machine(onEnd);
  await machine.start().logged("socket open");
  const targetId = await aDisk(machine, "first");
  const taskId = await world.task(machine, {
    source: { type: "file", paths: [sourceFolder(machine, KIB)] },
    targetIds: [targetId],
    pipeline: { compression: "none" },
  });
  const record = await world.endOf((await world.run(taskId)).recordId);
  expect(record.status).toBe("success");
  return { machine, targetId, taskId, recordId: record.id };
}

const capNode = ({ machine }: Kept, bandwidthBytesPerSecond: number | null) =>
  world.call(adminApi.updateNode, { params: { id: machine.nodeId }, body: { bandwidthBytesPerSecond } });
const capTarget = (id: number, bandwidthBytesPerSecond: number | null) =>
  world.call(adminApi.updateTarget, { params: { id }, body: { bandwidthBytesPerSecond } });

type Run = { status: string; progress?: { artifactBytes: number; sourceBytes: number } | null };

/** Waits until some bytes have moved, and expects that most have not. */
async function expectHeldBack(what: string, read: () => Promise<Run>): Promise<void> {
  const run = await until(
    `bytes of ${what}`,
    async () => {
      const now = await read();
      const isWaiting = now.status === "queued" || !now.progress?.artifactBytes;
      return isWaiting && ["queued", "running", "copying"].includes(now.status) ? null : now;
    },
    { seen: read },
  );
  expect(run.status).toMatch(/^(running|copying)$/);
  expect(run.progress?.artifactBytes).toBeLessThan((KIB * 1024) / 2);
}

async function expectSlowRestore({ machine, recordId }: Kept, name: string) {
  const { restoreId } = await world.call(adminApi.restoreRecord, {
    params: { id: recordId },
    body: { destination: path.join(machine.folder, name) },
  });
  const read = () => world.call(adminApi.getRestore, { params: { id: restoreId } });
  await expectHeldBack("a restore", read);
  await world.call(adminApi.cancelRestore, { params: { id: restoreId } });
  expect(await world.endOfRestore(restoreId)).toMatchObject({ status: "cancelled" });
}

async function expectSlowVerification({ recordId }: Kept) {
  const started = await world.call(adminApi.verifyRecord, { params: { id: recordId }, body: { grade: 2 } });
  const id = started.verifications[0]?.verificationId ?? 0;
  const read = () => world.call(adminApi.getVerification, { params: { id } });
  await expectHeldBack("a verification", read);
  await world.call(adminApi.cancelVerification, { params: { id } });
  await until("the verification to end", async () => (await read()).status === "cancelled", { seen: read });
}

/** A copy to another disk, which is uncapped. */
async function expectSlowCopy({ machine, recordId }: Kept) {
  const targetId = await aDisk(machine, "second");
  await world.call(adminApi.copyRecord, { params: { id: recordId }, body: { targetId } });
  const read = async () => {
    const copy = (await world.record(recordId)).copies.find((one) => one.targetId === targetId);
    return copy ?? { status: "queued" };
  };
  await expectHeldBack("a copy", read);
  await world.call(adminApi.removeCopy, { params: { id: recordId, targetId } });
  await until("the copy to end", async () => (await read()).status === "failed", { seen: read });
}

describe.concurrent("a bandwidth cap", { timeout: TEST_MS }, () => {
  test("of a node holds back its restores, verifications and copies until it is lifted", async ({
    onTestFinished,
  }) => {
    const kept = await aBackup(onTestFinished);
    await capNode(kept, SLOWEST);
    await expectSlowRestore(kept, "held-back");
    await expectSlowVerification(kept);
    await expectSlowCopy(kept);
    await capNode(kept, null);
    const { restoreId } = await world.call(adminApi.restoreRecord, {
      params: { id: kept.recordId },
      body: { destination: path.join(kept.machine.folder, "restored") },
    });
    expect(await world.endOfRestore(restoreId)).toMatchObject({ status: "success" });
  });

  test("of a target holds back whoever reads from it", async ({ onTestFinished }) => {
    const kept = await aBackup(onTestFinished);
    await capTarget(kept.targetId, SLOWEST);
    await expectSlowRestore(kept, "held-back");
    await expectSlowVerification(kept);
    await expectSlowCopy(kept);
  });

  test("of a target holds back what is written to it, and no other target", async ({ onTestFinished }) => {
    const machine = await world.machine(onTestFinished);
    await machine.start().logged("socket open");
    const [slow, free] = [await aDisk(machine, "slow"), await aDisk(machine, "free")];
    await capTarget(slow, SLOWEST);
    // Small enough for the uncapped target to get all of it while the other has hardly begun.
    const taskId = await world.task(machine, {
      source: { type: "file", paths: [sourceFolder(machine, 1024)] },
      targetIds: [slow, free],
      pipeline: { compression: "none" },
    });
    const { recordId } = await world.run(taskId);
    await expectHeldBack("a backup", () => world.record(recordId));
    await until("the other target to have all of it", () => sizeOf(machine, "free") > 1024 * 1024);
    expect(sizeOf(machine, "slow")).toBeLessThan(512 * 1024);
    await world.call(adminApi.cancelRecord, { params: { id: recordId } });
    expect(await world.endOf(recordId)).toMatchObject({ status: "cancelled" });
  });

  test("that would let hardly anything pass is refused by its name", async ({ onTestFinished }) => {
    const { targetId } = await aBackup(onTestFinished);
    const answer = await world.ask(adminApi.updateTarget, {
      params: { id: targetId },
      body: { bandwidthBytesPerSecond: 1 },
    });
    expect(answer).toMatchObject({ status: 400, code: "INVALID_INPUT" });
    expect(answer.message).toContain("bandwidthBytesPerSecond");
  });
});

function sizeOf(machine: Machine, disk: string): number {
  const folder = path.join(machine.folder, disk);
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => statSync(path.join(folder, name), { throwIfNoEntry: false }))
    .filter((found) => found?.isFile());
  return files.reduce((sum, found) => sum + (found?.size ?? 0), 0);
}
