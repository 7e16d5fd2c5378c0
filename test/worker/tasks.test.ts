import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { createTask } from "../../worker/tasks/create.ts";
import { listTasks } from "../../worker/tasks/list.ts";
import { system } from "../../worker/users/actor.ts";
import { counting } from "./counting.ts";
import { aNode, asRole, call, deps } from "./master.ts";
import { copyRow, count, recordRow, set, targetRow, unique } from "./rows.ts";

const files = { type: "file", paths: ["/etc"] };

async function aTaskBody(changes: Record<string, unknown> = {}) {
  const node = await aNode({ ours: true });
  return {
    name: unique("task"),
    nodeId: node.id,
    source: files,
    targetIds: [await targetRow("s3")],
    ...changes,
  };
}
const create = async (body: unknown) => call(await asRole("operator"), adminApi.createTask, { body });
const made = async (changes: Record<string, unknown> = {}) => {
  const answer = await create(await aTaskBody(changes));
  expect(answer.message).toBe("success");
  return answer.data;
};
const change = async (id: number, body: unknown) =>
  call(await asRole("operator"), adminApi.updateTask, { params: { id }, body });
const remove = async (id: number) => call(await asRole("operator"), adminApi.deleteTask, { params: { id } });
const get = async (id: number) =>
  (await call(await asRole("viewer"), adminApi.getTask, { params: { id } })).data;
const targetsOf = async (id: number) =>
  (
    await env.DB.prepare("select target_id from task_targets where task_id = ? order by position")
      .bind(id)
      .all()
  ).results.map((row) => row["target_id"]);

describe("adding a task", () => {
  it("stores it with its targets in order, its next run and an audit entry", async () => {
    const targetIds = [await targetRow("s3"), await targetRow("vault")].reverse();
    const task = await made({ targetIds, schedule: "0 3 * * *", timeZone: "Europe/Berlin" });
    expect(task).toMatchObject({
      targetIds,
      enabled: true,
      pipeline: { compression: "zstd", level: null },
      source: { type: "file", paths: ["/etc"], excludes: [] },
    });
    expect(new Date(task.nextRunAt ?? 0).getTime()).toBeGreaterThan(Date.now());
    expect(await targetsOf(task.id)).toEqual(targetIds);
    expect(await count("audit_logs where action = 'task.create' and entity_id = ?", task.id)).toBe(1);
    expect((await made({ schedule: "0 3 * * *", enabled: false })).nextRunAt).toBeNull();
  });

  it.each([
    ["a node and a pool", { poolLabel: "db" }, "nodeId"],
    ["neither node nor pool", { nodeId: null }, "nodeId"],
    ["no target", { targetIds: [] }, "targetIds"],
    ["one target twice", { targetIds: [1, 1] }, "targetIds"],
    ["no path", { source: { type: "file", paths: [] } }, "source"],
    ["a relative path", { source: { type: "file", paths: ["etc"] } }, "source"],
    ["a path with NUL", { source: { type: "file", paths: ["/etc\0/x"] } }, "source"],
    ["an unknown source", { source: { type: "oracle" } }, "source"],
    ["a level that gzip has not", { pipeline: { compression: "gzip", level: 12 } }, "pipeline.level"],
    ["a level of nothing", { pipeline: { compression: "none", level: 3 } }, "pipeline.level"],
    ["an empty name", { name: "  " }, "name"],
    ["a pool that is no label", { nodeId: null, poolLabel: "Not OK" }, "poolLabel"],
  ])("refuses %s, naming the field", async (_what, changes, field) => {
    const before = await count("backup_tasks");
    const answer = await create(await aTaskBody(changes));
    expect(answer).toMatchObject({ status: 400, code: "INVALID_INPUT" });
    expect(answer.message).toContain(field);
    expect(await count("backup_tasks")).toBe(before);
  });

  it("refuses two targets that are both the vault: there is one object for them", async () => {
    const two = [await targetRow("vault"), await targetRow("vault")];
    const answer = await create(await aTaskBody({ targetIds: two }));
    expect(answer).toMatchObject({ status: 400, code: "INVALID_INPUT" });
    expect(answer.message).toContain("targetIds");
  });

  it("refuses a schedule or a time zone that is none", async () => {
    for (const wrong of [{ schedule: "every day" }, { schedule: "0 3 31 2 *" }, { timeZone: "Mars/Base" }]) {
      expect(await create(await aTaskBody(wrong))).toMatchObject({ status: 400, code: "SCHEDULE_INVALID" });
    }
  });

  it("refuses a node or a target that is not there, and a name that is; nothing is left of it", async () => {
    const one = await made();
    const missing = await aTaskBody({ targetIds: [await targetRow("s3"), 999_999] });
    expect(await create(missing)).toMatchObject({ status: 404, code: "STORAGE_TARGET_NOT_FOUND" });
    expect((await create(missing)).message).toContain("999999");
    expect(await create(await aTaskBody({ nodeId: 999_999 }))).toMatchObject({ code: "NODE_NOT_FOUND" });
    const links = await count("task_targets");
    expect(await create(await aTaskBody({ name: one.name }))).toMatchObject({
      status: 409,
      code: "NAME_TAKEN",
    });
    expect(await count("task_targets")).toBe(links);
    expect(await targetsOf(one.id)).toEqual(one.targetIds);
    expect(await count("audit_logs where after like '%999999%'")).toBe(0);
  });

  it("makes nothing, and touches no other task, when a target vanishes at the last moment", async () => {
    const one = await made();
    const body = await aTaskBody({ name: one.name });
    const vanishing = await targetRow("s3");
    const batch = async (statements: D1PreparedStatement[]) => {
      await env.DB.prepare("delete from storage_targets where id = ?").bind(vanishing).run();
      return env.DB.batch(statements);
    };
    const db = { prepare: (sql: string) => env.DB.prepare(sql), batch } as unknown as D1Database;
    const task = adminApi.createTask.body.parse({ ...body, targetIds: [vanishing, ...body.targetIds] });
    await expect(createTask({ ...deps, db }, system, task)).rejects.toMatchObject({
      code: "STORAGE_TARGET_NOT_FOUND",
    });
    expect(await targetsOf(one.id)).toEqual(one.targetIds);
    expect(await count("backup_tasks where name = ?", one.name)).toBe(1);
  });

  it("is nothing for a viewer", async () => {
    const answer = await call(await asRole("viewer"), adminApi.createTask, { body: await aTaskBody() });
    expect(answer.code).toBe("FORBIDDEN");
  });
});

