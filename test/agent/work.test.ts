import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync } from "node:fs";
import { getPriority } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testWith } from "../needs.ts";
import { childrenOf } from "../processes.ts";
import { taskSpec, until } from "./agent-process.ts";
import { finished, sourceFolder, world } from "./world.ts";

test("connects by socket, polls when rung, and lists a directory at once", async () => {
  const { master, folder, start } = await world();
  const source = sourceFolder(folder, 4);
  mkdirSync(join(source, "sub"));
  symlinkSync(join(source, "sub"), join(source, "link"));
  mkdirSync(join(source, "empty"));
  const agent = start();
  await agent.logged("socket open");
  await until(() => master.callsTo("poll").length > 0);
  const asked = master.enqueue("list_dir", { path: source });
  const rungAt = performance.now();
  master.ring();
  const result = await finished(master, agent, asked.id);
  expect(performance.now() - rungAt).toBeLessThan(2000);
  const entries = (result?.result as { entries: { name: string }[] } | undefined)?.entries ?? [];
  expect(entries.map(({ name }) => name)).toEqual([
    "empty",
    "link",
    "sub",
    "file-0",
    "file-1",
    "file-2",
    "file-3",
  ]);
  expect(entries[3]).toEqual({ name: "file-0", path: join(source, "file-0"), isDir: false, size: 1024 });
  expect(master.callsTo("heartbeat")).toHaveLength(1);
  expect(master.refused).toEqual([]);
});

test("says clearly what it cannot list, do or understand", async () => {
  const { master, folder, start } = await world();
  const empty = join(folder, "nothing");
  mkdirSync(empty);
  const commands = [
    master.enqueue("list_dir", { path: join(folder, "missing") }),
    master.enqueue("list_dir", { path: empty }),
    master.enqueue("list_dir", { path: "" }),
    master.enqueue("defragment", {}),
    master.enqueue("run_task", { taskId: "seven" }),
    master.enqueue("test_target", {
      targetType: "local_disk",
      targetConfig: { path: join(folder, "target") },
    }),
    master.enqueue("test_target", { targetType: "tape", targetConfig: {} }),
    master.enqueue("delete_storage_object", {
      targetType: "local_disk",
      targetConfig: { path: folder },
      storagePath: "long/gone",
    }),
  ];
  const agent = start();
  const [missing, none, root, unknown, bad, tried, tape, gone] = await Promise.all(
    commands.map(({ id }) => finished(master, agent, id)),
  );
  expect(missing?.errorMessage).toMatch(/cannot list .*missing: there is no such directory/);
  expect(none?.result).toEqual({ entries: [] });
  expect((root?.result as { entries: object[] } | undefined)?.entries).toContainEqual(
    expect.objectContaining({ path: "/etc", isDir: true }),
  );
  expect(unknown?.errorMessage).toBe("unknown command type: defragment");
  expect(bad?.errorMessage).toMatch(/^invalid payload: taskId: /);
  expect(tried?.result).toEqual({ milliseconds: expect.any(Number) });
  expect(tape?.errorMessage).toMatch(/no storage of type "tape"/);
  expect(gone?.result).toEqual({ deleted: true });
});

test("backs up to local disk and to the vault, reports it, and restores from the vault", async () => {
  const { master, folder, stateDir, start } = await world();
  const source = sourceFolder(folder, 400);
  const target = join(folder, "target");
  mkdirSync(target);
  const targets = [
    { type: "local_disk", config: { path: target } },
    { type: "vault", config: {}, transferMode: "master_relay" },
    { type: "tape", config: {} },
  ];
  master.specs.set(7, taskSpec({ recordId: 9, paths: [source], targets, compression: "none" }));
  const asked = master.enqueue("run_task", { taskId: 7, recordId: 9 });
  const agent = start();
  const result = await finished(master, agent, asked.id);
  expect(result).toMatchObject({ success: true, attempt: 1, result: { taskId: 7, recordId: 9 } });
  const key = "BackupX/file/261123/records/9/etc-9.tar";
  const final = master.recordReports.get(9)?.at(-1);
  const size = statSync(join(target, key)).size;
  expect(final).toMatchObject({
    status: "success",
    fileName: "etc-9.tar",
    storagePath: key,
    storageTargetId: 1,
    fileSize: size,
    checksum: expect.stringMatching(/^[0-9a-f]{64}$/),
    warningCount: 0,
    storageUploadResults: [
      { storageTargetId: 1, status: "success", storagePath: key, fileSize: size, transferMode: "direct" },
      { storageTargetId: 2, status: "success", storagePath: key, transferMode: "master_relay" },
      { storageTargetId: 3, status: "failed", error: expect.stringContaining("tape") },
    ],
  });
  expect(master.vault.get(key)?.length).toBe(size);
  expect(readdirSync(join(stateDir, "work"))).toEqual([]);

  const destination = join(folder, "restored");
  master.restoreSpecs.set(3, {
    restoreRecordId: 3,
    backupRecordId: 9,
    taskId: 7,
    taskName: "etc",
    type: "file",
    sourcePath: source,
    sourcePaths: [source],
    dbHost: "",
    dbPort: 0,
    dbUser: "",
    dbPassword: "",
    dbName: "",
    dbPath: "",
    extraConfig: "",
    compression: "none",
    encrypt: false,
    storage: { id: 2, type: "vault", name: "vault", config: {}, transferMode: "master_relay" },
    storagePath: key,
    fileName: "etc-9.tar",
    checksum: final?.checksum,
    fileSize: size,
    destination,
    selectedPaths: null,
    conflict: "fail",
  });
  const restore = master.enqueue("restore_record", { restoreRecordId: 3 });
  master.ring();
  expect(await finished(master, agent, restore.id)).toMatchObject({ success: true });
  expect(master.restoreReports.get(3)?.at(-1)).toMatchObject({ status: "success", warningCount: 0 });
  execFileSync("diff", ["-r", source, join(destination, source)]);
  await until(() => agent.journal().length === 0);
  expect(master.refused).toEqual([]);
});

