import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { adminApi, agentApi } from "../../protocol/index.ts";
import { expireCommands } from "../../worker/commands/expire.ts";
import { authenticateAgent } from "../../worker/nodes/authenticate.ts";
import { updateRecord } from "../../worker/records/update.ts";
import { aNode, asRole, aTask, call, deps } from "./master.ts";
import { silence } from "./rows.ts";
import { A_HASH, aClaimedRun, goodReport, idle } from "./runs.ts";

const report = (node: { headers: Record<string, string> }, id: number, body: unknown) =>
  call(node.headers, agentApi.updateRecord, { params: { id }, body });
const record = async (id: number) =>
  (await call(await asRole("viewer"), adminApi.getRecord, { params: { id } })).data;
const result = (node: { headers: Record<string, string> }, id: number, body: unknown) =>
  call(node.headers, agentApi.commandResult, { params: { id }, body });
const count = async (table: string) =>
  (await env.DB.prepare(`select count(*) as n from ${table}`).first<{ n: number }>())?.n;

describe("starting", () => {
  it("makes record, command and audit entry together", async () => {
    const node = await aNode({ ours: true });
    const run = await aClaimedRun(node);
    expect(await record(run.recordId)).toMatchObject({
      status: "queued",
      trigger: "manual",
      commandId: run.commandId,
    });
    const entry = await env.DB.prepare("select * from audit_logs where action = 'task.run' and entity_id = ?")
      .bind(run.task.id)
      .first();
    expect(entry).not.toBeNull();
  });

  it("leaves nothing behind when one statement of the batch fails", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    const before = [await count("backup_records"), await count("agent_commands"), await count("audit_logs")];
    await env.DB.exec(
      "create trigger broken before insert on agent_commands begin select raise(abort, 'broken'); end",
    );
    const answer = await call(await asRole("operator"), adminApi.runTask, { params: { id: task.id } });
    await env.DB.exec("drop trigger broken");
    expect(answer.status).toBe(500);
    expect([await count("backup_records"), await count("agent_commands"), await count("audit_logs")]).toEqual(
      before,
    );
  });

  it("refuses a second start with the id of the record that runs", async () => {
    const run = await aClaimedRun(await aNode({ ours: true }));
    const again = await call(run.operator, adminApi.runTask, { params: { id: run.task.id } });
    expect(again).toMatchObject({ status: 409, code: "TASK_ALREADY_RUNNING" });
    expect(again.message).toContain(String(run.recordId));
  });

  it("makes one run of ten clicks at the same instant", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    const operator = await asRole("operator");
    const clicks = await Promise.all(
      Array.from({ length: 10 }, () => call(operator, adminApi.runTask, { params: { id: task.id } })),
    );
    expect(clicks.map((click) => click.status).sort()).toEqual([200, ...Array(9).fill(409)]);
    const { results } = await env.DB.prepare("select id from backup_records where task_id = ?")
      .bind(task.id)
      .all();
    expect(results).toHaveLength(1);
  });

  it("fails closed when its node is gone: nobody else runs it", async () => {
    const node = await aNode({ ours: true });
    await aNode({ ours: true });
    const task = await aTask(node);
    await env.DB.prepare("delete from nodes where id = ?").bind(node.id).run();
    const answer = await call(await asRole("operator"), adminApi.runTask, { params: { id: task.id } });
    expect(answer).toMatchObject({ status: 404, code: "NODE_NOT_FOUND" });
    const { results } = await env.DB.prepare("select id from backup_records where task_id = ?")
      .bind(task.id)
      .all();
    expect(results).toEqual([]);
  });
});

