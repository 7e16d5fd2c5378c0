import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { compareTrees } from "../../scripts/compare-trees.ts";
import type { Machine } from "./machine.ts";
import { TEST_MS, until } from "./until.ts";
import { sourceFolder, startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, TEST_MS);
afterAll(() => world?.close());

type OnEnd = Parameters<World["machine"]>[0];

/** A machine with a task whose backups are differential, and a tree that is older than the clock's doubt. */
async function aTask(onEnd: OnEnd, storage: "vault" | "local_disk") {
  const machine = await world.machine(onEnd);
  machine.start();
  await world.online(machine);
  const source = sourceFolder(machine, 120);
  const store = path.join(machine.folder, "store");
  mkdirSync(store);
  const target = await world.target(storage, storage === "vault" ? {} : { path: store });
  const taskId = await world.task(machine, {
    source: { type: "file", paths: [source] },
    targetIds: [target],
    pipeline: { differential: { fullEveryDays: 30 } },
  });
  await sleep(2_500);
  return { machine, source, store, taskId };
}

async function backUp(taskId: number) {
  const record = await world.endOf((await world.run(taskId)).recordId);
  expect(record, record.errorMessage).toMatchObject({ status: "success" });
  return record;
}

async function restored(machine: Machine, recordId: number, name: string) {
  const destination = path.join(machine.folder, name);
  mkdirSync(destination);
  const { restoreId } = await world.call(adminApi.restoreRecord, {
    params: { id: recordId },
    body: { destination },
  });
  return { destination, end: await world.endOfRestore(restoreId) };
}

async function expectRestored(machine: Machine, recordId: number, name: string, source: string) {
  const { destination, end } = await restored(machine, recordId, name);
  expect(end, end.errorMessage).toMatchObject({ status: "success" });
  expect(compareTrees(source, path.join(destination, source), []).differences).toEqual([]);
}

const indexes = (machine: Machine) => path.join(machine.stateDir, "indexes");

function changeTree(source: string): void {
  const [first = "", second = ""] = readdirSync(source, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => path.join(source, name));
  writeFileSync(first, "changed");
  rmSync(second);
  mkdirSync(path.join(source, "fresh"));
  writeFileSync(path.join(source, "fresh/new\nname"), "new");
}

describe.concurrent("differential backups", { timeout: TEST_MS }, () => {
  test("store what has changed since the full one, restore what was there, and keep their base", async ({
    onTestFinished,
  }) => {
    const { machine, source, taskId } = await aTask(onTestFinished, "local_disk");
    const full = await backUp(taskId);
    expect(full).toMatchObject({ kind: "full", baseRecordId: null });
    const [kept = ""] = readdirSync(indexes(machine));
    expect(kept).toBe(`t${taskId}-r${full.id}.index`);
    expect(statSync(path.join(indexes(machine), kept)).mode & 0o777).toBe(0o600);

    changeTree(source);
    const first = await backUp(taskId);
    expect(first).toMatchObject({ kind: "differential", baseRecordId: full.id });
    expect(first.sizeBytes).toBeLessThan(full.sizeBytes / 2);
    await expectRestored(machine, first.id, "back-1", source);

    renameSync(path.join(source, "fresh"), path.join(source, "renamed"));
    const second = await backUp(taskId);
    expect(second).toMatchObject({ kind: "differential", baseRecordId: full.id });
    await expectRestored(machine, second.id, "back-2", source);

    const refused = await world.ask(adminApi.deleteRecord, { params: { id: full.id } });
    expect(refused).toMatchObject({ code: "RECORD_HAS_DIFFERENTIALS" });
    for (const { id } of [first, second]) await world.call(adminApi.deleteRecord, { params: { id } });
    await world.call(adminApi.deleteRecord, { params: { id: full.id } });
    await until("all are gone", async () => {
      const rows = await world.rows("select id from backup_records where task_id = ?", taskId);
      return rows.length === 0 || undefined;
    });
  });

  test("fetch the index of their base from the vault when the machine has lost it", async ({
    onTestFinished,
  }) => {
    const { machine, source, taskId } = await aTask(onTestFinished, "vault");
    const full = await backUp(taskId);
    rmSync(indexes(machine), { recursive: true });
    changeTree(source);
    const made = await backUp(taskId);
    expect(made).toMatchObject({ kind: "differential", baseRecordId: full.id });
    expect(readdirSync(indexes(machine))).toEqual([`t${taskId}-r${full.id}.index`]);
    await expectRestored(machine, made.id, "back", source);
  });

  test("are full ones, and say why, when there is no index of the base; a lost base is told at the restore", async ({
    onTestFinished,
  }) => {
    const { machine, source, store, taskId } = await aTask(onTestFinished, "local_disk");
    const full = await backUp(taskId);
    changeTree(source);
    const made = await backUp(taskId);
    expect(made.kind).toBe("differential");

    rmSync(path.join(store, full.copies[0]?.storagePath ?? "none"));
    const { destination, end } = await restored(machine, made.id, "back");
    expect(end).toMatchObject({ status: "failed" });
    expect(end.errorMessage).not.toBe("");
    expect(readdirSync(destination)).toEqual([]);

    writeFileSync(path.join(indexes(machine), `t${taskId}-r${full.id}.index`), "damaged");
    const whole = await backUp(taskId);
    expect(whole).toMatchObject({ kind: "full", baseRecordId: null });
    expect(await world.logOf(whole.id)).toContain(`there is no index of backup ${full.id}`);
    await expectRestored(machine, whole.id, "back-whole", source);
    expect((await backUp(taskId)).baseRecordId).toBe(whole.id);
  });
});