test("browsing works during a backup; cancelling ends the backup and leaves nothing", async () => {
  const { master, folder, stateDir, start } = await world({ leaseSeconds: 2 });
  const source = sourceFolder(folder, 2000);
  const target = join(folder, "target");
  mkdirSync(target);
  const spec = { recordId: 9, paths: [source], targets: [{ type: "local_disk", config: { path: target } }] };
  master.specs.set(7, taskSpec({ ...spec, bandwidth: 10_000, compression: "none" }));
  const backup = master.enqueue("run_task", { taskId: 7, recordId: 9 });
  const agent = start();
  await agent.logged("command started", ({ type }) => type === "run_task");
  const browse = master.enqueue("list_dir", { path: source });
  master.ring();
  expect(await finished(master, agent, browse.id)).toMatchObject({ success: true });
  await until(() =>
    master.recordReports.get(9)?.some(({ status, progress }) => status === "running" && progress),
  );
  expect(master.callsTo("renewLease").length).toBeGreaterThan(0);
  backup.cancelRequested = true;
  master.ring();
  expect(await finished(master, agent, backup.id)).toMatchObject({
    success: false,
    cancelled: true,
    errorMessage: "cancelled",
  });
  const logs = master.recordReports
    .get(9)
    ?.flatMap(({ log }) => (log as { text: string }[] | undefined) ?? []);
  expect(logs?.at(-1)?.text).toMatch(/cancelled/);
  expect(master.recordReports.get(9)?.at(-1)).not.toHaveProperty("status");
  expect(readdirSync(join(stateDir, "work"))).toEqual([]);
  expect(readdirSync(target, { recursive: true, withFileTypes: true }).filter((e) => e.isFile())).toEqual([]);
});

testWith(["ionice"], "a run goes out of the way as its task says, and the agent stays as it is", async () => {
  const { master, folder, start } = await world();
  const target = join(folder, "target");
  mkdirSync(target);
  const targets = [{ type: "local_disk", config: { path: target } }];
  const spec = taskSpec({ recordId: 9, paths: [sourceFolder(folder, 400)], targets, bandwidth: 100_000 });
  const pipeline = { ...spec.pipeline, compression: "none", nice: 19, ioClass: "idle" };
  master.specs.set(7, { ...spec, compression: "none", pipeline });
  const backup = master.enqueue("run_task", { taskId: 7, recordId: 9 });
  const agent = start();
  await until(() => master.recordReports.get(9)?.some(({ progress }) => progress), "progress", agent.output);
  const { pid = 0 } = agent.child;
  const [job = 0] = childrenOf(pid);
  expect({ job: getPriority(job), agent: getPriority(pid) }).toEqual({ job: 19, agent: getPriority() });
  expect(String(execFileSync("ionice", ["-p", String(job)])).trim()).toBe("idle");
  expect(await finished(master, agent, backup.id)).toMatchObject({ success: true });
  expect(master.recordReports.get(9)?.at(-1)).toMatchObject({ status: "success", warningCount: 0 });
});

test("a job that moves no bytes is ended and says so", async () => {
  const { master, folder, start } = await world({}, { args: ["--stall-timeout", "500ms"] });
  const spec = { recordId: 9, paths: [sourceFolder(folder, 4000)], targets: [{ type: "vault", config: {} }] };
  master.specs.set(7, taskSpec({ ...spec, compression: "none" }));
  // The master takes parts and never answers: bytes stand still, but nothing breaks.
  master.intercept = ({ name }) => (name === "uploadPart" ? { never: true } : undefined);
  const backup = master.enqueue("run_task", { taskId: 7, recordId: 9 });
  const agent = start();
  const result = await finished(master, agent, backup.id);
  expect(result).toMatchObject({
    success: false,
    errorMessage: expect.stringMatching(/^stalled: no bytes moved for/),
  });
  expect(master.recordReports.get(9)?.at(-1)).toMatchObject({ status: "failed" });
});

test("without a socket it polls and beats, at the told pace", async () => {
  const { master, start } = await world({ doorbell: false, pollSeconds: 1, heartbeatSeconds: 1 });
  const agent = start();
  await until(() => master.callsTo("poll").length >= 3, "three polls", agent.output);
  await until(() => master.callsTo("heartbeat").length >= 2, "two heartbeats", agent.output);
  expect(master.callsTo("poll")[0]?.body).toMatchObject({ running: [], max: 4, socket: false });
});

test("an idle agent with a socket stays below 100 requests a day", async () => {
  const { master, start } = await world({ heartbeatSeconds: 1, pollSeconds: 1 });
  const agent = start();
  await agent.logged("socket open");
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const count = (name: "poll" | "heartbeat") => master.callsTo(name).length;
  // One heartbeat, one poll on connect; the next poll asks once more for what may have been lost, then every 15 min.
  expect(count("heartbeat")).toBe(1);
  expect(count("poll")).toBeLessThanOrEqual(2);
});

test("a second agent on the same state directory is refused", async () => {
  const { start, stateDir } = await world();
  const first = start();
  await first.logged("agent started");
  const second = start();
  expect(await second.ended).toBe(3);
  expect(second.output()).toMatch(/another agent \(pid \d+\) already uses/);
  await first.kill("SIGKILL");
  const third = start();
  await third.logged("agent started");
  expect(existsSync(join(stateDir, "agent.lock"))).toBe(true);
});
