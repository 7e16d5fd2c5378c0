import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminApi, agentApi } from "../../protocol/index.ts";
import { childrenOf } from "../processes.ts";
import type { Machine } from "./machine.ts";
import { TEST_MS, until } from "./until.ts";
import { sourceFolder, startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, TEST_MS);
afterAll(() => world?.close());

type OnEnd = Parameters<World["machine"]>[0];

async function aNode(onEnd: OnEnd, args: string[] = []) {
  const machine = await world.machine(onEnd);
  const agent = machine.start(args);
  await agent.logged("socket open");
  return { machine, agent };
}

/** A task that moves this many KiB at this many KiB a second. */
async function slowTask(machine: Machine, kib: number, kibPerSecond: number | null): Promise<number> {
  return world.task(machine, {
    source: { type: "file", paths: [sourceFolder(machine, kib, `source-${kib}`)] },
    targetIds: [await world.target("vault")],
    pipeline: {
      compression: "none",
      bandwidthBytesPerSecond: kibPerSecond === null ? null : kibPerSecond * 1024,
    },
  });
}

const untilRunning = (recordId: number) =>
  until("the backup to run", async () => (await world.record(recordId)).status === "running");

const browse = (machine: Machine, folder: string) =>
  world.ask(adminApi.browseNode, { params: { id: machine.nodeId }, query: { path: folder } });

const objectsOf = async (recordId: number) =>
  (await world.vaultKeys()).filter((key) => key.includes(`/records/${recordId}/`));

describe.concurrent("beside a long backup", { timeout: TEST_MS }, () => {
  test("browsing answers, and a second task waits for its turn and then runs", async ({ onTestFinished }) => {
    const { machine } = await aNode(onTestFinished);
    const first = await world.run(await slowTask(machine, 1200, 60));
    const second = await world.run(await slowTask(machine, 20, null));
    await untilRunning(first.recordId);
    expect(await browse(machine, machine.folder)).toMatchObject({ status: 200 });
    expect((await world.record(first.recordId)).status).toBe("running");
    expect((await world.record(second.recordId)).status).toBe("queued");
    const [one, two] = [await world.endOf(first.recordId), await world.endOf(second.recordId)];
    expect([one.status, two.status]).toEqual(["success", "success"]);
    expect(two.startedAt).toBeGreaterThanOrEqual(one.finishedAt ?? Number.POSITIVE_INFINITY);
  });

  test("a browse whose caller gave up never runs later", async ({ onTestFinished }) => {
    const { machine, agent } = await aNode(onTestFinished);
    await machine.network.down();
    const answer = await browse(machine, machine.folder);
    expect(answer).toMatchObject({ status: 504, code: "AGENT_COMMAND_TIMEOUT" });
    const before = machine.network.passed.length;
    await machine.network.up();
    await until("a poll to be answered", () =>
      machine.network.passed
        .slice(before)
        .some((call) => call.path === agentApi.poll.path && call.status === 200),
    );
    expect(await browse(machine, machine.folder)).toMatchObject({ status: 200 });
    expect(agent.lines.filter(({ msg }) => msg === "command started")).toHaveLength(1);
    const commands = await world.rows<{ status: string }>(
      "select status from agent_commands where node_id = ? order by id",
      machine.nodeId,
    );
    expect(commands.map(({ status }) => status)).toEqual(["cancelled", "succeeded"]);
  });

  test("two clicks at the same instant make one run; the second is told which", async ({
    onTestFinished,
  }) => {
    const { machine } = await aNode(onTestFinished);
    const id = await slowTask(machine, 600, 200);
    const click = () => world.ask(adminApi.runTask, { params: { id } });
    const answers = (await Promise.all([click(), click()])).toSorted((a, b) => a.status - b.status);
    expect(answers.map(({ status }) => status)).toEqual([200, 409]);
    const recordId = answers[0]?.data.recordId ?? 0;
    expect(answers[1]).toMatchObject({ code: "TASK_ALREADY_RUNNING" });
    expect(answers[1]?.message).toContain(`record ${recordId}`);
    expect(await world.rows("select id from backup_records where task_id = ?", id)).toEqual([
      { id: recordId },
    ]);
    expect(await world.endOf(recordId)).toMatchObject({ status: "success" });
  });
});

