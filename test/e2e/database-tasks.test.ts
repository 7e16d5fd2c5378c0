import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { type DatabaseServer, startPostgres } from "../fakes/database-servers.ts";
import { testWith } from "../needs.ts";
import { startConfigured } from "./configured-agent.ts";
import type { Machine } from "./machine.ts";
import { TEST_MS, until } from "./until.ts";
import { startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, TEST_MS);
afterAll(() => world.close());

const sh = (script: string): string[] => ["/bin/sh", "-c", script];

const startWith = (machine: Machine, allowed: object) => startConfigured(world, machine, allowed);

test(
  "a command and its hooks: saved only as the node allows them, run, and brought back",
  async ({ onTestFinished }) => {
    const machine = await world.machine(onTestFinished);
    const notes = path.join(machine.folder, "notes");
    const back = path.join(machine.folder, "back");
    await startWith(machine, {
      commands: { dump: { run: sh("seq 1 100000"), restore: sh(`cat > ${back}`) } },
      hooks: {
        stop: { run: sh(`echo "stop" >> ${notes}; echo stopping`) },
        start: { run: sh(`echo "start $BACKUPX_STATUS" >> ${notes}`) },
      },
    });
    const targetIds = [await world.target("vault")];
    const source = { type: "command" as const, name: "dump" };
    const refused = await world.ask(adminApi.createTask, {
      body: {
        name: "not allowed",
        nodeId: machine.nodeId,
        source: { type: "command", name: "rm" },
        targetIds,
      },
    });
    expect(refused).toMatchObject({ status: 409, code: "NODE_CANNOT_RUN_TASK" });
    expect(refused.message).toMatch(/no command rm \(it allows: dump\)/);
    const hooks = { before: "stop", afterAlways: "start" };
    const taskId = await world.task(machine, { source, targetIds, hooks });
    const { recordId } = await world.run(taskId);
    const record = await world.endOf(recordId);
    expect(record).toMatchObject({ status: "success", sourceType: "command", sourceBytes: 588_895 });
    expect(record.fileName).toMatch(/\.bin\.zst$/);
    expect(readFileSync(notes, "utf8")).toBe("stop\nstart success\n");
    expect(await world.logOf(recordId)).toContain("hook stop: stopping");

    const { restoreId } = await world.call(adminApi.restoreRecord, { params: { id: recordId }, body: {} });
    expect(await world.endOfRestore(restoreId)).toMatchObject({ status: "success" });
    expect(readFileSync(back, "utf8").split("\n")).toHaveLength(100_001);
  },
  TEST_MS,
);

testWith(
  ["mariadb-dump", "restic", "rclone"],
  "a program that the node lacks is told when the task is saved, until the agent has found it",
  async () => {
    const machine = await world.machine(onTestFinished);
    const path = process.env.PATH;
    process.env.PATH = "/nowhere";
    const without = await startWith(machine, {}).finally(() => (process.env.PATH = path));
    const local = await world.target("local_disk", { path: machine.folder });
    const body = { name: "a cloud", type: "rclone" as const, config: { remote: "nas:backups" } };
    const { id: cloud } = await world.call(adminApi.createTarget, { body });
    const files = { type: "file" as const, paths: ["/srv"] };
    const mysql = { type: "mysql" as const, host: "127.0.0.1", port: 3306, user: "root" };
    const restic = { pipeline: { engine: "restic" as const }, secrets: { resticPassword: "p" } };
    const lacking = [
      { words: /mariadb-client/, source: mysql, targetIds: [local], secrets: { password: "p" } },
      { words: /finds no program rclone.*install it there/, source: files, targetIds: [cloud] },
      { words: /finds no program restic: install it there/, source: files, targetIds: [local], ...restic },
    ].map(({ words, ...task }, index) => {
      const body = { ...task, name: `lacking ${index}`, nodeId: machine.nodeId };
      return { words, save: () => world.ask(adminApi.createTask, { body }) };
    });
    for (const { words, save } of lacking) {
      expect(await save()).toMatchObject({
        status: 409,
        code: "NODE_CANNOT_RUN_TASK",
        message: expect.stringMatching(words),
      });
    }
    await without.end("SIGKILL");
    machine.start();
    for (const { save } of lacking) {
      await until("the task to be saved", async () => (await save()).status === 200 || undefined);
    }
  },
  TEST_MS,
);

