import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { adminApi, agentApi } from "../../protocol/index.ts";
import { expireCommands } from "../../worker/commands/expire.ts";
import { readOverview } from "../../worker/overview/read.ts";
import { search } from "../../worker/overview/search.ts";
import { recordMissed } from "../../worker/schedules/record-missed.ts";
import { counting } from "./counting.ts";
import { aNode, asRole, aTask, call, deps } from "./master.ts";
import { insert, silence } from "./rows.ts";
import { aClaimedRun, goodReport } from "./runs.ts";

const NOW = Date.now();
const read = async () => (await call(await asRole("viewer"), adminApi.dashboard)).data;
const today = async () => (await read()).days.at(-1);
const namesOf = (found: { items: { name: string }[] }) => found.items.map(({ name }) => name);
/** Names of the tasks that the list has of them. */
const inTrouble = async (trouble: "overdue" | "shrunk") =>
  namesOf((await call(await asRole("viewer"), adminApi.listTasks, { query: { trouble } })).data);
const setTask = (id: number, set: string) =>
  env.DB.prepare(`update backup_tasks set ${set} where id = ?`).bind(id).run();

async function aRun() {
  const node = await aNode({ ours: true });
  const run = await aClaimedRun(node);
  const report = (body: object) =>
    call(node.headers, agentApi.updateRecord, { params: { id: run.recordId }, body });
  return { ...run, node, report };
}