describe.concurrent("cancel", { timeout: TEST_MS }, () => {
  test("a queued run ends at once and never starts", async ({ onTestFinished }) => {
    const { machine, agent } = await aNode(onTestFinished);
    const first = await world.run(await slowTask(machine, 600, 100));
    const second = await world.run(await slowTask(machine, 20, null));
    await untilRunning(first.recordId);
    await world.call(adminApi.cancelRecord, { params: { id: second.recordId } });
    expect(await world.record(second.recordId)).toMatchObject({
      status: "cancelled",
      errorMessage: expect.stringContaining("before it started"),
    });
    expect((await world.endOf(first.recordId)).status).toBe("success");
    expect(await browse(machine, machine.folder)).toMatchObject({ status: 200 });
    expect(agent.lines.some(({ command }) => command === second.commandId)).toBe(false);
  });

  test("a running upload stops: its process is gone, and nothing of it stays in the vault", async ({
    onTestFinished,
  }) => {
    const { machine, agent } = await aNode(onTestFinished);
    const taskId = await slowTask(machine, 44 * 1024, 3 * 1024);
    const { recordId, commandId } = await world.run(taskId);
    await until("a part to be stored", () =>
      machine.network.passed.some((call) => call.path.endsWith("/parts/1") && call.status === 200),
    );
    expect(await world.rows("select * from vault_uploads where record_id = ?", recordId)).toHaveLength(1);
    const children = childrenOf(agent.pid);
    expect(children).toHaveLength(1);
    await world.call(adminApi.cancelRecord, { params: { id: recordId } });
    expect(await world.endOf(recordId)).toMatchObject({ status: "cancelled", copies: [] });
    await until("the job's process to be gone", () => children.every((pid) => !existsSync(`/proc/${pid}`)));
    await agent.logged("result acknowledged", ({ command }) => command === commandId);
    expect(machine.leftovers()).toEqual([]);
    expect(await world.rows("select * from vault_uploads where record_id = ?", recordId)).toEqual([]);
    expect(await objectsOf(recordId)).toEqual([]);
    expect((await world.ask(adminApi.cancelRecord, { params: { id: recordId } })).code).toBe("ALREADY_ENDED");
    // The task is free again.
    expect((await world.ask(adminApi.runTask, { params: { id: taskId } })).status).toBe(200);
  });

  test("a running restore stops: its process is gone, and nothing is restored or left in the work folder", async ({
    onTestFinished,
  }) => {
    const { machine, agent } = await aNode(onTestFinished);
    const { recordId } = await world.run(await slowTask(machine, 600, null));
    expect(await world.endOf(recordId)).toMatchObject({ status: "success" });
    const trouble = { kind: "hold", letGo: new Promise<never>(() => {}) } as const;
    machine.network.plan({ on: agentApi.restoreArtifact, trouble });
    const destination = path.join(machine.folder, "restored");
    const { restoreId } = await world.call(adminApi.restoreRecord, {
      params: { id: recordId },
      body: { destination },
    });
    await until("the artifact to be asked for", () =>
      machine.network.passed.some((call) => call.path.endsWith("/artifact")),
    );
    const children = childrenOf(agent.pid);
    expect(children).toHaveLength(1);
    await world.call(adminApi.cancelRestore, { params: { id: restoreId } });
    expect(await world.endOfRestore(restoreId)).toMatchObject({ status: "cancelled" });
    await until("the job's process to be gone", () => children.every((pid) => !existsSync(`/proc/${pid}`)));
    await until("nothing in hand", () => machine.leftovers().length === 0, { seen: machine.leftovers });
    expect(existsSync(destination) ? readdirSync(destination) : []).toEqual([]);
    expect((await world.ask(adminApi.cancelRestore, { params: { id: restoreId } })).code).toBe(
      "ALREADY_ENDED",
    );
    machine.network.endPlans();
    const again = await world.call(adminApi.restoreRecord, {
      params: { id: recordId },
      body: { destination },
    });
    expect(await world.endOfRestore(again.restoreId)).toMatchObject({ status: "success" });
  });

  test("while the agent is away: it stops as soon as the agent hears of it", async ({ onTestFinished }) => {
    const { machine, agent } = await aNode(onTestFinished);
    const { recordId } = await world.run(await slowTask(machine, 24 * 1024, 400));
    await untilRunning(recordId);
    await machine.network.down();
    await world.call(adminApi.cancelRecord, { params: { id: recordId } });
    expect((await world.record(recordId)).status).toBe("running");
    await machine.network.up();
    expect(await world.endOf(recordId)).toMatchObject({ status: "cancelled" });
    await until("the job's process to be gone", () => childrenOf(agent.pid).length === 0);
  });
});