describe("reports", () => {
  it("follows a backup from queued to success, with its copies counted into their target once", async () => {
    const node = await aNode({ ours: true });
    const run = await aClaimedRun(node);
    await report(node, run.recordId, { status: "running", log: [{ seq: 1, text: "begins" }] });
    expect(await record(run.recordId)).toMatchObject({ status: "running", attempt: 1 });
    for (let i = 0; i < 2; i++) expect((await report(node, run.recordId, goodReport(run))).status).toBe(200);
    expect(await record(run.recordId)).toMatchObject({
      status: "success",
      checksum: A_HASH,
      sizeBytes: 1234,
      copies: [{ targetId: run.task.targetId, status: "success", sizeBytes: 1234 }],
    });
    const target = await call(run.operator, adminApi.getTarget, { params: { id: run.task.targetId } });
    expect(target.data.usedBytes).toBe(1234);
  });

  it("keeps the copies also when the clock ticks between the statements", async () => {
    const node = await aNode({ ours: true });
    const run = await aClaimedRun(node);
    let at = Date.now();
    const ticking = { ...deps, now: () => at++ };
    const held = await authenticateAgent(deps, node.token);
    await updateRecord(ticking, held, run.recordId, agentApi.updateRecord.body.parse(goodReport(run)));
    expect((await record(run.recordId)).copies).toHaveLength(1);
  });

  it("stores each numbered log chunk once and keeps a late one, without opening the record again", async () => {
    const node = await aNode({ ours: true });
    const run = await aClaimedRun(node);
    await report(node, run.recordId, goodReport(run, { log: [{ seq: 1, text: "one" }] }));
    await report(node, run.recordId, {
      status: "running",
      log: [
        { seq: 1, text: "one" },
        { seq: 2, text: "two" },
      ],
    });
    await report(node, run.recordId, { logAppend: "three" });
    const log = await call(run.operator, adminApi.recordLog, { params: { id: run.recordId } });
    expect(log.data.lines.map((line) => line.text)).toEqual(["one", "two", "three"]);
    expect((await record(run.recordId)).status).toBe("success");
  });

  it("is never told a success without a stored copy", async () => {
    const node = await aNode({ ours: true });
    const run = await aClaimedRun(node);
    await report(node, run.recordId, { status: "success" });
    expect(await record(run.recordId)).toMatchObject({ status: "failed", copies: [] });
  });

  it("keeps each target's own result when one of them failed", async () => {
    const node = await aNode({ ours: true });
    const run = await aClaimedRun(node);
    const good = goodReport(run).storageUploadResults;
    const other = await call(await asRole("admin"), adminApi.createTarget, {
      body: { name: `v${A_HASH}`, type: "vault" },
    });
    await env.DB.prepare("update backup_records set target_ids = ? where id = ?")
      .bind(JSON.stringify([run.task.targetId, other.data.id]), run.recordId)
      .run();
    const failed = { storageTargetId: other.data.id, status: "failed", error: "the disk is full" };
    await report(node, run.recordId, goodReport(run, { storageUploadResults: [...good, failed] }));
    expect(await record(run.recordId)).toMatchObject({
      status: "success",
      copies: [{ status: "success" }, { status: "failed", error: "the disk is full" }],
    });
  });

  it.each([
    ["another state", { status: "paused" }, 400, "BACKUP_RECORD_STATUS_INVALID"],
    ["a checksum that is none", { checksum: "xyz" }, 400, "INVALID_INPUT"],
    ["a file name with a slash", { fileName: "a/b" }, 400, "AGENT_ARTIFACT_INVALID_PATH"],
    [
      "a path outside the record's own folder",
      { storagePath: "BackupX/file/261123/records/1/x" },
      400,
      "AGENT_ARTIFACT_INVALID_PATH",
    ],
    ["a path that climbs", { storagePath: "BackupX/file/261123/../x" }, 400, "AGENT_ARTIFACT_INVALID_PATH"],
    ["another type's folder", { storagePath: "BackupX/sqlite/261123/x" }, 400, "AGENT_ARTIFACT_INVALID_PATH"],
    ["a foreign target", { storageTargetId: 999_999 }, 401, "BACKUP_STORAGE_TARGET_FORBIDDEN"],
  ])("refuses %s and changes nothing", async (_what, body, status, code) => {
    const node = await aNode({ ours: true });
    const run = await aClaimedRun(node);
    const before = await record(run.recordId);
    expect(await report(node, run.recordId, body)).toMatchObject({ status, code });
    expect(await record(run.recordId)).toEqual(before);
  });

  it("refuses another node's record and an unknown one", async () => {
    const run = await aClaimedRun(await aNode({ ours: true }));
    const stranger = await aNode({ ours: true });
    expect(await report(stranger, run.recordId, {})).toMatchObject({
      status: 401,
      code: "BACKUP_RECORD_FORBIDDEN",
    });
    expect(await report(stranger, 999_999, {})).toMatchObject({
      status: 404,
      code: "BACKUP_RECORD_NOT_FOUND",
    });
  });

  it("accepts the path of a first-generation agent and makes it the copy", async () => {
    const node = await aNode();
    const task = await aTask(node, { compression: "gzip" });
    const started = await call(await asRole("operator"), adminApi.runTask, { params: { id: task.id } });
    await call(node.headers, agentApi.poll);
    await report(node, started.data.recordId, {
      status: "success",
      fileName: "etc.tar.gz",
      fileSize: 9,
      checksum: A_HASH,
      storagePath: "BackupX/file/261123/etc.tar.gz",
    });
    expect(await record(started.data.recordId)).toMatchObject({
      status: "success",
      copies: [{ targetId: task.targetId, storagePath: "BackupX/file/261123/etc.tar.gz" }],
    });
  });
});

