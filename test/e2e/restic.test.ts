import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { compareTrees } from "../../scripts/compare-trees.ts";
import { describeWith } from "../needs.ts";
import { descendantsOf, signalAll } from "../processes.ts";
import { cleanEnv, type Machine } from "./machine.ts";
import { TEST_MS, until } from "./until.ts";
import { sourceFolder, startWorld, type World } from "./world.ts";

const password = "correct horse battery staple";

describeWith(["restic"], "tasks with restic", () => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld();
  }, TEST_MS);
  afterAll(() => world?.close());

  /** Names and kinds of files that are easily lost. */
  function hardSource(machine: Machine): string {
    const source = sourceFolder(machine, 50);
    writeFileSync(path.join(source, "new\nline*[x]?"), "odd name");
    writeFileSync(path.join(source, "ünïcode"), "unicode");
    linkSync(path.join(source, "ünïcode"), path.join(source, "hard link"));
    symlinkSync("nowhere", path.join(source, "dangling"));
    writeFileSync(path.join(source, "sparse"), "");
    truncateSync(path.join(source, "sparse"), 3_000_000);
    mkdirSync(path.join(source, "private"), { mode: 0o711 });
    writeFileSync(path.join(source, "private/program"), "#!/bin/sh\n", { mode: 0o755 });
    return source;
  }

  async function localTask(machine: Machine, task: { excludes?: string[]; targets?: number } = {}) {
    const source = hardSource(machine);
    const disks = Array.from({ length: task.targets ?? 1 }, (_, index) =>
      path.join(machine.folder, `disk-${index}`),
    );
    for (const disk of disks) mkdirSync(disk);
    const targetIds = [];
    for (const disk of disks) targetIds.push(await world.target("local_disk", { path: disk }));
    const taskId = await world.task(machine, {
      source: { type: "file", paths: [source], excludes: task.excludes ?? [] },
      pipeline: { engine: "restic" },
      secrets: { resticPassword: password },
      targetIds,
    });
    const repositories = disks.map((disk) => path.join(disk, `BackupX/restic/task-${taskId}`));
    return { source, taskId, disks, repositories, repository: repositories[0] as string };
  }

  const backUp = async (taskId: number) => world.endOf((await world.run(taskId)).recordId);

  async function restored(
    machine: Machine,
    recordId: number,
    destination: string | null,
    body: { selectedPaths?: string[]; conflict?: "fail" | "keep" | "overwrite"; nodeId?: number } = {},
  ) {
    const { restoreId } = await world.call(adminApi.restoreRecord, {
      params: { id: recordId },
      body: { destination: destination === null ? null : path.join(machine.folder, destination), ...body },
    });
    return world.endOfRestore(restoreId);
  }

  /** The standard program alone, as the README tells. */
  function restic(repository: string, args: string[], secret = password) {
    const env = cleanEnv({ RESTIC_PASSWORD: secret, RESTIC_REPOSITORY: repository });
    return spawnSync("restic", ["--no-cache", ...args], { env, encoding: "utf8" });
  }

  const gone = (id: number) =>
    until(`record ${id} to be gone`, async () =>
      (await world.ask(adminApi.getRecord, { params: { id } })).status === 404 ? true : undefined,
    );
  const snapshotsIn = (repository: string) => readdirSync(path.join(repository, "snapshots"));
  const locksIn = (repository: string) => readdirSync(path.join(repository, "locks"));

  test("store snapshots that the standard program opens, and little of what has not changed", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    const agent = machine.start();
    await world.online(machine);
    const { source, taskId, repository } = await localTask(machine);
    const first = await backUp(taskId);
    expect(first).toMatchObject({ status: "success", engine: "restic", encrypted: false, warningCount: 0 });
    expect(first.snapshotId).toMatch(/^[0-9a-f]{64}$/);
    expect(first.checksum).toBe(first.snapshotId);
    expect(first.fileName).toMatch(/\.restic$/);
    expect(first.sourceBytes).toBeGreaterThan(3_000_000);
    expect(first.entries).toBeGreaterThan(10);
    expect(first.copies).toMatchObject([
      {
        status: "success",
        storagePath: `BackupX/restic/task-${taskId}/snapshots/${first.snapshotId}`,
        sizeBytes: first.sizeBytes,
      },
    ]);

    const contents = await world.call(adminApi.recordContents, {
      params: { id: first.id },
      query: { path: source, name: "program" },
    });
    expect(contents.entries).toMatchObject([{ path: path.join(source, "private/program"), mode: 0o755 }]);

    const second = await backUp(taskId);
    expect(second).toMatchObject({
      status: "success",
      sourceBytes: first.sourceBytes,
      entries: first.entries,
    });
    expect(second.sizeBytes).toBeLessThan(first.sizeBytes / 20);
    expect(second.snapshotId).not.toBe(first.snapshotId);

    const shown = JSON.parse(restic(repository, ["snapshots", "--json"]).stdout);
    expect(shown.map(({ id }: { id: string }) => id)).toEqual([first.snapshotId, second.snapshotId]);
    expect(shown[0].tags).toEqual(["backupx", `task-${taskId}`, `record-${first.id}`]);
    const plain = path.join(machine.folder, "by restic alone");
    expect(restic(repository, ["restore", second.snapshotId ?? "", "--target", plain]).status).toBe(0);
    expect(compareTrees(source, path.join(plain, source), []).differences).toEqual([]);
    expect(locksIn(repository)).toEqual([]);
    expect(readdirSync(path.join(machine.stateDir, "work"))).toEqual([]);

    expect(agent.output()).not.toContain(password);
    expect(await world.logOf(first.id)).not.toContain(password);
    const everything = JSON.stringify([
      await world.rows("select * from backup_tasks"),
      await world.rows("select * from audit_logs"),
      await world.rows("select * from agent_commands"),
      await world.call(adminApi.getTask, { params: { id: taskId } }),
    ]);
    expect(everything).not.toContain(password);
  });

  test("restore all or some, elsewhere or in place, by each conflict policy", async ({ onTestFinished }) => {
    const machine = await world.machine(onTestFinished);
    machine.start();
    await world.online(machine);
    const { source, taskId } = await localTask(machine);
    const record = await backUp(taskId);

    const whole = await restored(machine, record.id, "whole");
    expect(whole).toMatchObject({ status: "success", warningCount: 0 });
    const copy = path.join(machine.folder, "whole", source);
    expect(compareTrees(source, copy, []).differences).toEqual([]);
    expect(statSync(path.join(copy, "ünïcode")).ino).toBe(statSync(path.join(copy, "hard link")).ino);
    expect(readdirSync(path.join(machine.folder, "whole")).filter((name) => name.startsWith("."))).toEqual(
      [],
    );

    const odd = path.join(source, "new\nline*[x]?");
    const some = await restored(machine, record.id, "some", {
      selectedPaths: [odd, path.join(source, "private")],
    });
    expect(some).toMatchObject({ status: "success", entries: 3 });
    expect(readdirSync(path.join(machine.folder, "some", source)).sort()).toEqual([
      "new\nline*[x]?",
      "private",
    ]);

    const nothing = await restored(machine, record.id, "nothing", {
      selectedPaths: [path.join(source, "absent")],
    });
    expect(nothing.status).toBe("failed");
    expect(nothing.errorMessage).toContain("not in this backup");
    expect(existsSync(path.join(machine.folder, "nothing"))).toBe(false);

    writeFileSync(path.join(source, "ünïcode"), "changed since");
    rmSync(path.join(source, "private"), { recursive: true });
    const refused = await restored(machine, record.id, null, { conflict: "fail" });
    expect(refused.status).toBe("failed");
    expect(refused.errorMessage).toContain("the restore would replace what exists");
    expect(existsSync(path.join(source, "private"))).toBe(false);

    const kept = await restored(machine, record.id, null, { conflict: "keep" });
    expect(kept).toMatchObject({ status: "success", entries: 5 });
    expect(readFileSync(path.join(source, "ünïcode"), "utf8")).toBe("changed since");
    expect(lstatSync(path.join(source, "private")).mode & 0o777).toBe(0o711);

    const replaced = await restored(machine, record.id, null, { conflict: "overwrite" });
    expect(replaced.status).toBe("success");
    expect(compareTrees(copy, source, []).differences).toEqual([]);
    expect(readdirSync(machine.folder).filter((name) => name.startsWith(".backupx"))).toEqual([]);
  });

  test("leave out what the excludes say, and refuse one that restic would understand otherwise", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    machine.start();
    await world.online(machine);
    const { source, taskId, repository } = await localTask(machine, {
      excludes: ["{private,spar}*", "*code"],
    });
    const record = await backUp(taskId);
    expect(record.status).toBe("success");
    const { stdout } = restic(repository, ["ls", record.snapshotId ?? ""]);
    expect(stdout).toContain("hard link");
    expect(stdout).not.toMatch(/private|sparse|ünïcode$/m);

    const answer = await world.ask(adminApi.updateTask, {
      params: { id: taskId },
      body: { source: { type: "file", paths: [source], excludes: ["cache/"] } },
    });
    expect(answer).toMatchObject({ status: 400, code: "INVALID_INPUT" });
    expect(answer.message).toContain("cannot tell directories from files");
  });

  test("a deleted record's snapshot is forgotten, and its data is gone with the last one", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    machine.start();
    await world.online(machine);
    const { source, taskId, repository } = await localTask(machine);
    const first = await backUp(taskId);
    writeFileSync(path.join(source, "later"), "x".repeat(100_000));
    const second = await backUp(taskId);
    expect((await restored(machine, first.id, "older")).status).toBe("success");
    expect(readdirSync(path.join(machine.folder, "older", source))).not.toContain("later");

    await world.call(adminApi.deleteRecord, { params: { id: first.id } });
    await gone(first.id);
    expect(snapshotsIn(repository)).toEqual([second.snapshotId]);
    expect(restic(repository, ["check", "--read-data"]).status).toBe(0);

    const refusal = await world.ask(adminApi.deleteTask, { params: { id: taskId } });
    expect(refusal.code).toBe("TASK_HAS_RECORDS");
    await world.call(adminApi.deleteRecord, { params: { id: second.id } });
    await gone(second.id);
    expect(snapshotsIn(repository)).toEqual([]);
    const packs = readdirSync(path.join(repository, "data"), { recursive: true, encoding: "utf8" });
    expect(packs.filter((name) => name.includes("/"))).toEqual([]);
    expect((await world.ask(adminApi.deleteTask, { params: { id: taskId } })).status).toBe(200);
  });

  test("several targets have a repository each, and one that fails leaves the other", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    machine.start();
    await world.online(machine);
    const { taskId, disks, repositories } = await localTask(machine, { targets: 2 });
    const both = await backUp(taskId);
    expect(both.copies.map(({ status }) => status)).toEqual(["success", "success"]);
    const [one, other] = both.copies;
    expect(one?.checksum).not.toBe(other?.checksum);
    for (const [index, repository] of repositories.entries())
      expect(snapshotsIn(repository)).toEqual([both.copies[index]?.checksum]);

    // Like a disk that is not mounted: it must not be taken for a new one.
    renameSync(disks[0] as string, `${disks[0]}-away`);
    mkdirSync(disks[0] as string);
    const half = await backUp(taskId);
    expect(half.status).toBe("success");
    expect(half.copies.map(({ status }) => status)).toEqual(["failed", "success"]);
    expect(half.copies[0]?.error).toContain("there is no restic repository");
    expect(readdirSync(disks[0] as string)).toEqual([]);
    expect(half.snapshotId).toBe(half.copies[1]?.checksum);

    renameSync(disks[1] as string, `${disks[1]}-away`);
    const none = await backUp(taskId);
    expect(none).toMatchObject({ status: "failed" });
    expect(none.errorMessage).toContain("nothing was stored");
  });

  test("say so when the password is another than the repository's", async ({ onTestFinished }) => {
    const machine = await world.machine(onTestFinished);
    machine.start();
    await world.online(machine);
    const { taskId } = await localTask(machine);
    const record = await backUp(taskId);
    await world.call(adminApi.updateTask, {
      params: { id: taskId },
      body: { secrets: { resticPassword: "another one" } },
    });
    const failed = await backUp(taskId);
    expect(failed.status).toBe("failed");
    expect(failed.errorMessage).toContain("the password does not open the repository");
    expect(failed.errorMessage).not.toContain("another one");
    const end = await restored(machine, record.id, "back");
    expect(end.errorMessage).toContain("the password does not open the repository");
  });

  test("go on after a kill -9 in the middle, whatever lock it has left", async ({ onTestFinished }) => {
    const machine = await world.machine(onTestFinished);
    const agent = machine.start();
    await world.online(machine);
    const { source, taskId, repository } = await localTask(machine);
    await backUp(taskId);
    const random = spawnSync("head", ["-c", "60000000", "/dev/urandom"], { maxBuffer: 100_000_000 }).stdout;
    writeFileSync(path.join(source, "large"), random);
    await world.call(adminApi.updateTask, {
      params: { id: taskId },
      body: { pipeline: { engine: "restic", bandwidthBytesPerSecond: 2_000_000 } },
    });
    const { recordId } = await world.run(taskId);
    await until("restic to lock the repository", async () => locksIn(repository)[0]);
    const killed = descendantsOf(agent.pid);
    agent.child.kill("SIGKILL");
    signalAll(killed, "SIGKILL");
    await agent.ended;
    expect(locksIn(repository)).toHaveLength(1);

    await world.call(adminApi.updateTask, {
      params: { id: taskId },
      body: { pipeline: { engine: "restic" } },
    });
    machine.start();
    expect((await world.endOf(recordId)).status).toBe("failed");
    const next = await backUp(taskId);
    expect(next.status).toBe("success");
    await world.call(adminApi.deleteRecord, { params: { id: next.id } });
    await gone(next.id);
    expect(locksIn(repository)).toEqual([]);
    expect(restic(repository, ["check"]).status).toBe(0);
    appendFileSync(path.join(source, "large"), "more");
    const end = await restored(machine, (await backUp(taskId)).id, "back");
    expect(end.status).toBe("success");
    expect(compareTrees(source, path.join(machine.folder, "back", source), []).differences).toEqual([]);
  });

  test("are verified by grade, and what is damaged or missing is found", async ({ onTestFinished }) => {
    const machine = await world.machine(onTestFinished);
    machine.start();
    await world.online(machine);
    const { taskId, repository } = await localTask(machine);
    const { id, snapshotId } = await backUp(taskId);
    const verified = async (grade: 1 | 3 | 4) => {
      const started = await world.call(adminApi.verifyRecord, { params: { id }, body: { grade } });
      const params = { id: started.verifications[0]?.verificationId ?? 0 };
      return until("the verification to end", async () => {
        const one = await world.call(adminApi.getVerification, { params });
        return one.status === "queued" || one.status === "running" ? null : one;
      });
    };
    expect(await verified(4)).toMatchObject({ status: "success", reachedGrade: 4, damaged: false });
    expect(await world.record(id)).toMatchObject({ verifiedGrade: 4, verifiedNodeId: machine.nodeId });
    await until("nothing in hand", () => machine.leftovers().length === 0, { seen: machine.leftovers });

    const packs = readdirSync(path.join(repository, "data"), { recursive: true, withFileTypes: true });
    const [pack] = packs
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name))
      .toSorted((a, b) => statSync(b).size - statSync(a).size);
    const bytes = readFileSync(pack as string);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    chmodSync(pack as string, 0o600);
    writeFileSync(pack as string, bytes);
    expect(await verified(3)).toMatchObject({ status: "failed", reachedGrade: 1, damaged: true });
    expect((await world.record(id)).copies[0]?.status).toBe("damaged");

    rmSync(path.join(repository, "snapshots", snapshotId ?? ""), { force: true });
    expect(await verified(1)).toMatchObject({
      status: "failed",
      reachedGrade: null,
      damaged: true,
      errorMessage: expect.stringContaining("is not there"),
    });
  });

  test("a cancelled restore ends restic and leaves nothing of what it had written", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    const agent = machine.start();
    await world.online(machine);
    const { source, taskId, repository } = await localTask(machine);
    writeFileSync(path.join(source, "large"), randomBytes(100_000_000));
    const { id } = await backUp(taskId);
    const destination = path.join(machine.folder, "back");
    const { restoreId } = await world.call(adminApi.restoreRecord, { params: { id }, body: { destination } });
    // Held in the middle, for it would be done too soon.
    const pid = await until("restic to restore", () => descendantsOf(agent.pid).find(isRestoring));
    process.kill(pid, "SIGSTOP");
    expect(existsSync(destination)).toBe(true);
    await world.call(adminApi.cancelRestore, { params: { id: restoreId } });
    expect(await world.endOfRestore(restoreId)).toMatchObject({ status: "cancelled" });
    await until("restic to be gone", () => !existsSync(`/proc/${pid}`));
    await until("nothing in hand", () => machine.leftovers().length === 0, { seen: machine.leftovers });
    expect(readdirSync(destination)).toEqual([]);
    expect(locksIn(repository)).toEqual([]);
  });

  test("a cancelled run leaves neither lock nor snapshot", async ({ onTestFinished }) => {
    const machine = await world.machine(onTestFinished);
    machine.start();
    await world.online(machine);
    const { source, taskId, repository } = await localTask(machine);
    await backUp(taskId);
    const before = snapshotsIn(repository);
    const random = spawnSync("head", ["-c", "60000000", "/dev/urandom"], { maxBuffer: 100_000_000 }).stdout;
    writeFileSync(path.join(source, "large"), random);
    await world.call(adminApi.updateTask, {
      params: { id: taskId },
      body: { pipeline: { engine: "restic", bandwidthBytesPerSecond: 2_000_000 } },
    });
    const { recordId } = await world.run(taskId);
    await until("restic to lock the repository", async () => locksIn(repository)[0]);
    await until("progress", async () => (await world.record(recordId)).progress ?? undefined);
    await world.call(adminApi.cancelRecord, { params: { id: recordId } });
    expect((await world.endOf(recordId)).status).toBe("cancelled");
    expect(locksIn(repository)).toEqual([]);
    expect(snapshotsIn(repository)).toEqual(before);
  });
});

/** Reads a process that may end at this very moment. */
function isRestoring(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("restic\0restore\0");
  } catch {
    return false;
  }
}