describe.concurrent("SIGTERM", { timeout: TEST_MS }, () => {
  test("a backup that ends within the grace ends well, and the agent exits with 0", async ({
    onTestFinished,
  }) => {
    const { machine, agent } = await aNode(onTestFinished);
    const { recordId } = await world.run(await slowTask(machine, 400, 100));
    await untilRunning(recordId);
    const waiting = await world.run(await slowTask(machine, 20, null));
    expect(await agent.end("SIGTERM")).toBe(0);
    expect(await world.record(recordId)).toMatchObject({ status: "success" });
    expect((await world.record(waiting.recordId)).status).toBe("queued");
    expect(machine.leftovers()).toEqual([]);
    machine.start();
    expect(await world.endOf(waiting.recordId)).toMatchObject({ status: "success" });
  });

  test("one that does not is stopped and reported before the agent exits with 0", async ({
    onTestFinished,
  }) => {
    const { machine, agent } = await aNode(onTestFinished, ["--grace", "1s"]);
    const { recordId } = await world.run(await slowTask(machine, 24 * 1024, 100));
    await untilRunning(recordId);
    const children = childrenOf(agent.pid);
    expect(await agent.end("SIGTERM")).toBe(0);
    expect(await world.record(recordId)).toMatchObject({
      status: "failed",
      errorMessage: "the agent was stopped",
    });
    expect(children.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
    expect(await world.rows("select * from vault_uploads where record_id = ?", recordId)).toEqual([]);
    expect(machine.leftovers()).toEqual([]);
  });
});

describe("secrets on the machine", { timeout: TEST_MS }, () => {
  test("no token and no storage secret is in a command line, an environment, a log or a file of others", async ({
    onTestFinished,
  }) => {
    const { machine, agent } = await aNode(onTestFinished);
    const secret = "planted-secret-0123456789abcdef";
    const s3 = await world.call(adminApi.createTarget, {
      body: {
        name: "s3 with a secret",
        type: "s3",
        config: { endpoint: "http://127.0.0.1:1", bucket: "nowhere" },
        secrets: { accessKeyId: "planted-key-id", secretAccessKey: secret },
      },
    });
    const source = sourceFolder(machine, 600);
    const taskId = await world.task(machine, {
      source: { type: "file", paths: [source] },
      targetIds: [await world.target("vault"), s3.id],
      pipeline: { compression: "none", bandwidthBytesPerSecond: 100 * 1024 },
    });
    const { recordId } = await world.run(taskId);
    await untilRunning(recordId);
    const children = childrenOf(agent.pid);
    expect(children).toHaveLength(1);
    const seen = [agent.pid, ...children].flatMap((pid) =>
      ["cmdline", "environ"].map((file) => readFileSync(`/proc/${pid}/${file}`, "utf8")),
    );
    const work = path.join(machine.stateDir, "work");
    expect(readdirSync(work)).toEqual([expect.stringMatching(/^job-[0-9a-f]{24}$/)]);
    for (const [entry, mode] of modesBelow(machine.stateDir)) {
      expect(mode & 0o077, `${entry} ${mode.toString(8)}`).toBe(0);
    }
    const files = modesBelow(machine.stateDir).flatMap(([entry]) =>
      statSync(entry).isFile() ? [readFileSync(entry, "utf8")] : [],
    );
    const record = await world.endOf(recordId);
    expect(record.copies.map(({ status }) => status).toSorted()).toEqual(["failed", "success"]);
    const told = [agent.output(), await world.logOf(recordId), JSON.stringify(record)];
    for (const text of [...seen, ...files, ...told]) {
      for (const hidden of [machine.token, secret]) expect(text.includes(hidden)).toBe(false);
    }
  });
});

function modesBelow(folder: string): [string, number][] {
  const all = readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) =>
    path.join(folder, name),
  );
  return [folder, ...all].flatMap((entry) => {
    const found = statSync(entry, { throwIfNoEntry: false });
    return found ? [[entry, found.mode] as [string, number]] : [];
  });
}
