import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { adminApi, agentApi, type Endpoint, type Envelope, fillPath } from "../../protocol/index.ts";
import { makeApp } from "../../worker/app.ts";
import { enqueueStatement } from "../../worker/commands/enqueue.ts";
import { sweepOnce } from "../../worker/sweeps/sweep.ts";
import { idleDay } from "../idle-day.ts";
import { type Count, counting } from "./counting.ts";
import { aNode, asRole, aTask, call, deps, ORIGIN } from "./master.ts";
import { set } from "./rows.ts";
import { goodReport, idle } from "./runs.ts";
import { openSocket } from "./sockets.ts";

// What calls cost in the rows that the database itself counts, which are the ones that production bills.

const NOW = Date.now();
const HOUR_MS = 3_600_000;
const NODES = 1000;
const ENDED = 20_000;
const app = makeApp();

type Options = { params?: Record<string, unknown>; query?: Record<string, number>; body?: unknown };
type Measured = Count & { data: Record<string, unknown>; of: (table: string) => number };

/** Makes a call by the front door and counts what the database did for it; `of` tells the rows written to one table. */
async function measure(
  credentials: Record<string, string>,
  e: Endpoint,
  { params = {}, query = {}, body }: Options = {},
): Promise<Measured> {
  const written: [sql: string, rows: number][] = [];
  const { deps: counted, count } = counting(deps, (sql, { meta }) => written.push([sql, meta.rows_written]));
  const path = fillPath(e.path, params as never);
  const search = new URLSearchParams(Object.entries(query).map(([key, value]) => [key, String(value)]));
  const request = new Request(`${ORIGIN}${path}?${search}`, {
    method: e.method,
    headers: { "Content-Type": "application/json", ...credentials },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const answer = await app.fetch(request, { ...env, DB: counted.db });
  const { data, message } = (await answer.json()) as Envelope<Record<string, unknown>>;
  expect([answer.status, message]).toEqual([200, "success"]);
  const of = (table: string) =>
    written
      .filter(([sql]) => new RegExp(`^(/\\* no news \\*/ )?(insert into|update) ${table}\\b`).test(sql))
      .reduce((sum, [, rows]) => sum + rows, 0);
  return { ...count, data: data ?? {}, of };
}

async function measureDeps(act: (counted: typeof deps) => Promise<unknown>): Promise<Count> {
  const { deps: counted, count } = counting(deps);
  await act(counted);
  return count;
}

const numbers = (from: number, to: number) =>
  `with recursive n(i) as (select ${from} union all select i + 1 from n where i < ${to})`;

async function fill(from: number, to: number, nodesTo: number): Promise<void> {
  const statements = [
    `${numbers(from, to)} insert into agent_commands (node_id, type, lane, status, payload, created_at, completed_at, updated_at)
     select 1 + i % 50, 'list_dir', 'control', 'succeeded', '{}', ${NOW}, ${NOW} + i, ${NOW} from n`,
    `${numbers(from, to)} insert into backup_records
       (task_id, task_name, node_id, status, trigger, source_type, compression, source, target_ids, created_at, kind)
     select 1 + i % 70, 't', 1 + i % 50, case i % 10 when 0 then 'failed' else 'success' end, 'manual', 'file',
       'zstd', '{}', '[]', ${NOW} + i, case i % 20 when 1 then 'differential' else 'full' end from n`,
    `${numbers(from, to)} insert into audit_logs (at, actor, action, entity, entity_id)
     select ${NOW}, iif(i % 3, 'system', 'a'), 'b', 'c', 1 from n`,
    `${numbers(from, to)} insert into notifications (at, kind, message) select ${NOW}, 'test', 'm' from n`,
    `${numbers(from, to)} insert into restore_records (record_id, target_id, node_id, status, conflict, created_at)
     select 1 + i % 500, 1, 1, 'success', 'fail', ${NOW} from n`,
    `${numbers(from, to)} insert into verifications
       (task_id, record_id, target_id, node_id, status, trigger, grade, created_at)
     select 1 + i % 70, 1 + i % 50, 1, 1, 'success', 'manual', 3, ${NOW} from n`,
    ...(nodesTo < from
      ? []
      : [
          `${numbers(from, nodesTo)} insert into nodes (name, token_sha256, status, connection, last_seen, created_at, updated_at)
           select 'n' || i, 't' || i, 'online', 'poll', ${NOW + HOUR_MS}, ${NOW}, ${NOW} from n`,
        ]),
  ];
  for (const statement of statements) await env.DB.prepare(statement).run();
}

/** The lists that people page through, and how many rows a page of ten reads at most: those, one more, and what names them. */
const pages: [name: string, e: Endpoint, query: Record<string, number | string>, most: number][] = [
  ["nodes", adminApi.listNodes, {}, 22],
  ["records", adminApi.listRecords, {}, 23],
  ["records of a task", adminApi.listRecords, { taskId: 7 }, 32],
  ["records of a node", adminApi.listRecords, { nodeId: 1 }, 32],
  ["records that failed", adminApi.listRecords, { status: "failed" }, 32],
  ["differential records", adminApi.listRecords, { kind: "differential" }, 32],
  ["full records", adminApi.listRecords, { kind: "full" }, 32],
  ["commands", adminApi.listCommands, {}, 23],
  ["commands of a node", adminApi.listCommands, { nodeId: 1 }, 32],
  ["restores", adminApi.listRestores, {}, 32],
  ["restores of a node that succeeded", adminApi.listRestores, { nodeId: 1, status: "success" }, 42],
  ["verifications", adminApi.listVerifications, {}, 34],
  [
    "verifications by a node that succeeded",
    adminApi.listVerifications,
    { nodeId: 1, status: "success" },
    52,
  ],
  ["verifications of a record", adminApi.listVerifications, { recordId: 7 }, 42],
  ["audit entries", adminApi.listAudit, {}, 12],
  ["audit entries of people", adminApi.listAudit, { by: "people" }, 32],
  ["audit entries of somebody", adminApi.listAudit, { actor: "a" }, 32],
  ["audit entries of an action", adminApi.listAudit, { action: "b" }, 32],
  ["audit entries of something", adminApi.listAudit, { entity: "c", entityId: 1 }, 32],
  ["notifications", adminApi.listNotifications, {}, 32],
];

describe("with 1,000 nodes and 20,000 ended commands, records, restores and log entries", () => {
  let admin: Record<string, string>;
  const before = new Map<string, number>();

  beforeAll(async () => {
    admin = await asRole("admin");
    // The first use of a key in an hour is noted, which is not what is counted here.
    await call(admin, adminApi.me);
    await fill(1, 1000, NODES);
    for (const [name, e, query] of pages) {
      before.set(name, (await measure(admin, e, { query: { ...query, limit: 10 } })).rowsRead);
    }
    await fill(1001, ENDED, 0);
  });

  it.each(pages)(
    "a page of %s reads as many rows as with a history of 1,000",
    async (name, e, query, most) => {
      const page = await measure(admin, e, { query: { ...query, limit: 10 } });
      expect((page.data["items"] as unknown[]).length).toBe(10);
      expect(page.rowsRead).toBe(before.get(name));
      expect(page.rowsRead).toBeLessThanOrEqual(most);
      expect(page.rowsWritten).toBe(0);
    },
  );

  it("finds records of a time among all of them without an index", async () => {
    const query = { from: NOW + 15_001, until: NOW + 15_006, limit: 10 };
    const page = await measure(admin, adminApi.listRecords, { query });
    expect((page.data["items"] as { createdAt: number }[]).map(({ createdAt }) => createdAt - NOW)).toEqual([
      15_005, 15_004, 15_003, 15_002, 15_001,
    ]);
    expect(page.rowsRead).toBeLessThanOrEqual(150);
  });

  it.each(pages.filter(([name]) => name !== "nodes"))(
    "and so does one further back in %s",
    async (name, e, query) => {
      const first = await measure(admin, e, { query: { ...query, limit: 10 } });
      const next = first.data["next"] as number;
      const page = await measure(admin, e, { query: { ...query, limit: 10, before: next } });
      // The last entry of the page before may be looked up to know where to go on.
      expect(page.rowsRead).toBeLessThanOrEqual((before.get(name) ?? 0) + 2);
    },
  );

  describe.each([
    ["our agent", { ours: true }, idle],
    ["a Go agent", { ours: false }, undefined],
  ])("%s", (_who, kind, body) => {
    const pollOf = (headers: Record<string, string>) =>
      measure(headers, agentApi.poll, body === undefined ? {} : { body });

    it("polls in vain for 1 row read and none written", async () => {
      const node = await aNode(kind);
      const { rowsRead, rowsWritten } = await pollOf(node.headers);
      expect({ rowsRead, rowsWritten }).toEqual({ rowsRead: 1, rowsWritten: 0 });
    });

    it("polls in vain as cheaply with thousands of ended commands of its own", async () => {
      const node = await aNode(kind);
      await env.DB.prepare(
        `${numbers(1, 5000)} insert into agent_commands (node_id, type, lane, status, payload, created_at, completed_at, updated_at)
         select ${node.id}, 'list_dir', 'control', 'succeeded', '{}', ${NOW}, ${NOW}, ${NOW} from n`,
      ).run();
      const { rowsRead, rowsWritten } = await pollOf(node.headers);
      expect({ rowsRead, rowsWritten }).toEqual({ rowsRead: 1, rowsWritten: 0 });
    });

    it("costs at most 6 rows written for a control command from its queueing to its result", async () => {
      const node = await aNode(kind);
      const queued = await measureDeps((counted) =>
        enqueueStatement(counted, { nodeId: node.id, type: "list_dir", payload: { path: "/" } }).run(),
      );
      const claimed = await pollOf(node.headers);
      const { id } = claimed.data["command"] as { id: number };
      const ended = await measure(node.headers, agentApi.commandResult, {
        params: { id },
        body: { success: true, result: { entries: [] } },
      });
      expect(queued.rowsWritten + claimed.rowsWritten + ended.rowsWritten).toBeLessThanOrEqual(6);
      // The token's row; the node's row for the insert; and for the claim the row, its indexes and what it returns.
      expect(queued.rowsRead + claimed.rowsRead + ended.rowsRead).toBeLessThanOrEqual(20);
    });

    it("costs at most 6 rows written to the queue for a backup, and few to what describes it", async () => {
      const node = await aNode(kind);
      const task = await aTask(node, { compression: "gzip" });
      const operator = await asRole("operator");
      await call(operator, adminApi.me);
      const started = await measure(operator, adminApi.runTask, { params: { id: task.id } });
      const claimed = await pollOf(node.headers);
      const { id } = claimed.data["command"] as { id: number };
      const recordId = started.data["recordId"] as number;
      const reported = await measure(node.headers, agentApi.updateRecord, {
        params: { id: recordId },
        body: goodReport({ recordId, task }),
      });
      const ended = await measure(node.headers, agentApi.commandResult, {
        params: { id },
        body: { success: true, result: { taskId: task.id, recordId } },
      });
      const all = [started, claimed, reported, ended];
      const written = (table: string) => all.reduce((sum, one) => sum + one.of(table), 0);
      // An agent without leases has its command kept alive by its record's reports: one more write to the queue.
      expect(written("agent_commands")).toBeLessThanOrEqual(kind.ours ? 6 : 8);
      // Its row, with five index entries on the way in; then its command's id, and its end.
      expect(written("backup_records")).toBeLessThanOrEqual(8);
      // With its copy (3), the task and the target's use (1 each) and the audit entry: it is a person's, which has four
      // index entries; a scheduled run's has none. Its end is noted with its task (2) and its day.
      expect(all.reduce((sum, one) => sum + one.rowsWritten, 0)).toBeLessThanOrEqual(kind.ours ? 27 : 29);
    });
  });

  it("our agent's renewal of a lease costs at most 2 rows written", async () => {
    const node = await aNode({ ours: true });
    await enqueueStatement(deps, { nodeId: node.id, type: "list_dir", payload: {} }).run();
    const claimed = await measure(node.headers, agentApi.poll, { body: idle });
    const { id, leaseToken } = claimed.data["command"] as { id: number; leaseToken: string };
    const renewed = await measure(node.headers, agentApi.renewLease, {
      params: { id },
      body: { leaseToken },
    });
    expect(renewed.rowsWritten).toBeLessThanOrEqual(2);
  });

  it("an idle sweep reads at most 6 rows and writes none", async () => {
    await sweepOnce(deps);
    const { rowsRead, rowsWritten } = await measureDeps((counted) => sweepOnce(counted));
    expect(rowsRead).toBeLessThanOrEqual(6);
    expect(rowsWritten).toBe(0);
  });

  it("a page of nodes reads as many rows of 20,000 nodes as of 1,000", async () => {
    await fill(NODES + 1, NODES + 1, ENDED);
    const page = await measure(admin, adminApi.listNodes, { query: { limit: 10 } });
    expect(page.rowsRead).toBe(before.get("nodes"));
  });
});

describe("the day of an idle agent", () => {
  it("costs at most 100 rows written, with four reconnects of half a minute each", async () => {
    const node = await aNode({ ours: true });
    await openSocket(node.headers);
    await sweepOnce(deps);
    const hourly = await pollAfter(node, HOUR_MS);
    const between = await pollAfter(node, HOUR_MS / 2);
    expect([hourly.rowsWritten, between.rowsWritten]).toEqual([1, 0]);
    const reconnect = await reconnectOf(node);
    const { reconnects, budget } = idleDay;
    const day = 24 * hourly.rowsWritten + (reconnects + 1) * reconnect;
    console.info(`idle agent, rows written per day: ${day} (${reconnect} per reconnect)`);
    expect(day).toBeLessThanOrEqual(budget.rowsWritten);
  });
});

type Node = Awaited<ReturnType<typeof aNode>>;

async function pollAfter(node: Node, milliseconds: number): Promise<Measured> {
  await set("nodes", node.id, { last_seen: Date.now() - milliseconds });
  return measure(node.headers, agentApi.poll, { body: idle });
}

/** Rows written from the loss of a socket to its return: sweeps that notice, and the calls that idleDay allows. */
async function reconnectOf(node: Node): Promise<number> {
  let rows = 0;
  const add = ({ rowsWritten }: Count) => {
    rows += rowsWritten;
  };
  const sweep = async () => add(await measureDeps((counted) => sweepOnce(counted)));
  const beat = async () =>
    add(await measure(node.headers, agentApi.heartbeat, { body: { protocolVersion: 1 } }));
  const { poll, heartbeat } = idleDay.perReconnect;
  const old = await openSocket(node.headers);
  await sweepOnce(deps);
  old.close();
  await old.closed;
  await vi.waitFor(async () => {
    await sweep();
    const row = await env.DB.prepare("select connection from nodes where id = ?").bind(node.id).first();
    expect(row).toEqual({ connection: "poll" });
  });
  for (let beats = 1; beats < heartbeat; beats++) await beat();
  for (let polls = 1; polls < poll; polls++) add(await measure(node.headers, agentApi.poll, { body: idle }));
  const { deps: counted, count } = counting(deps);
  const upgrade = await app.fetch(
    new Request(`${ORIGIN}${agentApi.doorbell.path}`, { headers: { ...node.headers, Upgrade: "websocket" } }),
    { ...env, DB: counted.db },
  );
  upgrade.webSocket?.accept();
  expect(upgrade.status).toBe(101);
  add(count);
  add(await measure(node.headers, agentApi.poll, { body: idle }));
  await beat();
  for (let sweeps = 0; sweeps < 6; sweeps++) await sweep();
  return rows;
}
