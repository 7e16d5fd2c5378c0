import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { z } from "zod";
import { adminApi, agentApi } from "../../protocol/index.ts";
import {
  type DatabaseServer,
  neverRestored,
  startMariadb,
  startPostgres,
  temporaryServersBelow,
} from "../fakes/database-servers.ts";
import { testWith } from "../needs.ts";
import { childrenOf, signalAll } from "../processes.ts";
import { startConfigured } from "./configured-agent.ts";
import type { Machine } from "./machine.ts";
import { TEST_MS, until } from "./until.ts";
import { sourceFolder, startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, TEST_MS);
afterAll(() => world?.close());

type OnEnd = Parameters<World["machine"]>[0];
type Place = { type: "vault" } | { type: "local_disk" };

async function aNode(onEnd: OnEnd) {
  const machine = await world.machine(onEnd);
  const agent = machine.start();
  await agent.logged("socket open");
  return { machine, agent };
}

/** A good backup of some files, in the vault or on the node's own disk. */
async function aBackup(machine: Machine, place: Place["type"], kib = 200) {
  const disk = path.join(machine.folder, "backups");
  const targetId = await world.target(place, place === "local_disk" ? { path: disk } : {});
  const taskId = await world.task(machine, {
    source: { type: "file", paths: [sourceFolder(machine, kib)] },
    targetIds: [targetId],
    pipeline: { compression: "zstd" },
  });
  const record = await world.endOf((await world.run(taskId)).recordId);
  expect(record.status).toBe("success");
  const key = record.copies[0]?.storagePath ?? "";
  return { taskId, record, targetId, key, file: path.join(disk, key) };
}

const read = (id: number) => world.call(adminApi.getVerification, { params: { id } });

async function start(recordId: number, body: object = {}): Promise<number> {
  const started = await world.call(adminApi.verifyRecord, { params: { id: recordId }, body });
  return started.verifications[0]?.verificationId ?? 0;
}

const endOf = (id: number) =>
  until(
    `verification ${id} to end`,
    async () => {
      const one = await read(id);
      return one.status === "queued" || one.status === "running" ? null : one;
    },
    { seen: () => read(id) },
  );

const verified = async (recordId: number, body: object = {}) => endOf(await start(recordId, body));

