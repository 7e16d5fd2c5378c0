import { mkdirSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminApi, agentApi } from "../../protocol/index.ts";
import { compareTrees } from "../../scripts/compare-trees.ts";
import type { Machine } from "./machine.ts";
import { TEST_MS, until } from "./until.ts";
import { sourceFolder, startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, TEST_MS);
afterAll(() => world?.close());

const AWAY_MS = 10_000;
const final = (body: string) => /"status":"(success|failed)"/.test(body);

async function vaultTask(machine: Machine, kib: number, bandwidthBytesPerSecond: number | null = null) {
  const source = sourceFolder(machine, kib);
  const taskId = await world.task(machine, {
    source: { type: "file", paths: [source] },
    targetIds: [await world.target("vault")],
    pipeline: { compression: "none", bandwidthBytesPerSecond },
  });
  return { source, taskId };
}

async function expectRestored(machine: Machine, recordId: number, source: string): Promise<void> {
  const destination = path.join(machine.folder, "restored");
  mkdirSync(destination);
  const { restoreId } = await world.call(adminApi.restoreRecord, {
    params: { id: recordId },
    body: { destination },
  });
  const restore = await world.endOfRestore(restoreId);
  expect(restore, restore.errorMessage).toMatchObject({ status: "success" });
  expect(compareTrees(source, path.join(destination, source), []).differences).toEqual([]);
}

const countOf = (machine: Machine, part: string) =>
  machine.network.passed.filter((call) => call.path.endsWith(part)).length;

describe.concurrent("messages are lost", { timeout: TEST_MS }, () => {
  test("the poll's answer: the command is handed out again, and runs once", async ({ onTestFinished }) => {
    const machine = await world.machine(onTestFinished);
    const agent = machine.start();
    await agent.logged("socket open");
    const { taskId } = await vaultTask(machine, 40);
    const lost = machine.network.plan({
      on: agentApi.poll,
      trouble: { kind: "lose-answer" },
      times: 1,
    });
    const { recordId, commandId } = await world.run(taskId);
    const record = await world.endOf(recordId);
    expect(lost.hits).toBe(1);
    expect(record).toMatchObject({ status: "success", attempt: 2 });
    expect(
      agent.lines.filter((line) => line.msg === "command started" && line.command === commandId),
    ).toHaveLength(1);
    expect(await world.rows("select id from backup_records where task_id = ?", taskId)).toHaveLength(1);
    expect((await world.vaultKeys()).filter((key) => key.includes(`-t${taskId}-`))).toHaveLength(1);
    await world.expectCountedOnce(recordId);
  });

  test("every last report, once on its way and once on its way back: told again, nothing doubles", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    const agent = machine.start();
    await agent.logged("socket open");
    const { taskId } = await vaultTask(machine, 40);
    const { plan } = machine.network;
    const plans = [
      plan({ on: agentApi.updateRecord, when: final, trouble: { kind: "lose-request" }, times: 1 }),
      plan({ on: agentApi.updateRecord, when: final, trouble: { kind: "lose-answer" }, times: 1 }),
      plan({ on: agentApi.commandResult, trouble: { kind: "lose-request" }, times: 1 }),
      plan({ on: agentApi.commandResult, trouble: { kind: "lose-answer" }, times: 1 }),
    ];
    const { recordId, commandId } = await world.run(taskId);
    await agent.logged("result acknowledged", ({ command }) => command === commandId);
    expect(plans.map(({ hits }) => hits)).toEqual([1, 1, 1, 1]);
    expect(await world.record(recordId)).toMatchObject({ status: "success", attempt: 1, late: false });
    await world.expectCountedOnce(recordId);
    expect((await world.logOf(recordId)).match(/^done: /gm)).toHaveLength(1);
    const audit = await world.rows(
      "select id from audit_logs where entity = 'backup_task' and entity_id = ?",
      taskId,
    );
    expect(audit).toHaveLength(2);
    expect(machine.leftovers()).toEqual([]);
  });

  test("an upload's parts and its completion: stored once, and whole", async ({ onTestFinished }) => {
    const machine = await world.machine(onTestFinished);
    const agent = machine.start();
    await agent.logged("socket open");
    const { taskId, source } = await vaultTask(machine, 20 * 1024);
    const { plan } = machine.network;
    const plans = [
      plan({ on: agentApi.beginUpload, trouble: { kind: "lose-answer" }, times: 1 }),
      plan({ on: agentApi.uploadPart, trouble: { kind: "lose-request" }, times: 1 }),
      plan({ on: agentApi.uploadPart, trouble: { kind: "lose-answer" }, times: 1 }),
      plan({ on: agentApi.completeUpload, trouble: { kind: "lose-answer" }, times: 1 }),
    ];
    const { recordId } = await world.run(taskId);
    expect(await world.endOf(recordId)).toMatchObject({ status: "success" });
    expect(plans.map(({ hits }) => hits)).toEqual([1, 1, 1, 1]);
    await world.expectCountedOnce(recordId);
    await expectRestored(machine, recordId, source);
    expect(await world.rows("select * from vault_uploads where record_id = ?", recordId)).toEqual([]);
  });
});