describe("endings", () => {
  it("closes a record whose last report was lost with its command's result", async () => {
    const node = await aNode({ ours: true });
    const run = await aClaimedRun(node);
    await report(node, run.recordId, { status: "running" });
    await result(node, run.commandId, {
      success: false,
      errorMessage: "pg_dump died",
      leaseToken: run.leaseToken,
    });
    expect(await record(run.recordId)).toMatchObject({ status: "failed", errorMessage: "pg_dump died" });
    const again = await call(run.operator, adminApi.runTask, { params: { id: run.task.id } });
    expect(again.status, "its task is free again").toBe(200);
  });

  it("fails a silent backup after its lease and grace, with a plain reason", async () => {
    const node = await aNode({ ours: true });
    const run = await aClaimedRun(node);
    await silence(run.commandId);
    await expireCommands(deps);
    const ended = await record(run.recordId);
    expect(ended.status).toBe("failed");
    expect(ended.errorMessage).toContain("10 minutes");
  });

  it("tells the truth when a success arrives after the time-out", async () => {
    const node = await aNode({ ours: true });
    const run = await aClaimedRun(node);
    await silence(run.commandId);
    await expireCommands(deps);
    await report(node, run.recordId, goodReport(run, { leaseToken: run.leaseToken }));
    expect(await record(run.recordId)).toMatchObject({ status: "success", late: true, errorMessage: "" });
  });

  it("lets a newer attempt win over an older one", async () => {
    const node = await aNode({ ours: true });
    const run = await aClaimedRun(node);
    await env.DB.prepare("update agent_commands set dispatched_at = 0 where id = ?")
      .bind(run.commandId)
      .run();
    const second = (await call(node.headers, agentApi.poll, { body: idle })).data.commands?.[0];
    expect(second).toMatchObject({ id: run.commandId, attempt: 2 });
    const old = await report(node, run.recordId, {
      status: "failed",
      errorMessage: "old",
      leaseToken: run.leaseToken,
    });
    expect(old).toMatchObject({ status: 409, code: "AGENT_COMMAND_SUPERSEDED" });
    await report(node, run.recordId, goodReport(run, { leaseToken: second?.leaseToken }));
    expect(await record(run.recordId)).toMatchObject({ status: "success", attempt: 2 });
  });

  it("cancels a queued backup at once: its command never runs", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    const operator = await asRole("operator");
    const { data } = await call(operator, adminApi.runTask, { params: { id: task.id } });
    expect((await call(operator, adminApi.cancelRecord, { params: { id: data.recordId } })).status).toBe(200);
    expect((await record(data.recordId)).status).toBe("cancelled");
    expect((await call(node.headers, agentApi.poll, { body: idle })).data.commands).toEqual([]);
  });

  it("asks the agent to stop a running backup, and closes it when the agent has", async () => {
    const node = await aNode({ ours: true });
    const run = await aClaimedRun(node);
    await call(run.operator, adminApi.cancelRecord, { params: { id: run.recordId } });
    const polled = await call(node.headers, agentApi.poll, {
      body: { running: [{ id: run.commandId, leaseToken: run.leaseToken }], max: 3 },
    });
    expect(polled.data.orders).toEqual([{ type: "cancel", commandId: run.commandId }]);
    const renewed = await call(node.headers, agentApi.renewLease, {
      params: { id: run.commandId },
      body: { leaseToken: run.leaseToken },
    });
    expect(renewed.data.orders).toEqual([{ type: "cancel", commandId: run.commandId }]);
    await result(node, run.commandId, {
      success: false,
      cancelled: true,
      errorMessage: "cancelled",
      leaseToken: run.leaseToken,
    });
    expect(await record(run.recordId)).toMatchObject({ status: "cancelled" });
    const again = await call(run.operator, adminApi.cancelRecord, { params: { id: run.recordId } });
    expect(again).toMatchObject({ status: 409, code: "ALREADY_ENDED" });
  });

  it("says of a Go agent's running backup that it cannot be stopped", async () => {
    const node = await aNode();
    const task = await aTask(node, { compression: "gzip" });
    const operator = await asRole("operator");
    const { data } = await call(operator, adminApi.runTask, { params: { id: task.id } });
    await call(node.headers, agentApi.poll);
    const answer = await call(operator, adminApi.cancelRecord, { params: { id: data.recordId } });
    expect(answer).toMatchObject({ status: 409, code: "RECORD_BUSY" });
  });
});