describe("the dashboard", () => {
  it("has thirty days, also on a new master", async () => {
    const { days, begun, totals, attention } = await read();
    expect(days).toHaveLength(30);
    expect(days.at(-1)?.at).toBe(Math.floor(Date.now() / 86_400_000) * 86_400_000);
    expect(begun).toEqual({ connected: false, backedUp: false });
    expect(totals).toEqual({ nodes: 0, tasks: 0, targets: 0 });
    for (const found of Object.values(attention)) expect(found).toEqual({ count: 0, items: [] });
  });

  it("counts what there is when it is made and removed", async () => {
    const admin = await asRole("admin");
    const before = (await read()).totals;
    const names = ["tally-1", "tally-2", "tally-3"];
    const { items } = (await call(admin, adminApi.createNodes, { body: { names } })).data;
    await call(admin, adminApi.createNodes, { body: { names } });
    await call(admin, adminApi.deleteNode, { params: { id: items[0]?.node.id ?? 0 } });
    await call(admin, adminApi.deleteNode, { params: { id: items[0]?.node.id ?? 0 } });
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    const between = await read();
    expect(between.totals).toEqual({
      nodes: before.nodes + 2,
      tasks: before.tasks + 1,
      targets: before.targets + 1,
    });
    expect(between.tasksByNode).toContainEqual({ nodeId: node.id, name: node.name, tasks: 1 });
    await call(admin, adminApi.deleteTask, { params: { id: task.id } });
    const after = await read();
    expect(after.totals.tasks).toBe(before.tasks);
    expect(after.tasksByNode.map(({ nodeId }) => nodeId)).not.toContain(node.id);
  });

  it("counts a success once, with its bytes, and asks for its verification", async () => {
    const before = await today();
    const run = await aRun();
    await run.report(goodReport(run));
    await run.report(goodReport(run));
    const { days, attention, begun, recent } = await read();
    expect(days.at(-1)).toMatchObject({
      succeeded: (before?.succeeded ?? 0) + 1,
      failed: before?.failed,
      storedBytes: (before?.storedBytes ?? 0) + 1234,
    });
    expect(namesOf(attention.unverified)).toContain(run.task.name);
    expect(namesOf(attention.failing)).not.toContain(run.task.name);
    expect(begun.backedUp).toBe(true);
    expect(recent[0]).toMatchObject({ id: run.recordId, status: "success" });
  });

  it("names a task whose last run failed, and why, until one succeeds", async () => {
    const before = await today();
    const run = await aRun();
    await run.report({ status: "failed", errorMessage: "no space left" });
    expect((await read()).attention.failing.items).toContainEqual({
      taskId: run.task.id,
      name: run.task.name,
      outcome: "failed",
      at: expect.any(Number),
      recordId: run.recordId,
      error: "no space left",
    });
    expect((await today())?.failed).toBe((before?.failed ?? 0) + 1);
    await call(run.node.headers, agentApi.commandResult, {
      params: { id: run.commandId },
      body: { success: false, errorMessage: "no space left", leaseToken: run.leaseToken },
    });
    expect((await today())?.failed).toBe((before?.failed ?? 0) + 1);
    await setTask(run.task.id, "enabled = 0");
    expect(namesOf((await read()).attention.failing)).not.toContain(run.task.name);
  });

  it("takes a run that was given up for failed, and back when its success comes late", async () => {
    const before = await today();
    const run = await aRun();
    await silence(run.commandId);
    await expireCommands(deps);
    expect((await today())?.failed).toBe((before?.failed ?? 0) + 1);
    await run.report(goodReport(run));
    expect(await today()).toMatchObject({ failed: before?.failed, succeeded: (before?.succeeded ?? 0) + 1 });
    expect(namesOf((await read()).attention.failing)).not.toContain(run.task.name);
  });

  it("counts turns that were missed, and calls their task failing", async () => {
    const before = await today();
    const task = await aTask(await aNode({ ours: true }));
    await setTask(task.id, "next_run_at = 1000, schedule = '* * * * *'");
    const missed = {
      taskId: task.id,
      taskName: task.name,
      expected: 1000,
      next: NOW + 60_000,
      runs: 3,
      reason: "away",
    };
    expect(await recordMissed(deps, missed)).toBe(true);
    expect(await recordMissed(deps, missed)).toBe(false);
    expect((await today())?.missed).toBe((before?.missed ?? 0) + 3);
    expect((await read()).attention.failing.items).toContainEqual(
      expect.objectContaining({ taskId: task.id, outcome: "missed", error: "away" }),
    );
  });

  it("names a task without a success for too long, until its schedule is another", async () => {
    const run = await aRun();
    await setTask(run.task.id, `next_run_at = ${NOW + 3_600_000}, schedule = '0 * * * *'`);
    await run.report(goodReport(run));
    const row = await env.DB.prepare("select overdue_at as dueBy from backup_tasks where id = ?")
      .bind(run.task.id)
      .first<{ dueBy: number }>();
    expect(row?.dueBy).toBe(NOW + 2 * 3_600_000);
    expect(namesOf((await read()).attention.overdue)).not.toContain(run.task.name);
    await setTask(run.task.id, "overdue_at = 5");
    expect((await read()).attention.overdue.items).toContainEqual(
      expect.objectContaining({ taskId: run.task.id, dueAt: 5, succeededAt: expect.any(Number) }),
    );
    expect(await inTrouble("overdue")).toContain(run.task.name);
    expect(await inTrouble("shrunk")).not.toContain(run.task.name);
    await call(await asRole("operator"), adminApi.updateTask, {
      params: { id: run.task.id },
      body: { schedule: "0 3 * * *" },
    });
    expect(namesOf((await read()).attention.overdue)).not.toContain(run.task.name);
    expect(await inTrouble("overdue")).not.toContain(run.task.name);
  });

  it("names a task whose full backups read less than half of what they used to", async () => {
    const run = await aRun();
    await setTask(run.task.id, "usual_bytes = 10000000");
    await run.report(goodReport(run, { sourceBytes: 4_000_000 }));
    expect((await read()).attention.shrunk.items).toContainEqual({
      taskId: run.task.id,
      name: run.task.name,
      recordId: run.recordId,
      bytes: 4_000_000,
      usualBytes: 8_800_000,
    });
    expect(await inTrouble("shrunk")).toContain(run.task.name);
    const same = await aRun();
    await setTask(same.task.id, "usual_bytes = 10000000");
    await same.report(goodReport(same, { sourceBytes: 6_000_000 }));
    expect(namesOf((await read()).attention.shrunk)).not.toContain(same.task.name);
  });

  it("names nodes that went, backups that wait and targets that are nearly full", async () => {
    const node = await aNode();
    const away = await aNode();
    await env.DB.prepare("update nodes set status = 'offline', last_seen = 5 where id = ?")
      .bind(away.id)
      .run();
    const recordId = await insert("backup_records", {
      task_id: 999_001,
      task_name: "waits",
      node_id: node.id,
      status: "queued",
      trigger: "manual",
      source_type: "file",
      compression: "gzip",
      source: "{}",
      target_ids: "[]",
      created_at: NOW - 3_600_000,
    });
    const target = await call(await asRole("admin"), adminApi.createTarget, {
      body: { name: "nearly full", type: "vault", quotaBytes: 1000 },
    });
    const failed = {
      at: 5,
      nodeId: null,
      nodeName: null,
      ok: false,
      milliseconds: null,
      message: "no such bucket",
    };
    await env.DB.prepare("update storage_targets set used_bytes = 950, last_test = ? where id = ?")
      .bind(JSON.stringify(failed), target.data.id)
      .run();
    const { attention } = await read();
    expect(attention.offline.items).toContainEqual({ nodeId: away.id, name: away.name, lastSeen: 5 });
    expect(attention.waiting.items).toContainEqual(
      expect.objectContaining({ recordId, name: "waits", nodeName: node.name }),
    );
    expect(attention.filling.items).toContainEqual(
      expect.objectContaining({ name: "nearly full", usedBytes: 950, quotaBytes: 1000 }),
    );
    expect(attention.broken.items).toContainEqual({
      targetId: target.data.id,
      name: "nearly full",
      at: 5,
      error: "no such bucket",
    });
  });
});