describe.concurrent("a verification by the real agent", { timeout: TEST_MS }, () => {
  test("reaches each grade of a good backup and leaves nothing on the machine", async ({
    onTestFinished,
  }) => {
    const { machine } = await aNode(onTestFinished);
    const { record } = await aBackup(machine, "local_disk");
    for (const grade of [1, 2, 3, 4] as const) {
      const one = await verified(record.id, { grade });
      expect(one, JSON.stringify(one)).toMatchObject({
        status: "success",
        reachedGrade: grade,
        damaged: false,
      });
    }
    expect(await world.record(record.id)).toMatchObject({
      verifiedGrade: 4,
      verifiedNodeId: machine.nodeId,
      lastVerification: { status: "success" },
    });
    await until("nothing in hand", () => machine.leftovers().length === 0, { seen: machine.leftovers });
    const log = await world.call(adminApi.verificationLog, {
      params: { id: (await world.record(record.id)).lastVerification?.id ?? 0 },
    });
    expect(log.lines.map(({ text }) => text).join("")).toMatch(/grade 4: restored, all \d+ entries/);
  });

  test("on another node reads the vault from there, and what it says is that node's word", async ({
    onTestFinished,
  }) => {
    const { machine } = await aNode(onTestFinished);
    const { machine: other } = await aNode(onTestFinished);
    const { record } = await aBackup(machine, "vault");
    const before = machine.network.passed.length;
    const one = await verified(record.id, { grade: 4, nodeId: other.nodeId });
    expect(one).toMatchObject({ status: "success", reachedGrade: 4, nodeId: other.nodeId });
    expect(await world.record(record.id)).toMatchObject({ verifiedNodeId: other.nodeId });
    const artifact = agentApi.verificationArtifact.path.split("/").at(-1) as string;
    expect(machine.network.passed.slice(before).some(({ path }) => path.endsWith(artifact))).toBe(false);
  });

  test("finds a flipped bit, a truncated, a missing artifact, and keeps restores from it", async ({
    onTestFinished,
  }) => {
    const { machine } = await aNode(onTestFinished);
    const { record, file } = await aBackup(machine, "local_disk");
    const original = readFileSync(file);
    const flipped = Buffer.from(original);
    flipped[original.length >> 1] = (flipped[original.length >> 1] ?? 0) ^ 4;
    writeFileSync(file, flipped);
    const found = await verified(record.id, { grade: 3 });
    const hash = createHash("sha256").update(flipped).digest("hex");
    expect(found).toMatchObject({ status: "failed", damaged: true, reachedGrade: 1 });
    expect(found.errorMessage).toContain(`its SHA-256 is ${hash}, and ${record.checksum} was recorded`);
    expect((await world.record(record.id)).copies[0]).toMatchObject({ status: "damaged" });
    const restore = await world.ask(adminApi.restoreRecord, {
      params: { id: record.id },
      body: { destination: path.join(machine.folder, "back") },
    });
    expect(restore).toMatchObject({ status: 409, code: "RECORD_NOT_RESTORABLE" });
    const told = await world.call(adminApi.listNotifications, { query: { limit: 200 } });
    expect(told.items).toContainEqual(
      expect.objectContaining({ kind: "copy_damaged", recordId: record.id, nodeId: machine.nodeId }),
    );

    truncateSync(file, original.length - 10);
    expect(await verified(record.id, { grade: 3 })).toMatchObject({
      damaged: true,
      reachedGrade: null,
      errorMessage: `it has ${original.length - 10} bytes, and ${original.length} were stored`,
    });
    rmSync(file);
    expect(await verified(record.id, { grade: 1 })).toMatchObject({
      damaged: true,
      errorMessage: "it is not there any more",
    });
    writeFileSync(file, original);
    expect(await verified(record.id, { grade: 2 })).toMatchObject({ status: "success", reachedGrade: 2 });
    expect((await world.record(record.id)).copies[0]).toMatchObject({ status: "success", error: "" });
  });

  test("of an object that is gone from the vault says so", async ({ onTestFinished }) => {
    const { machine } = await aNode(onTestFinished);
    const { record, targetId } = await aBackup(machine, "vault");
    await world.change(
      "update record_copies set storage_path = storage_path || '.gone' where record_id = ? and target_id = ?",
      record.id,
      targetId,
    );
    expect(await verified(record.id, { grade: 1 })).toMatchObject({
      status: "failed",
      damaged: true,
      errorMessage: "it is not there any more",
    });
  });

  test("is cancelled while it runs: its process and its scratch place go", async ({ onTestFinished }) => {
    const { machine, agent, id } = await aHeldOne(onTestFinished);
    const children = childrenOf(agent.pid);
    expect(children).toHaveLength(1);
    await world.call(adminApi.cancelVerification, { params: { id } });
    expect(await endOf(id)).toMatchObject({ status: "cancelled", damaged: false });
    await until("the job's process to be gone", () => children.every((pid) => !existsSync(`/proc/${pid}`)));
    await until("nothing in hand", () => machine.leftovers().length === 0, { seen: machine.leftovers });
  });

  test("whose agent is killed (kill -9) fails as soon as that is back, says nothing against the backup, and leaves nothing", async ({
    onTestFinished,
  }) => {
    const { machine, agent, id, recordId } = await aHeldOne(onTestFinished);
    const children = childrenOf(agent.pid);
    expect(readdirSync(path.join(machine.stateDir, "work"))).toHaveLength(1);
    await agent.end("SIGKILL");
    await until("the job's process to be gone", () => children.every((pid) => !existsSync(`/proc/${pid}`)));
    machine.network.endPlans();
    machine.start();
    expect(await endOf(id)).toMatchObject({
      status: "failed",
      damaged: false,
      errorMessage: expect.stringContaining("interrupted"),
    });
    await until("nothing in hand", () => machine.leftovers().length === 0, { seen: machine.leftovers });
    expect(await world.record(recordId)).toMatchObject({ verifiedGrade: null });
    expect((await world.record(recordId)).copies[0]).toMatchObject({ status: "success" });
    expect(await verified(recordId, { grade: 3 })).toMatchObject({ status: "success", reachedGrade: 3 });
  });

  test("by schedule verifies the newest record", async ({ onTestFinished }) => {
    const { machine } = await aNode(onTestFinished);
    const { record, taskId } = await aBackup(machine, "vault");
    await world.call(adminApi.updateTask, {
      params: { id: taskId },
      body: { verification: { grade: 2, schedule: "0 4 * * *", nodeId: null } },
    });
    await world.change("update backup_tasks set next_verify_at = 1 where id = ?", taskId);
    await world.sweep();
    const { items } = await world.call(adminApi.listVerifications, { query: { recordId: record.id } });
    expect(items).toHaveLength(1);
    expect(await endOf(items[0]?.id ?? 0)).toMatchObject({
      status: "success",
      trigger: "catch_up",
      reachedGrade: 2,
    });
    const task = await world.call(adminApi.getTask, { params: { id: taskId } });
    expect(task).toMatchObject({ verifiedGrade: 2, recent: { verified: 1 } });
    expect(task.nextVerifyAt).toBeGreaterThan(Date.now());
  });

  test("asks the program that the node's configuration names for a command, however long that takes", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    const sh = (script: string) => ["/bin/sh", "-c", script];
    const run = sh("seq 1 100000");
    await startConfigured(world, machine, {
      stallTimeout: "8s",
      commands: {
        sound: { run, verify: sh("tail -n 1 | grep -qx 100000 && sleep 12") },
        wrong: { run, verify: sh("cat > /dev/null; echo the last line is missing >&2; exit 1") },
        unseen: { run },
      },
    });
    const targetIds = [await world.target("vault")];
    const verify = async (name: string) => {
      const taskId = await world.task(machine, { source: { type: "command", name }, targetIds });
      const { recordId } = await world.run(taskId);
      expect(await world.endOf(recordId)).toMatchObject({ status: "success" });
      return { recordId, one: await verified(recordId, { grade: 3 }) };
    };
    const [sound, wrong, unseen] = await Promise.all(["sound", "wrong", "unseen"].map(verify));
    expect(sound?.one).toMatchObject({ status: "success", reachedGrade: 3, damaged: false });
    expect(wrong?.one).toMatchObject({ status: "failed", reachedGrade: 2, damaged: true });
    expect(wrong?.one.errorMessage).toBe("sh ended with code 1: the last line is missing");
    expect((await world.record(wrong?.recordId ?? 0)).copies[0]).toMatchObject({ status: "damaged" });
    expect(unseen?.one).toMatchObject({ status: "incomplete", reachedGrade: 2, damaged: false });
    expect(unseen?.one.errorMessage).toContain("`verify: [program, argument…]` at `commands.unseen`");
  });
});