describe("secrets of a task", () => {
  it("are read only while a command for it is in hand", async () => {
    const node = await aNode({ ours: true });
    const run = await aClaimedRun(node);
    const spec = () => call(node.headers, agentApi.taskSpec, { params: { id: run.task.id } });
    expect(await spec()).toMatchObject({
      status: 200,
      data: { recordId: run.recordId, sourcePaths: "/etc" },
    });
    expect(
      await call((await aNode({ ours: true })).headers, agentApi.taskSpec, { params: { id: run.task.id } }),
    ).toMatchObject({
      status: 401,
      code: "BACKUP_TASK_FORBIDDEN",
    });
    await result(node, run.commandId, { success: false, leaseToken: run.leaseToken });
    expect(await spec()).toMatchObject({ status: 401, code: "BACKUP_TASK_FORBIDDEN" });
    expect(await call(node.headers, agentApi.taskSpec, { params: { id: 999_999 } })).toMatchObject({
      status: 404,
      code: "BACKUP_TASK_NOT_FOUND",
    });
  });
});

describe("deleting", () => {
  it("removes a record with its vault copies, and gives their bytes back", async () => {
    const node = await aNode({ ours: true });
    const run = await aClaimedRun(node);
    const good = goodReport(run);
    const key = good.storageUploadResults[0]?.storagePath ?? "";
    await env.VAULT.put(key, "bytes");
    await report(node, run.recordId, good);
    const gone = await call(run.operator, adminApi.deleteRecord, { params: { id: run.recordId } });
    expect(gone).toMatchObject({ status: 200, data: { pendingCopies: 0 } });
    expect(await env.VAULT.head(key)).toBeNull();
    expect((await call(run.operator, adminApi.getRecord, { params: { id: run.recordId } })).status).toBe(404);
    const target = await call(run.operator, adminApi.getTarget, { params: { id: run.task.targetId } });
    expect(target.data.usedBytes).toBe(0);
  });

  it("refuses a record that runs", async () => {
    const run = await aClaimedRun(await aNode({ ours: true }));
    const answer = await call(run.operator, adminApi.deleteRecord, { params: { id: run.recordId } });
    expect(answer).toMatchObject({ status: 409, code: "RECORD_BUSY" });
  });

  it("keeps a record until its node has removed what lies on its disk, and tries again when it could not", async () => {
    const node = await aNode({ ours: true });
    const admin = await asRole("admin");
    const run = await aClaimedRun(node);
    const disk = await call(admin, adminApi.createTarget, {
      body: { name: `disk ${run.recordId}`, type: "local_disk", config: { path: "/srv/backup" } },
    });
    await env.DB.prepare("update backup_records set target_ids = ? where id = ?")
      .bind(JSON.stringify([disk.data.id]), run.recordId)
      .run();
    const good = goodReport({ ...run, task: { ...run.task, targetId: disk.data.id } });
    await report(node, run.recordId, good);
    await result(node, run.commandId, { success: true, leaseToken: run.leaseToken });
    const gone = await call(admin, adminApi.deleteRecord, { params: { id: run.recordId } });
    expect(gone.data.pendingCopies).toBe(1);
    expect((await record(run.recordId)).deletedAt).not.toBeNull();
    const command = (await call(node.headers, agentApi.poll, { body: idle })).data.commands?.[0];
    expect(command).toMatchObject({
      type: "delete_storage_object",
      payload: {
        targetType: "local_disk",
        targetConfig: { path: "/srv/backup" },
        storagePath: good.storageUploadResults[0]?.storagePath,
      },
    });
    await result(node, command?.id ?? 0, {
      success: false,
      errorMessage: "permission denied",
      leaseToken: command?.leaseToken,
    });
    expect((await record(run.recordId)).copies).toMatchObject([
      { status: "delete_failed", error: "permission denied" },
    ]);
    await env.DB.prepare("update agent_commands set not_before = 0 where completed_at is null").run();
    const retry = (await call(node.headers, agentApi.poll, { body: idle })).data.commands?.[0];
    await result(node, retry?.id ?? 0, {
      success: true,
      result: { deleted: true },
      leaseToken: retry?.leaseToken,
    });
    expect((await call(admin, adminApi.getRecord, { params: { id: run.recordId } })).status).toBe(404);
  });

  it("asks another node to remove what every node reaches when the record's own is gone", async () => {
    const [gone, other] = [await aNode({ ours: true }), await aNode({ ours: true })];
    const admin = await asRole("admin");
    const run = await aClaimedRun(gone);
    await env.DB.batch([
      env.DB.prepare("update storage_targets set type = 's3' where id = ?").bind(run.task.targetId),
      env.DB.prepare("update nodes set last_seen = ?").bind(Date.now() - 60_000),
      env.DB.prepare("update nodes set last_seen = ? where id = ?").bind(Date.now(), other.id),
    ]);
    await report(gone, run.recordId, goodReport(run));
    await env.DB.prepare("delete from nodes where id = ?").bind(gone.id).run();
    await call(admin, adminApi.deleteRecord, { params: { id: run.recordId } });
    const command = (await call(other.headers, agentApi.poll, { body: idle })).data.commands?.[0];
    expect(command).toMatchObject({ type: "delete_storage_object", payload: { targetType: "s3" } });
  });
});