describe.concurrent("the master is away", { timeout: TEST_MS }, () => {
  test("for a while in the middle of an upload: the backup goes on, and its result arrives", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    const agent = machine.start();
    await agent.logged("socket open");
    const { taskId, source } = await vaultTask(machine, 36 * 1024);
    const { recordId, commandId } = await world.run(taskId);
    await until("the first part", () => countOf(machine, "/parts/1") > 0);
    await machine.network.down();
    await delay(AWAY_MS);
    expect((await world.record(recordId)).status).toMatch(/queued|running/);
    await machine.network.up();
    expect(await world.endOf(recordId)).toMatchObject({ status: "success", attempt: 1 });
    expect(
      agent.lines.filter((line) => line.msg === "command started" && line.command === commandId),
    ).toHaveLength(1);
    await expectRestored(machine, recordId, source);
  });

  test("when the agent starts: it waits, says so once, and is there when the master is", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    await machine.network.down();
    const agent = machine.start();
    await agent.logged("cannot reach");
    await delay(3000);
    expect(agent.child.exitCode).toBeNull();
    expect(agent.lines.filter(({ msg }) => msg.includes("cannot reach"))).toHaveLength(1);
    await machine.network.up();
    await world.online(machine);
    await agent.logged("the master answers again");
  });
});

describe.concurrent("the doorbell is dead", { timeout: TEST_MS }, () => {
  test("browsing, backup and restore work by polling, and the node is online", async ({ onTestFinished }) => {
    const machine = await world.machine(onTestFinished);
    machine.network.refuseSockets = true;
    machine.start();
    await world.online(machine);
    const { taskId, source } = await vaultTask(machine, 40);
    const listing = await world.call(adminApi.browseNode, {
      params: { id: machine.nodeId },
      query: { path: source },
    });
    expect(listing.entries).toHaveLength(5);
    const { recordId } = await world.run(taskId);
    expect(await world.endOf(recordId)).toMatchObject({ status: "success" });
    await expectRestored(machine, recordId, source);
    expect(await world.call(adminApi.getNode, { params: { id: machine.nodeId } })).toMatchObject({
      status: "online",
      connection: "poll",
    });
  });

  test("a socket that breaks loses nothing: what is queued meanwhile is fetched by a poll", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    const agent = machine.start();
    await agent.logged("socket open");
    const { taskId } = await vaultTask(machine, 40);
    machine.network.refuseSockets = true;
    machine.network.cutSockets();
    await agent.logged("socket closed");
    expect(await world.endOf((await world.run(taskId)).recordId)).toMatchObject({ status: "success" });
  });
});