test(
  "a program that a command names and that is not there is told when the task is saved, until it is there",
  async ({ onTestFinished }) => {
    const machine = await world.machine(onTestFinished);
    const program = path.join(machine.folder, "check");
    const dump = { run: sh("seq 1 10"), restore: [program], verify: [program] };
    // More of them, and longer ones, than a heartbeat may name.
    const others = Array.from({ length: 60 }, (_, i) => [`other-${i}`, { run: [`/${"x".repeat(250)}`] }]);
    const allowed = { commands: { dump, ...Object.fromEntries(others) } };
    const agent = await startWith(machine, allowed);
    const body = {
      name: "dump to be checked",
      nodeId: machine.nodeId,
      source: { type: "command" as const, name: "dump" },
      targetIds: [await world.target("vault")],
    };
    const save = () => world.ask(adminApi.createTask, { body });
    const refused = (problem: string) => ({
      status: 409,
      code: "NODE_CANNOT_RUN_TASK",
      message: expect.stringContaining(
        `${program} at \`commands.dump.restore\`, which cannot be started there (${problem})`,
      ),
    });
    expect(await save()).toMatchObject(refused("ENOENT"));
    writeFileSync(program, "#!/bin/sh\n");
    await agent.end("SIGKILL");
    const again = await startWith(machine, allowed);
    await until("the agent's new word", async () => (await save()).message.includes("EACCES") || undefined);
    expect(await save()).toMatchObject(refused("EACCES"));
    chmodSync(program, 0o755);
    await again.end("SIGKILL");
    await startWith(machine, allowed);
    await until("the task to be saved", async () => (await save()).status === 200 || undefined);
  },
  TEST_MS,
);

test(
  "a preview of files, asked of the node, counts as a backup would",
  async ({ onTestFinished }) => {
    const machine = await world.machine(onTestFinished);
    await startWith(machine, {});
    const folder = path.join(machine.folder, "source");
    mkdirSync(path.join(folder, "cache"), { recursive: true });
    writeFileSync(path.join(folder, "a"), "12345");
    writeFileSync(path.join(folder, "cache", "b"), "12345");
    const preview = await world.call(adminApi.previewSource, {
      params: { id: machine.nodeId },
      body: { source: { type: "file", paths: [folder], excludes: ["cache/"] } },
    });
    expect(preview).toMatchObject({ complete: true, entries: 2, bytes: 5, excluded: { count: 1 } });
    const missing = await world.ask(adminApi.previewSource, {
      params: { id: machine.nodeId },
      body: { source: { type: "file", paths: [path.join(folder, "gone")] } },
    });
    expect(missing).toMatchObject({ status: 502, code: "NODE_COMMAND_FAILED" });
  },
  TEST_MS,
);

testWith(
  ["pg_ctlcluster", "setpriv", "openssl"],
  "PostgreSQL: databases are discovered, previewed, backed up with the sealed password and restored under another name",
  async () => {
    const ends: (() => Promise<void>)[] = [];
    const server: DatabaseServer = await startPostgres();
    try {
      const machine = await world.machine((end) => ends.push(end));
      const agent = await startWith(machine, {});
      server.sql("create database shop");
      server.sql("create table t as select i, md5(i::text) from generate_series(1, 5000) i", "shop");
      const secrets = { password: server.password };
      const node = { params: { id: machine.nodeId } };
      const place = { type: "postgresql" as const, host: server.socket, port: server.port, user: "postgres" };
      const found = await world.call(adminApi.discoverDatabases, {
        ...node,
        body: { server: place, secrets },
      });
      expect(found.databases).toContainEqual({ name: "shop", sizeBytes: expect.any(Number) });

      const source = { ...place, databases: ["shop"] };
      const taskId = await world.task(machine, { source, secrets, targetIds: [await world.target("vault")] });
      const preview = await world.call(adminApi.previewSource, { ...node, body: { source, taskId } });
      expect(preview).toMatchObject({ complete: true, entries: 1, tools: { pg_dump: expect.any(String) } });
      const { recordId } = await world.run(taskId);
      expect(await world.endOf(recordId)).toMatchObject({ status: "success", sourceType: "postgresql" });
      const { restoreId } = await world.call(adminApi.restoreRecord, {
        params: { id: recordId },
        body: { options: { renameDatabases: { shop: "shop_again" } } },
      });
      expect(await world.endOfRestore(restoreId)).toMatchObject({ status: "success" });
      const sums = (name: string) =>
        server.sql("select md5(string_agg(t::text, ',' order by i)) from t", name);
      expect(sums("shop_again")).toBe(sums("shop"));
      const everything = [agent.output(), await world.logOf(recordId)].join("\n");
      expect(everything).not.toContain(server.password);
      expect(JSON.stringify(await world.rows("select * from agent_commands"))).not.toContain(server.password);
    } finally {
      for (const end of ends) await end();
      await server.close();
    }
  },
  TEST_MS,
);
