import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { adminApi, agentApi } from "../../protocol/index.ts";
import { expireRecords } from "../../worker/retention/expire.ts";
import { sweepRetention } from "../../worker/retention/sweep.ts";
import { counting } from "./counting.ts";
import { aNode, call, deps } from "./master.ts";
import { copyRow, count, recordRow, set } from "./rows.ts";
import { aClaimedRun, goodReport, idle } from "./runs.ts";

type Node = Awaited<ReturnType<typeof aNode>>;
const DAY = 86_400_000;

/** A task with that retention and one good record a day for so many days before now, all in its vault. */
async function aTaskWithHistory(retention: object | null, days: number) {
  const node = await aNode({ ours: true });
  const run = await aClaimedRun(node);
  const { id, targetId } = run.task;
  if (retention) await call(run.operator, adminApi.updateTask, { params: { id }, body: { retention } });
  const records: number[] = [];
  for (let day = days; day > 0; day--)
    records.push(await aRecord(id, node, targetId, Date.now() - day * DAY));
  return { node, run, taskId: id, targetId, records };
}

async function aRecord(taskId: number, node: Node, targetId: number, at: number, columns: object = {}) {
  const id = await recordRow(taskId, node.id, { created_at: at, started_at: at, file_name: "a", ...columns });
  await copyRow(id, targetId);
  await env.DB.prepare("update record_copies set storage_path = ?, size_bytes = 10 where record_id = ?")
    .bind(`BackupX/file/261101/records/${id}/a`, id)
    .run();
  await env.VAULT.put(`BackupX/file/261101/records/${id}/a`, "0123456789");
  return id;
}

const left = async (taskId: number) =>
  (
    await env.DB.prepare("select id from backup_records where task_id = ? and status = 'success' order by id")
      .bind(taskId)
      .all<{ id: number }>()
  ).results.map(({ id }) => id);
const succeed = async (node: Node, run: Awaited<ReturnType<typeof aClaimedRun>>) =>
  call(node.headers, agentApi.updateRecord, { params: { id: run.recordId }, body: goodReport(run) });
/** Every minute of a round. */
const sweepAll = async () => {
  for (let minute = 0; minute < 60; minute++) await sweepRetention(deps, minute);
};