describe("a search", () => {
  const found = async (text: string) =>
    (await call(await asRole("viewer"), adminApi.search, { query: { text } })).data.items;

  it("finds nodes, tasks and targets by a part of their name, in either case, and a record by its number", async () => {
    const run = await aRun();
    await aNode({ name: "Zebra-1" });
    await aNode({ name: "zebra-2" });
    await aNode({ name: "not-a-zebra" });
    // What begins so comes first.
    const names = (await found("zebra")).map(({ name }) => name);
    expect(names.slice(0, 2).sort()).toEqual(["Zebra-1", "zebra-2"]);
    expect(names.slice(2)).toEqual(["not-a-zebra"]);
    expect((await found("T-A-zeb")).map(({ name }) => name)).toEqual(["not-a-zebra"]);
    expect(await found("zebra-2")).toEqual([{ kind: "node", id: expect.any(Number), name: "zebra-2" }]);
    expect(await found(run.task.name)).toEqual([{ kind: "task", id: run.task.id, name: run.task.name }]);
    expect((await found("vault")).every(({ kind }) => kind === "target")).toBe(true);
    expect(await found(`#${run.recordId}`)).toEqual([
      { kind: "record", id: run.recordId, name: run.task.name },
    ]);
    for (const text of ["%", "_", "'", "zebra-2\u0000", "#0", "#-1"]) expect(await found(text)).toEqual([]);
  });
});

describe("what the dashboard costs", () => {
  const numbers = (from: number, to: number) =>
    `with recursive n(i) as (select ${from} union all select i + 1 from n where i < ${to})`;
  /** Every tenth of all that can be wrong is. */
  const fill = async (from: number, to: number) => {
    const statements = [
      `insert into nodes (name, token_sha256, status, connection, last_seen, task_count, created_at, updated_at)
       select 'n' || i, 't' || i, iif(i % 10 = 0, 'offline', 'online'), 'poll', ${NOW}, 1 + i % 4, ${NOW}, ${NOW} from n`,
      `insert into backup_tasks (name, source, pipeline, node_id, schedule, next_run_at, outcome, ended_at,
         ended_record_id, succeeded_at, overdue_at, usual_bytes, shrunk_at, verified_at, created_at, updated_at)
       select 'task ' || i, '{}', '{}', i, '0 2 * * *', ${NOW} + i, iif(i % 10 = 0, 'failed', 'success'), ${NOW} - i, i,
         ${NOW} - i, iif(i % 10 = 1, 5, ${NOW * 2}), 1000, iif(i % 10 = 2, i, null), iif(i % 10 = 3, null, 5), 1, 1 from n`,
      `insert into backup_records (task_id, task_name, node_id, status, trigger, source_type, compression, source,
         target_ids, created_at)
       select 1000000 + i, 't', i, case i % 10 when 0 then 'failed' when 1 then 'queued' else 'success' end, 'schedule',
         'file', 'zstd', '{}', '[]', ${NOW} - 3600000 from n`,
      `insert into verifications (task_id, record_id, target_id, node_id, status, trigger, grade, created_at)
       select i, i, 1, 1, iif(i % 10 = 0, 'failed', 'success'), 'manual', 3, ${NOW} from n`,
    ];
    for (const statement of statements) await env.DB.prepare(`${numbers(from, to)} ${statement}`).run();
  };
  const cost = async () => {
    const { deps: counted, count } = counting(deps);
    const shown = await readOverview(counted);
    return { ...count, shown };
  };
  let small: Awaited<ReturnType<typeof cost>>;
  beforeAll(async () => {
    await fill(10_001, 12_000);
    small = await cost();
    await fill(12_001, 30_000);
  }, 60_000);

  it("is the same for ten times as many nodes, tasks and records, everywhere something being wrong", async () => {
    const large = await cost();
    expect(large.rowsRead).toBeLessThanOrEqual(small.rowsRead + 5);
    expect(large.rowsRead).toBeLessThan(2000);
    expect(large.rowsWritten).toBe(0);
    // The free plan allows 50 in one invocation.
    expect(large.queries).toBeLessThanOrEqual(20);
    for (const kind of ["failing", "overdue", "waiting", "offline", "shrunk", "unverified"] as const) {
      // Of those that wait, some of the first are too young.
      expect([kind, large.shown.attention[kind].count >= 45]).toEqual([kind, true]);
      expect(large.shown.attention[kind].count).toBeLessThanOrEqual(50);
      expect(large.shown.attention[kind].items).toHaveLength(5);
    }
  });

  it.each([
    ["n", { node: 6, task: 0 }],
    ["N2", { node: 6, task: 0 }],
    ["task 1", { node: 0, task: 6 }],
    ["29999", { node: 1, task: 1 }],
    // Older than the newest thousand, and not how it begins.
    ["12345", { node: 0, task: 0 }],
    ["nothing", { node: 0, task: 0 }],
    ["#15000", { node: 0, task: 0 }],
  ])("and a search for %s reads through the newest thousand names at most", async (text, shown) => {
    const { deps: counted, count } = counting(deps);
    const { items } = await search(counted, text);
    const countOf = (kind: string) => items.filter((item) => item.kind === kind).length;
    expect({ node: countOf("node"), task: countOf("task") }).toEqual(shown);
    // What fills the page by how it begins needs nothing read through.
    const readThrough = Object.values(shown).filter((found) => found < 6).length;
    expect(count.rowsRead).toBeLessThanOrEqual(4 * items.length + 40 + 1000 * readThrough);
    expect(count.queries).toBe(4);
  });
});