describe("a node that is known to be unable to run a task", () => {
  const gzip = { compression: "gzip" };
  const refusedBy = async (changes: Record<string, unknown>) => {
    const answer = await create(await aTaskBody(changes));
    expect(answer).toMatchObject({ status: 409, code: "NODE_CANNOT_RUN_TASK" });
    return answer.message;
  };

  it("is refused when it is a Go agent and asked for what that does not know, with a remedy", async () => {
    const { id: nodeId } = await aNode();
    expect(await refusedBy({ nodeId })).toMatch(/zstd.*gzip/);
    const sqlite = { type: "sqlite", paths: ["/a.db", "/b.db"] };
    expect(await refusedBy({ nodeId, pipeline: gzip, source: sqlite })).toContain("one SQLite file");
    const oneFileSystem = { ...files, oneFileSystem: true };
    expect(await refusedBy({ nodeId, pipeline: gzip, source: oneFileSystem })).toContain("file system");
    const targetIds = [await targetRow("s3", { config: '{"prefix":"x"}' })];
    expect(await refusedBy({ nodeId, pipeline: gzip, targetIds })).toContain("prefix");
    expect((await made({ nodeId, pipeline: gzip })).nodeId).toBe(nodeId);
  });

  it("is refused when its agent lacks the source or a storage", async () => {
    const node = await aNode({ ours: true });
    const capabilities = { sources: ["file"], storages: ["local_disk"], engines: {} };
    await set("nodes", node.id, { capabilities: JSON.stringify(capabilities) });
    const local = [await targetRow("local_disk")];
    const sqlite = { type: "sqlite", paths: ["/a.db"] };
    expect(await refusedBy({ nodeId: node.id, source: sqlite, targetIds: local })).toContain("sqlite");
    expect(await refusedBy({ nodeId: node.id })).toContain("s3");
    expect((await made({ nodeId: node.id, targetIds: local })).nodeId).toBe(node.id);
  });

  it("is given the benefit of the doubt while nothing is known of it; a pool always", async () => {
    const { data } = await call(await asRole("admin"), adminApi.createNode, {
      body: { name: unique("new") },
    });
    expect((await made({ nodeId: data.node.id })).nodeId).toBe(data.node.id);
    expect(await made({ nodeId: null, poolLabel: "empty" })).toMatchObject({
      nodeId: null,
      poolLabel: "empty",
    });
  });

  it("can still have its task disabled or renamed", async () => {
    const task = await made();
    await set("nodes", task.nodeId as number, { protocol_version: null });
    expect((await change(task.id, { enabled: false, name: unique("off") })).status).toBe(200);
    expect((await change(task.id, { pipeline: { compression: "zstd" } })).code).toBe("NODE_CANNOT_RUN_TASK");
  });
});

