import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { listRestores } from "../../worker/restores/read.ts";
import { listVerifications } from "../../worker/verifications/read.ts";
import { counting } from "./counting.ts";
import { aNode, asRole, call, deps } from "./master.ts";
import { insert, recordRow, taskRow } from "./rows.ts";

type Columns = Record<string, unknown>;
type Query = Record<string, string | number>;
type Page = { items: { id: number }[]; next: number | null };

const report = (outcome: string) =>
  JSON.stringify({
    checks: [{ grade: 2, name: "sha256", outcome, detail: 'it is not "outcome":"damaged" itself' }],
    differences: [],
    differenceCount: 0,
    entries: 0,
    bytes: 0,
  });

const kinds = [
  {
    name: "restores",
    table: "restore_records",
    columns: { target_id: 1, conflict: "fail", created_at: 1 },
    list: async (query: Query): Promise<Page> =>
      (await call(await asRole("viewer"), adminApi.listRestores, { query })).data,
    read: listRestores,
    // Whose backup was restored is known by the backup alone.
    perRowOfTask: 1,
  },
  {
    name: "verifications",
    table: "verifications",
    columns: { target_id: 1, trigger: "manual", grade: 3, created_at: 1 },
    list: async (query: Query): Promise<Page> =>
      (await call(await asRole("viewer"), adminApi.listVerifications, { query })).data,
    read: listVerifications,
    perRowOfTask: 0,
  },
];

describe.each(kinds)("the list of $name", ({ table, columns, list, read, perRowOfTask }) => {
  const idsOf = async (query: Query) => (await list(query)).items.map(({ id }) => id);

  async function aRecord() {
    const node = await aNode();
    const taskId = await taskRow(node.id);
    const recordId = await recordRow(taskId, node.id);
    const add = (more: Columns = {}) =>
      insert(table, {
        ...columns,
        record_id: recordId,
        node_id: node.id,
        status: "success",
        ...(table === "verifications" ? { task_id: taskId } : {}),
        ...more,
      });
    return { nodeId: node.id, taskId, recordId, add };
  }

  it("goes by state, node, task and backup, and by all of them at once", async () => {
    const one = await aRecord();
    const other = await aRecord();
    const good = await one.add();
    const bad = await one.add({ status: "failed" });
    const away = await one.add({ node_id: other.nodeId });
    await other.add({ status: "failed" });
    expect(await idsOf({ taskId: one.taskId })).toEqual([away, bad, good]);
    expect(await idsOf({ recordId: one.recordId })).toEqual([away, bad, good]);
    expect(await idsOf({ nodeId: one.nodeId })).toEqual([bad, good]);
    expect(await idsOf({ recordId: one.recordId, status: "failed" })).toEqual([bad]);
    const { nodeId, taskId, recordId } = one;
    expect(await idsOf({ nodeId, taskId, recordId, status: "success" })).toEqual([good]);
    expect(await idsOf({ nodeId, status: "cancelled" })).toEqual([]);
  });

  it("is paged by key, also filtered", async () => {
    const { nodeId, add } = await aRecord();
    const [first, second, third] = [await add(), await add(), await add()];
    const page = await list({ nodeId, limit: 2 });
    expect(page).toMatchObject({ items: [{ id: third }, { id: second }], next: second });
    expect(await idsOf({ nodeId, limit: 2, before: second })).toEqual([first]);
  });

  it("looks at no more than 1,000 for what no index knows, and goes on from there", async () => {
    const { nodeId, taskId, recordId, add } = await aRecord();
    const wanted = await add();
    const busy = await aRecord();
    const names = ["record_id", "node_id", "status", ...Object.keys(columns)];
    const values = [busy.recordId, busy.nodeId, "failed", ...Object.values(columns)];
    if (table === "verifications") {
      names.push("task_id");
      values.push(busy.taskId);
    }
    await env.DB.prepare(
      `with recursive n(i) as (select 1 union all select i + 1 from n where i < 1500)
       insert into ${table} (${names.join(", ")}) select ${names.map(() => "?").join(", ")} from n`,
    )
      .bind(...values)
      .run();
    for (const query of [{ nodeId }, { taskId }] as Query[]) {
      const first = await list(query);
      expect(first.items).toEqual([]);
      expect(await idsOf({ ...query, before: first.next as number })).toEqual([wanted]);
      const { deps: counted, count } = counting(deps);
      await read(counted, { ...query, limit: 50 } as never);
      // Looked at, and then gone over once more to tell where to go on.
      const looked = 1000 * ("taskId" in query ? 2 + perRowOfTask : 2);
      expect(count.rowsRead).toBeLessThanOrEqual(looked + 10);
      expect(count.rowsWritten).toBe(0);
    }
    const { deps: counted, count } = counting(deps);
    const found = await read(counted, { recordId, nodeId, status: "success", limit: 50 } as never);
    expect(found.items.map(({ id }) => id)).toEqual([wanted]);
    expect(count.rowsRead).toBeLessThanOrEqual(10);
  });
});

describe("a restore of databases", () => {
  it("tells which ones, and under which names", async () => {
    const options = {
      databases: ["shop"],
      renameDatabases: { shop: "shop_again" },
      owners: true,
      roles: false,
    };
    const columns = {
      record_id: 1,
      target_id: 1,
      node_id: 1,
      status: "success",
      conflict: "fail",
      created_at: 1,
    };
    const id = await insert("restore_records", { ...columns, options: JSON.stringify(options) });
    const ofFiles = await insert("restore_records", columns);
    const viewer = await asRole("viewer");
    const get = async (one: number) =>
      (await call(viewer, adminApi.getRestore, { params: { id: String(one) } })).data;
    expect(await get(id)).toMatchObject({ databases: ["shop"], renameDatabases: { shop: "shop_again" } });
    expect(await get(ofFiles)).toMatchObject({ databases: null, renameDatabases: {} });
  });
});

describe("verifications that failed", () => {
  it("are told apart by whether they found damage", async () => {
    const node = await aNode();
    const taskId = await taskRow(node.id);
    const add = (columns: Columns) =>
      insert("verifications", {
        task_id: taskId,
        record_id: 1,
        target_id: 1,
        node_id: node.id,
        trigger: "manual",
        grade: 3,
        created_at: 1,
        ...columns,
      });
    const idsOf = async (query: Query) => {
      const answer = await call(await asRole("viewer"), adminApi.listVerifications, {
        query: { taskId, ...query },
      });
      return answer.data.items.map(({ id }) => id);
    };
    const broken = await add({ status: "failed", report: report("damaged") });
    const ended = await add({ status: "failed", report: report("not_checked") });
    const silent = await add({ status: "failed" });
    const good = await add({ status: "success", report: report("passed") });
    expect(await idsOf({ status: "failed" })).toEqual([silent, ended, broken]);
    expect(await idsOf({ status: "failed", damaged: "true" })).toEqual([broken]);
    expect(await idsOf({ status: "failed", damaged: "false" })).toEqual([silent, ended]);
    expect(await idsOf({ damaged: "false" })).toEqual([good, silent, ended]);
  });
});
