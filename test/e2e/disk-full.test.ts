import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { TEST_MS, until } from "./until.ts";
import { sourceFolder, startWorld, type World } from "./world.ts";

const SIZE_KIB = 1024;

function mountSmall(folder: string): boolean {
  mkdirSync(folder, { recursive: true });
  return spawnSync("mount", ["-t", "tmpfs", "-o", `size=${SIZE_KIB}k`, "tmpfs", folder]).status === 0;
}
const unmount = (folder: string) => spawnSync("umount", ["--lazy", folder]);

function mayMount(): boolean {
  const folder = mkdtempSync(path.join(tmpdir(), "backupx-mount-"));
  const may = mountSmall(folder);
  if (may) unmount(folder);
  rmSync(folder, { recursive: true, force: true });
  return may;
}

describe.skipIf(!mayMount())("a disk that is full (needs the right to mount)", { timeout: TEST_MS }, () => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld();
  }, TEST_MS);
  afterAll(() => world?.close());

  test("at the target: that copy fails in words and leaves nothing, the other one is good", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    const disk = path.join(machine.folder, "disk");
    mountSmall(disk);
    onTestFinished(() => void unmount(disk));
    machine.start();
    await world.online(machine);
    const small = await world.target("local_disk", { path: disk });
    const taskId = await world.task(machine, {
      source: { type: "file", paths: [sourceFolder(machine, SIZE_KIB * 3)] },
      targetIds: [small, await world.target("vault")],
      pipeline: { compression: "none" },
    });
    const record = await world.endOf((await world.run(taskId)).recordId);
    expect(record.status).toBe("success");
    expect(record.copies.map(({ status }) => status).toSorted()).toEqual(["failed", "success"]);
    const failed = record.copies.find(({ targetId }) => targetId === small);
    expect(failed?.error).toMatch(/no space|full/i);
    expect(filesBelow(disk)).toEqual([]);
  });

  test("at the only target: the backup fails with that reason", async ({ onTestFinished }) => {
    const machine = await world.machine(onTestFinished);
    const disk = path.join(machine.folder, "disk");
    mountSmall(disk);
    onTestFinished(() => void unmount(disk));
    machine.start();
    await world.online(machine);
    const taskId = await world.task(machine, {
      source: { type: "file", paths: [sourceFolder(machine, SIZE_KIB * 3)] },
      targetIds: [await world.target("local_disk", { path: disk })],
      pipeline: { compression: "none" },
    });
    const record = await world.endOf((await world.run(taskId)).recordId);
    expect(record).toMatchObject({ status: "failed", errorMessage: expect.stringMatching(/no space|full/i) });
    expect(filesBelow(disk)).toEqual([]);
  });

  test("where a restore goes to: it fails with that reason, and no half file stays", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    const disk = path.join(machine.folder, "disk");
    mountSmall(disk);
    onTestFinished(() => void unmount(disk));
    machine.start();
    await world.online(machine);
    const source = sourceFolder(machine, SIZE_KIB * 3);
    const taskId = await world.task(machine, {
      source: { type: "file", paths: [source] },
      targetIds: [await world.target("vault")],
    });
    const { id } = await world.endOf((await world.run(taskId)).recordId);
    const { restoreId } = await world.call(adminApi.restoreRecord, {
      params: { id },
      body: { destination: disk },
    });
    const restore = await world.endOfRestore(restoreId);
    expect(restore).toMatchObject({
      status: "failed",
      errorMessage: expect.stringMatching(/no space|full/i),
    });
    const originals = new Map(filesBelow(source).map((file) => [path.basename(file), statSync(file).size]));
    for (const file of filesBelow(disk)) expect(statSync(file).size).toBe(originals.get(path.basename(file)));
  });

  test("where the agent keeps its state: the command fails in words, and the agent lives on", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    mountSmall(machine.stateDir);
    onTestFinished(() => void unmount(machine.stateDir));
    const agent = machine.start();
    await world.online(machine);
    const taskId = await world.task(machine, {
      source: { type: "file", paths: [sourceFolder(machine, 40)] },
      targetIds: [await world.target("vault")],
    });
    const ballast = path.join(machine.stateDir, "ballast");
    spawnSync("dd", ["if=/dev/zero", `of=${ballast}`, "bs=4k", `count=${SIZE_KIB}`]);
    const record = await world.endOf((await world.run(taskId)).recordId);
    expect(record).toMatchObject({
      status: "failed",
      errorMessage: expect.stringMatching(/journal|space|ENOSPC/i),
    });
    expect(agent.child.exitCode).toBeNull();
    rmSync(ballast);
    await until("nothing in hand", () => machine.journal().length === 0);
    expect(await world.endOf((await world.run(taskId)).recordId)).toMatchObject({ status: "success" });
  });
});

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => path.join(folder, name))
    .filter((file) => statSync(file).isFile());