describe("changing a task", () => {
  it("changes what was sent, keeps the rest and tells the audit log both", async () => {
    const task = await made();
    const targetIds = [await targetRow("vault"), ...task.targetIds];
    const changed = await change(task.id, { targetIds, source: { type: "file", paths: ["/srv"] } });
    expect(changed.data).toMatchObject({
      name: task.name,
      nodeId: task.nodeId,
      targetIds,
      source: { paths: ["/srv"] },
    });
    expect(await targetsOf(task.id)).toEqual(targetIds);
    const entry = await env.DB.prepare(
      "select before, after from audit_logs where action = 'task.update' and entity_id = ?",
    )
      .bind(task.id)
      .first<{ before: string; after: string }>();
    expect(JSON.parse(entry?.before ?? "")).toMatchObject({
      source: { paths: ["/etc"] },
      targetIds: task.targetIds,
    });
    expect(JSON.parse(entry?.after ?? "")).toMatchObject({ source: { paths: ["/srv"] }, targetIds });
  });

  it("moves it from a node to a pool, but not to both", async () => {
    const task = await made();
    expect((await change(task.id, { poolLabel: "db" })).code).toBe("INVALID_INPUT");
    expect((await change(task.id, { poolLabel: "db", nodeId: null })).data).toMatchObject({
      poolLabel: "db",
      nodeId: null,
    });
  });

  it("computes the next run anew with the schedule only, so that a turn that is due is not lost", async () => {
    const task = await made({ schedule: "0 3 * * *" });
    await set("backup_tasks", task.id, { next_run_at: 5 });
    expect((await change(task.id, { name: unique("x"), enabled: true })).data.nextRunAt).toBe(5);
    expect((await change(task.id, { schedule: "0 4 * * *" })).data.nextRunAt).toBeGreaterThan(Date.now());
    expect((await change(task.id, { enabled: false })).data.nextRunAt).toBeNull();
    expect((await change(task.id, { enabled: true })).data.nextRunAt).toBeGreaterThan(Date.now());
    expect((await change(task.id, { schedule: null })).data.nextRunAt).toBeNull();
  });

  it("loses neither of two changes at the same time", async () => {
    const task = await made();
    const answers = await Promise.all([
      change(task.id, { timeZone: "Europe/Berlin" }),
      change(task.id, { source: { type: "file", paths: ["/srv"] } }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(await get(task.id)).toMatchObject({ timeZone: "Europe/Berlin", source: { paths: ["/srv"] } });
    expect(await targetsOf(task.id)).toEqual(task.targetIds);
  });

  it("refuses what creating would refuse, and changes nothing then", async () => {
    const [task, other] = [await made(), await made()];
    const before = await get(task.id);
    expect((await change(task.id, { name: other.name })).code).toBe("NAME_TAKEN");
    expect((await change(task.id, { targetIds: [999_999] })).code).toBe("STORAGE_TARGET_NOT_FOUND");
    expect((await change(task.id, { nodeId: 999_999 })).code).toBe("NODE_NOT_FOUND");
    expect((await change(task.id, { schedule: "nonsense" })).code).toBe("SCHEDULE_INVALID");
    expect((await change(999_999, { enabled: false })).code).toBe("BACKUP_TASK_NOT_FOUND");
    expect(await get(task.id)).toEqual(before);
  });
});

describe("deleting a task", () => {
  it("is refused while it runs, with the record's id", async () => {
    const { id, nodeId } = await made();
    const recordId = await recordRow(id, nodeId as number, { status: "queued" });
    const answer = await remove(id);
    expect(answer).toMatchObject({ status: 409, code: "TASK_ALREADY_RUNNING" });
    expect(answer.message).toContain(`record ${recordId}`);
    expect(await count("task_targets where task_id = ?", id)).toBe(1);
  });

  it("is refused while it has restorable records, with the count; then removes it and its links", async () => {
    const { id, nodeId, targetIds } = await made();
    const target = targetIds[0] as number;
    for (const status of ["success", "success", "deleted"])
      await copyRow(await recordRow(id, nodeId as number), target, status);
    await recordRow(id, nodeId as number, { status: "failed" });
    const answer = await remove(id);
    expect(answer).toMatchObject({ status: 409, code: "TASK_HAS_RECORDS" });
    expect(answer.message).toContain("2 restorable records");
    expect(await count("audit_logs where action = 'task.delete' and entity_id = ?", id)).toBe(0);
    await env.DB.prepare("update record_copies set status = 'deleted' where target_id = ?")
      .bind(target)
      .run();
    expect((await remove(id)).status).toBe(200);
    expect(await count("task_targets where task_id = ?", id)).toBe(0);
    expect(await count("audit_logs where action = 'task.delete' and entity_id = ?", id)).toBe(1);
    expect((await remove(id)).code).toBe("BACKUP_TASK_NOT_FOUND");
  });
});

describe("a task's recent runs", () => {
  it("count a missed record for every run it stands for, leave out what a person cancelled or still runs", async () => {
    const { id, nodeId } = await made();
    expect((await get(id)).recent).toEqual({ runs: 0, succeeded: 0, successRate: null, verified: 0 });
    const records = [
      { status: "success" },
      { status: "success" },
      { status: "failed" },
      { status: "missed", runs: 5 },
      { status: "cancelled" },
      { status: "running" },
    ];
    for (const record of records) await recordRow(id, nodeId as number, record);
    expect((await get(id)).recent).toEqual({ runs: 8, succeeded: 2, successRate: 0.25, verified: 0 });
  });

  it("are the last 30, however long the history", async () => {
    const { id, nodeId } = await made();
    await env.DB.prepare(
      `insert into backup_records (task_id, task_name, node_id, status, trigger, source_type, compression, source,
         target_ids, created_at)
       with recursive n(i) as (select 1 union all select i + 1 from n where i < 300)
       select ?, 't', ?, iif(i <= 270, 'failed', 'success'), 'manual', 'file', 'gzip', '{}', '[]', 1 from n`,
    )
      .bind(id, nodeId)
      .run();
    expect((await get(id)).recent).toEqual({ runs: 30, succeeded: 30, successRate: 1, verified: 0 });
  });
});

describe("finding tasks", () => {
  const page = async (query: Record<string, string | number>) =>
    (await call(await asRole("viewer"), adminApi.listTasks, { query })).data;
  const found = async (query: Record<string, string | number>) =>
    (await page(query)).items.map(({ id }) => id);

  it("by tag, alone and of one node; tags follow every change of the task", async () => {
    const tag = unique("数据库");
    const one = await made({ tags: [tag, "nightly"] });
    const two = await made({ tags: [tag] });
    await made();
    expect(one.tags).toEqual([tag, "nightly"]);
    expect(await found({ tag })).toEqual([two.id, one.id]);
    expect(await found({ tag, limit: 1, before: two.id })).toEqual([one.id]);
    expect(await found({ tag, nodeId: one.nodeId ?? 0 })).toEqual([one.id]);
    const tags = async () => (await call(await asRole("viewer"), adminApi.listTaskTags, {})).data.items;
    expect((await tags()).filter((name) => name === tag)).toEqual([tag]);
    await change(one.id, { tags: ["weekly"] });
    await change(two.id, { name: unique("renamed") });
    expect(await found({ tag })).toEqual([two.id]);
    await remove(two.id);
    expect(await tags()).not.toContain(tag);
    expect(await create(await aTaskBody({ tags: ["a", "a"] }))).toMatchObject({ code: "INVALID_INPUT" });
  });

  it("by name, by whether they are enabled and by how the last run went", async () => {
    const node = await aNode({ ours: true });
    const name = unique("Shop 100%");
    const failing = await made({ nodeId: node.id, name });
    const paused = await made({ nodeId: node.id, enabled: false });
    await recordRow(failing.id, node.id);
    const last = await recordRow(failing.id, node.id, { status: "failed", error_message: "disk full" });
    const of = { nodeId: node.id };
    expect(await found({ text: name.toLowerCase().slice(1) })).toEqual([failing.id]);
    expect(await found({ ...of, text: "_" })).toEqual([]);
    expect(await found({ ...of, enabled: "false" })).toEqual([paused.id]);
    expect(await found({ ...of, last: "failed" })).toEqual([failing.id]);
    expect(await found({ ...of, last: "success" })).toEqual([]);
    expect(await found({ ...of, last: "never" })).toEqual([paused.id]);
    const [shown] = (await page({ ...of, last: "failed" })).items;
    const { name: nodeName } = (
      await call(await asRole("viewer"), adminApi.getNode, { params: { id: node.id } })
    ).data;
    expect(shown).toMatchObject({
      nodeName,
      lastRecord: { id: last, status: "failed", errorMessage: "disk full" },
    });
    expect(await get(paused.id)).toMatchObject({ nodeName, lastRecord: null });
  });

  it("reads a bounded number of rows, however many tasks there are", async () => {
    const node = await aNode({ ours: true });
    const tag = unique("tag");
    await env.DB.prepare(
      `insert into backup_tasks (name, source, pipeline, node_id, tags, created_at, updated_at)
       with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000)
       select 'bulk ' || i || ?1, '{"type":"file","paths":["/etc"]}', '{}', ?2, json_array(?1), 1, 1 from n`,
    )
      .bind(tag, node.id)
      .run();
    await env.DB.prepare(
      "insert into task_tags (tag, task_id) select ?1, id from backup_tasks where node_id = ?2",
    )
      .bind(tag, node.id)
      .run();
    const queries = [{}, { nodeId: node.id }, { tag }, { tag, last: "failed" }, { text: "nobody" }] as const;
    for (const query of queries) {
      const { deps: counted, count: rows } = counting(deps);
      const { next } = await listTasks(counted, adminApi.listTasks.query.parse(query));
      expect(next).not.toBeNull();
      const isScan = "last" in query || "text" in query;
      expect(rows.rowsRead, JSON.stringify(query)).toBeLessThan(isScan ? 8000 : 700);
    }
    let before: number | null | undefined;
    let hits = 0;
    do {
      const { items, next } = await page({ text: `bulk 7${tag}`, ...(before ? { before } : {}) });
      hits += items.length;
      before = next;
    } while (before);
    expect(hits).toBe(1);
  });
});

it("lists tasks page by page, newest first, and of one node", async () => {
  const node = await aNode({ ours: true });
  const ids = [];
  for (let i = 0; i < 3; i++) ids.unshift((await made({ nodeId: node.id })).id);
  await made();
  const page = async (query: Record<string, number>) =>
    (await call(await asRole("viewer"), adminApi.listTasks, { query })).data;
  const first = await page({ nodeId: node.id, limit: 2 });
  expect(first.items.map(({ id }) => id)).toEqual(ids.slice(0, 2));
  expect(first.items[0]?.targetIds).toHaveLength(1);
  const second = await page({ nodeId: node.id, limit: 2, before: first.next as number });
  expect(second).toMatchObject({ items: [{ id: ids[2] }], next: null });
});