describe("retention", () => {
  it("removes what no rule keeps after a run that succeeded, and the vault's objects with it", async () => {
    const { node, run, taskId, records } = await aTaskWithHistory({ keepLast: 3 }, 5);
    await succeed(node, run);
    expect(await left(taskId)).toEqual([run.recordId, ...records.slice(3)].sort((a, b) => a - b));
    for (const id of records.slice(0, 3)) {
      expect(await env.VAULT.head(`BackupX/file/261101/records/${id}/a`)).toBeNull();
    }
    for (const id of records.slice(3)) {
      expect(await env.VAULT.head(`BackupX/file/261101/records/${id}/a`)).not.toBeNull();
    }
    const { results } = await env.DB.prepare(
      `select actor, entity_id, before, after from audit_logs where action = 'record.expire' and entity_id in (
         select value from json_each(?)) order by entity_id`,
    )
      .bind(JSON.stringify(records))
      .all<{ actor: string; entity_id: number; before: string; after: string }>();
    expect(results.map((entry) => entry.entity_id)).toEqual(records.slice(0, 3));
    expect(results[0]).toMatchObject({
      actor: "system",
      after: expect.stringContaining("none of keepLast 3"),
    });
    expect(JSON.parse(results[0]?.before ?? "{}")).toMatchObject({ status: "success", copies: 1 });
  });

  it("removes nothing after a run that failed, and nothing where a task has none", async () => {
    const failing = await aTaskWithHistory({ keepLast: 1 }, 3);
    await call(failing.node.headers, agentApi.updateRecord, {
      params: { id: failing.run.recordId },
      body: { status: "failed", errorMessage: "no" },
    });
    expect(await left(failing.taskId)).toEqual(failing.records);
    const without = await aTaskWithHistory(null, 3);
    await succeed(without.node, without.run);
    expect(await left(without.taskId)).toHaveLength(4);
  });

  it("asks the nodes to remove what lies on their disks, once", async () => {
    const { node, run, taskId, targetId, records } = await aTaskWithHistory({ keepLast: 1 }, 3);
    await set("storage_targets", targetId, { type: "local_disk", config: JSON.stringify({ path: "/srv" }) });
    await succeed(node, run);
    await call(node.headers, agentApi.commandResult, {
      params: { id: run.commandId },
      body: { success: true, leaseToken: run.leaseToken },
    });
    await sweepAll();
    expect(await count("backup_records where task_id = ? and deleted_at is not null", taskId)).toBe(3);
    const { data } = await call(node.headers, agentApi.poll, { body: idle });
    expect(data.commands?.map(({ type }) => type)).toEqual(["delete_storage_object"]);
    expect(await count("agent_commands where type = 'delete_storage_object' and node_id = ?", node.id)).toBe(
      records.length,
    );
  });

  it("leaves what is locked, in use, needed by a differential, or the newest", async () => {
    const { node, run, taskId, targetId, records } = await aTaskWithHistory({ keepLast: 1 }, 6);
    const [locked = 0, restored = 0, verified = 0, copied = 0, base = 0] = records;
    await set("backup_records", locked, { locked: 1, kind: "differential", base_record_id: base });
    await env.DB.batch([
      env.DB.prepare(
        `insert into restore_records (record_id, target_id, node_id, status, conflict, created_at)
         values (?, ?, ?, 'running', 'fail', 1)`,
      ).bind(restored, targetId, node.id),
      env.DB.prepare(
        `insert into verifications (task_id, record_id, target_id, node_id, status, trigger, grade, created_at)
         values (?, ?, ?, ?, 'queued', 'manual', 1, 1)`,
      ).bind(taskId, verified, targetId, node.id),
      env.DB.prepare(
        `insert into record_copies (record_id, target_id, target_name, status, updated_at)
         values (?, 999999, 't', 'copying', 1)`,
      ).bind(copied),
    ]);
    await succeed(node, run);
    expect(await left(taskId)).toEqual([run.recordId, ...records.slice(0, 5)].sort((a, b) => a - b));
    await set("backup_records", locked, { locked: 0 });
    await env.DB.prepare("update restore_records set status = 'failed' where record_id = ?")
      .bind(restored)
      .run();
    await sweepAll();
    expect(await left(taskId)).toEqual([run.recordId, ...records.slice(2, 4)].sort((a, b) => a - b));
  });

  it("removes a base together with the differentials that go", async () => {
    const { node, run, taskId, records } = await aTaskWithHistory({ keepLast: 1 }, 3);
    const [base = 0, one = 0, two = 0] = records;
    for (const id of [one, two])
      await set("backup_records", id, { kind: "differential", base_record_id: base });
    await succeed(node, run);
    expect(await left(taskId)).toEqual([run.recordId]);
  });

  it("reaches what only time makes too old within an hour's sweeps, whatever the task's id", async () => {
    const { run, taskId, records } = await aTaskWithHistory(null, 5);
    await set("backup_tasks", taskId, { retention: JSON.stringify({ keepDays: 2 }) });
    await set("backup_records", run.recordId, { status: "failed" });
    await sweepAll();
    expect(await left(taskId)).toEqual(records.slice(-1));
  });

  it("removes many in portions", async () => {
    const { node, run, taskId } = await aTaskWithHistory({ keepLast: 1 }, 60);
    await succeed(node, run);
    expect(await left(taskId)).toHaveLength(11);
    await sweepAll();
    expect(await left(taskId)).toEqual([run.recordId]);
  });

  it("is previewed without a change", async () => {
    const { run, taskId, records } = await aTaskWithHistory({ keepLast: 2 }, 4);
    const { data } = await call(run.operator, adminApi.previewRetention, { params: { id: taskId } });
    expect(data.retention).toEqual({ keepLast: 2 });
    expect(data.records.map(({ recordId, keep }) => [recordId, keep])).toEqual(
      [...records].reverse().map((id, index) => [id, index < 2]),
    );
    expect(data.records.at(-1)).toMatchObject({ reasons: ["kept by none of keepLast 2"], keptBy: [] });
    expect(data.records[0]).toMatchObject({
      reasons: ["one of the last 2", "the newest"],
      keptBy: [
        { rule: "last", value: "2" },
        { rule: "newest", value: "" },
      ],
    });
    expect(await left(taskId)).toEqual(records);
    const asked = await call(run.operator, adminApi.previewRetention, {
      params: { id: taskId },
      query: { keepLast: 1, keepDaily: 3 },
    });
    expect(asked.data.retention).toEqual({ keepLast: 1, keepDaily: 3 });
    expect(asked.data.records.filter(({ keep }) => keep)).toHaveLength(3);
    const none = await call(run.operator, adminApi.previewRetention, { params: { id: 999_999 } });
    expect(none).toMatchObject({ status: 404, code: "BACKUP_TASK_NOT_FOUND" });
  });

  it("is shown, changed and taken away with its task; one without a rule is refused", async () => {
    const { run, taskId } = await aTaskWithHistory({ keepDaily: 7, keepWeekly: 4 }, 0);
    const params = { id: taskId };
    const shown = async () => (await call(run.operator, adminApi.getTask, { params })).data.retention;
    expect(await shown()).toEqual({ keepDaily: 7, keepWeekly: 4 });
    for (const wrong of [{}, { keepLast: 0 }, { keepHourly: 3 }, { keepLast: 1.5 }]) {
      const refused = await call(run.operator, adminApi.updateTask, { params, body: { retention: wrong } });
      expect(refused.status, JSON.stringify(wrong)).toBe(400);
    }
    await call(run.operator, adminApi.updateTask, { params, body: { enabled: false } });
    expect(await shown()).toEqual({ keepDaily: 7, keepWeekly: 4 });
    await call(run.operator, adminApi.updateTask, { params, body: { retention: null } });
    expect(await shown()).toBeNull();
  });

  it("reads a bounded number of rows however often a task has failed, and writes none when nothing expires", async () => {
    const { taskId, records } = await aTaskWithHistory({ keepLast: 5 }, 3);
    await env.DB.prepare(
      `with recursive n(i) as (select 1 union all select i + 1 from n where i < 10000)
       insert into backup_records (task_id, task_name, node_id, status, trigger, source_type, compression, source,
         target_ids, created_at)
       select ?, 't', 1, 'failed', 'manual', 'file', 'zstd', '{}', '[]', 1 from n`,
    )
      .bind(taskId)
      .run();
    const { deps: counted, count: rows } = counting(deps);
    await expireRecords(counted, taskId);
    expect(rows.rowsRead).toBeLessThan(10_000);
    expect(rows.rowsWritten).toBe(0);
    expect(await left(taskId)).toEqual(records);
  });
});
