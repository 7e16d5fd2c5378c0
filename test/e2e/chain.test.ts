import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminApi, agentApi } from "../../protocol/index.ts";
import { compareTrees } from "../../scripts/compare-trees.ts";
import { cleanEnv } from "./machine.ts";
import { TEST_MS, until } from "./until.ts";
import { sourceFolder, startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, TEST_MS);
afterAll(() => world?.close());

describe.concurrent("the whole chain", { timeout: TEST_MS }, () => {
  test("a code makes this machine a node, and the agent runs with what the enrolment wrote", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished, { name: "web-1" });
    const { code } = await world.call(adminApi.createNodeCode, { params: { id: machine.nodeId } });
    const folder = path.join(machine.folder, "enrolled");
    const config = path.join(folder, "agent.yaml");
    const options = [
      "--master",
      world.url.href,
      "--config",
      config,
      "--state-dir",
      path.join(folder, "state"),
    ];
    const enroll = () =>
      spawnSync(process.execPath, [world.agentEntry, "enroll", ...options, "--json"], {
        env: cleanEnv({ BACKUPX_AGENT_CODE: code }),
        encoding: "utf8",
      });
    const enrolled = enroll();
    expect(enrolled.stderr).toBe("");
    expect(JSON.parse(enrolled.stdout)).toMatchObject({ nodeId: machine.nodeId, name: "web-1" });
    for (const file of readdirSync(folder)) expect(statSync(path.join(folder, file)).mode & 0o077).toBe(0);
    rmSync(config);
    rmSync(path.join(folder, "token"));
    expect(enroll()).toMatchObject({ status: 1, stderr: expect.stringContaining("code") });
  });

  test("a backup is told live, stored, and restored elsewhere byte for byte", async ({ onTestFinished }) => {
    const machine = await world.machine(onTestFinished);
    machine.start();
    await world.online(machine);
    const source = sourceFolder(machine, 1200);
    symlinkSync("nowhere", path.join(source, "dangling"));
    const vault = await world.target("vault");
    const listing = await world.call(adminApi.browseNode, {
      params: { id: machine.nodeId },
      query: { path: source },
    });
    expect(listing.entries.map(({ name }) => name)).toEqual(readdirSync(source).toSorted(dirsFirst(source)));

    const taskId = await world.task(machine, {
      source: { type: "file", paths: [source] },
      targetIds: [vault],
      pipeline: { compression: "none", bandwidthBytesPerSecond: 250_000 },
    });
    const { recordId } = await world.run(taskId);
    const moving = await until("progress", async () => {
      const record = await world.record(recordId);
      return record.status === "running" && (record.progress?.sourceBytes ?? 0) > 0 ? record : null;
    });
    expect(moving.progress?.totalEntries ?? 1).toBeGreaterThan(0);
    const record = await world.endOf(recordId);
    expect(record).toMatchObject({
      status: "success",
      nodeId: machine.nodeId,
      warningCount: 0,
      errorMessage: "",
      copies: [{ targetId: vault, status: "success", checksum: record.checksum }],
    });
    expect(await world.logOf(recordId)).toMatch(/backup of .*\n[\s\S]*done: .* SHA-256/);
    expect(await world.vaultKeys()).toContain(record.copies[0]?.storagePath);

    const destination = path.join(machine.folder, "elsewhere");
    mkdirSync(destination);
    const { restoreId } = await world.call(adminApi.restoreRecord, {
      params: { id: recordId },
      body: { destination },
    });
    expect(await world.endOfRestore(restoreId)).toMatchObject({ status: "success", warningCount: 0 });
    const compared = compareTrees(source, path.join(destination, source), []);
    expect(compared).toMatchObject({ files: 5, differences: [] });
    await until("nothing in hand", () => machine.leftovers().length === 0, { seen: machine.leftovers });
  });

  test("selected paths alone are restored, by another node, from the vault", async ({ onTestFinished }) => {
    const from = await world.machine(onTestFinished);
    const to = await world.machine(onTestFinished);
    from.start();
    to.start();
    await Promise.all([world.online(from), world.online(to)]);
    const source = sourceFolder(from, 40);
    const targetIds = [await world.target("vault")];
    const taskId = await world.task(from, { source: { type: "file", paths: [source] }, targetIds });
    const record = await world.endOf((await world.run(taskId)).recordId);
    const destination = path.join(to.folder, "restored");
    mkdirSync(destination);
    const { restoreId, nodeId } = await world.call(adminApi.restoreRecord, {
      params: { id: record.id },
      body: { nodeId: to.nodeId, destination, selectedPaths: [path.join(source, "deep")] },
    });
    expect(nodeId).toBe(to.nodeId);
    expect(await world.endOfRestore(restoreId)).toMatchObject({ status: "success" });
    const restored = path.join(destination, source);
    expect(readdirSync(restored)).toEqual(["deep"]);
    expect(compareTrees(path.join(source, "deep"), path.join(restored, "deep"), []).differences).toEqual([]);
  });

  test("a backup goes to a disk and to the vault at once, and either copy restores", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    machine.start();
    await world.online(machine);
    const source = sourceFolder(machine, 100);
    const disk = path.join(machine.folder, "disk");
    mkdirSync(disk);
    const targetIds = [await world.target("local_disk", { path: disk }), await world.target("vault")];
    for (const id of targetIds) {
      const tested = await world.ask(adminApi.testTarget, {
        params: { id },
        body: { nodeId: machine.nodeId },
      });
      expect(tested, tested.message).toMatchObject({ status: 200, data: { ok: true } });
    }
    expect(readdirSync(disk, { recursive: true }).filter((name) => String(name).includes("check"))).toEqual(
      [],
    );
    const taskId = await world.task(machine, { source: { type: "file", paths: [source] }, targetIds });
    const record = await world.endOf((await world.run(taskId)).recordId);
    expect(record.status).toBe("success");
    expect(record.copies.map(({ targetId, status }) => ({ targetId, status }))).toEqual(
      targetIds.map((targetId) => ({ targetId, status: "success" })),
    );
    for (const targetId of targetIds) {
      const destination = path.join(machine.folder, `from-${targetId}`);
      mkdirSync(destination);
      const { restoreId } = await world.call(adminApi.restoreRecord, {
        params: { id: record.id },
        body: { targetId, destination },
      });
      expect(await world.endOfRestore(restoreId)).toMatchObject({ status: "success", targetId });
      expect(compareTrees(source, path.join(destination, source), []).differences).toEqual([]);
    }
  });

  test("a file that shrinks and one that vanishes while they are read are named in the record, which is a success", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    machine.start();
    await world.online(machine);
    const source = path.join(machine.folder, "source");
    mkdirSync(source);
    const [shrinking, vanishing, staying] = ["1-shrinks", "2-vanishes", "3-stays"].map((name) =>
      path.join(source, name),
    ) as [string, string, string];
    // More than the buffers on the way hold, so that most of it is still to be read when it is changed.
    writeFileSync(shrinking, Buffer.alloc(64 * 1024 * 1024, "s"));
    for (const file of [vanishing, staying]) writeFileSync(file, "content");
    let letGo = () => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    machine.network.plan({ on: agentApi.uploadPart, trouble: { kind: "hold", letGo: held } });
    const taskId = await world.task(machine, {
      source: { type: "file", paths: [source] },
      targetIds: [await world.target("vault")],
      pipeline: { compression: "none" },
    });
    const { recordId } = await world.run(taskId);
    await until("the first part", () =>
      machine.network.passed.some((call) => call.path.endsWith("/parts/1")),
    );
    truncateSync(shrinking, 60 * 1024 * 1024);
    rmSync(vanishing);
    machine.network.endPlans();
    letGo();
    const record = await world.endOf(recordId);
    expect(record).toMatchObject({ status: "success", warningCount: 2 });
    expect(record.warnings).toEqual([
      { path: shrinking, reason: expect.stringMatching(/^it shrank/) },
      { path: vanishing, reason: expect.stringMatching(/vanished/) },
    ]);
    const destination = path.join(machine.folder, "back");
    mkdirSync(destination);
    const { restoreId } = await world.call(adminApi.restoreRecord, {
      params: { id: recordId },
      body: { destination },
    });
    expect(await world.endOfRestore(restoreId)).toMatchObject({ status: "success" });
    expect(readFileSync(path.join(destination, staying), "utf8")).toBe("content");
  });

  test("two tasks whose names have no ASCII letter share no object, though they run at once for the same place", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished, { name: "node-of-two", maxConcurrent: 2 });
    machine.start();
    await world.online(machine);
    const disk = path.join(machine.folder, "disk");
    mkdirSync(disk);
    const targetIds = [await world.target("local_disk", { path: disk })];
    const sources = ["one", "two"].map((name) => sourceFolder(machine, 40, name));
    const names = ["数据库备份", "每日归档"];
    const taskIds = await Promise.all(
      sources.map((source, index) =>
        world.task(machine, {
          name: names[index] ?? "",
          source: { type: "file", paths: [source] },
          targetIds,
        }),
      ),
    );
    const runs = await Promise.all(taskIds.map((id) => world.run(id)));
    const records = await Promise.all(runs.map(({ recordId }) => world.endOf(recordId)));
    const keys = records.map(({ copies }) => copies[0]?.storagePath ?? "");
    expect(new Set(keys).size).toBe(2);
    for (const [index, record] of records.entries()) {
      expect(keys[index]).toMatch(
        new RegExp(`^BackupX/file/\\d{6}/records/${record.id}/task-t${taskIds[index]}-r${record.id}\\.tar`),
      );
      const destination = path.join(machine.folder, `back-${index}`);
      mkdirSync(destination);
      const { restoreId } = await world.call(adminApi.restoreRecord, {
        params: { id: record.id },
        body: { destination },
      });
      expect(await world.endOfRestore(restoreId)).toMatchObject({ status: "success" });
      const source = sources[index] ?? "";
      expect(compareTrees(source, path.join(destination, source), []).differences).toEqual([]);
    }
  });

  test("a failing target leaves the other copy good, and says why", async ({ onTestFinished }) => {
    const machine = await world.machine(onTestFinished);
    machine.start();
    await world.online(machine);
    const source = sourceFolder(machine, 20);
    const file = path.join(machine.folder, "a-file");
    writeFileSync(file, "");
    const bad = await world.target("local_disk", { path: path.join(file, "below") });
    const good = await world.target("vault");
    const taskId = await world.task(machine, {
      source: { type: "file", paths: [source] },
      targetIds: [bad, good],
    });
    const record = await world.endOf((await world.run(taskId)).recordId);
    expect(record.status).toBe("success");
    const byTarget = new Map(record.copies.map((copy) => [copy.targetId, copy]));
    expect(byTarget.get(good)).toMatchObject({ status: "success" });
    expect(byTarget.get(bad)).toMatchObject({ status: "failed", error: expect.stringMatching(/\S/) });
  });

  test("a SQLite database that is being written to is backed up whole and restored", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    machine.start();
    await world.online(machine);
    const file = path.join(machine.folder, "shop.db");
    const database = new DatabaseSync(file);
    database.exec("pragma journal_mode = wal; create table orders (id integer primary key, note text)");
    const insert = database.prepare("insert into orders (note) values (?)");
    for (let i = 0; i < 500; i++) insert.run(`order ${i}`);
    const targetIds = [await world.target("vault")];
    const taskId = await world.task(machine, { source: { type: "sqlite", paths: [file] }, targetIds });
    const { recordId } = await world.run(taskId);
    const record = await until("the backup", async () => {
      insert.run("written meanwhile");
      const now = await world.record(recordId);
      return now.status === "queued" || now.status === "running" ? null : now;
    });
    database.close();
    expect(record).toMatchObject({ status: "success", errorMessage: "" });
    const destination = path.join(machine.folder, "restored");
    mkdirSync(destination);
    const { restoreId } = await world.call(adminApi.restoreRecord, {
      params: { id: recordId },
      body: { destination },
    });
    expect(await world.endOfRestore(restoreId)).toMatchObject({ status: "success" });
    const copy = new DatabaseSync(path.join(destination, "shop.db"), { readOnly: true });
    expect(copy.prepare("pragma integrity_check").get()).toEqual({ integrity_check: "ok" });
    const { orders } = copy.prepare("select count(*) as orders from orders").get() as { orders: number };
    expect(orders).toBeGreaterThanOrEqual(500);
    copy.close();

    rmSync(file);
    const inPlace = await world.call(adminApi.restoreRecord, { params: { id: recordId }, body: {} });
    expect(await world.endOfRestore(inPlace.restoreId)).toMatchObject({ status: "success" });
    expect(readFileSync(file)).toEqual(readFileSync(path.join(destination, "shop.db")));
  });
});

const dirsFirst = (folder: string) => {
  const dirs = new Set(
    readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [entry.name] : [],
    ),
  );
  return (a: string, b: string) => Number(dirs.has(b)) - Number(dirs.has(a)) || (a < b ? -1 : 1);
};