type Database = {
  needs: string[];
  start(): Promise<DatabaseServer>;
  source(server: DatabaseServer): z.input<typeof adminApi.createTask.body>["source"];
  fill(server: DatabaseServer): void;
};

const databases: Record<string, Database> = {
  PostgreSQL: {
    needs: ["pg_ctlcluster"],
    start: startPostgres,
    source: ({ socket, port }) => ({
      type: "postgresql",
      host: socket,
      port,
      user: "postgres",
      databases: ["shop"],
    }),
    fill(server) {
      server.sql("create database shop");
      server.sql(neverRestored, "shop");
    },
  },
  MariaDB: {
    needs: ["mariadbd", "mariadb-dump"],
    start: startMariadb,
    source: ({ port }) => ({
      type: "mysql",
      host: "127.0.0.1",
      port,
      user: "root",
      databases: ["shop"],
    }),
    fill: (server) =>
      void server.sql("create database shop; use shop; create table t as select seq from seq_1_to_100"),
  },
};

for (const [name, { needs, start: startServer, source, fill }] of Object.entries(databases)) {
  testWith(
    [...needs, "setpriv", "openssl"],
    `a temporary server of ${name} is gone with all of its files as soon as an agent is back that was killed with its job`,
    async () => {
      const server = await startServer();
      onTestFinished(() => server.close());
      fill(server);
      const { machine, agent } = await aNode(onTestFinished);
      const secrets = { password: server.password };
      const targetIds = [await world.target("vault")];
      const taskId = await world.task(machine, { source: source(server), secrets, targetIds });
      const record = await world.endOf((await world.run(taskId)).recordId);
      expect(record.status, record.errorMessage).toBe("success");
      const id = await start(record.id, { grade: 4 });
      await until(
        "the server",
        () => temporaryServersBelow(path.join(machine.stateDir, "work")).some(({ serves }) => serves),
        {
          seen: () => agent.output(),
        },
      );
      const children = childrenOf(agent.pid);
      signalAll(children, "SIGSTOP");
      await agent.end("SIGKILL");
      signalAll(children, "SIGKILL");
      expect(temporaryServersBelow(path.join(machine.stateDir, "work"))).not.toEqual([]);
      await machine.start().logged("agent started");
      expect(temporaryServersBelow(path.join(machine.stateDir, "work"))).toEqual([]);
      expect(await endOf(id)).toMatchObject({ status: "failed", damaged: false });
      await until("nothing in hand", () => machine.leftovers().length === 0, { seen: machine.leftovers });
    },
    TEST_MS,
  );
}

/** A verification whose job waits for the vault's bytes, which the network holds back. */
async function aHeldOne(onEnd: OnEnd) {
  const { machine, agent } = await aNode(onEnd);
  const { record } = await aBackup(machine, "vault");
  machine.network.plan({
    on: agentApi.verificationArtifact,
    trouble: { kind: "hold", letGo: new Promise<never>(() => {}) },
  });
  const id = await start(record.id, { grade: 4 });
  const artifact = agentApi.verificationArtifact.path.replace(":id", String(id));
  await until("the artifact to be asked for", () =>
    machine.network.passed.some((call) => call.path.startsWith(artifact)),
  );
  return { machine, agent, id, recordId: record.id };
}
