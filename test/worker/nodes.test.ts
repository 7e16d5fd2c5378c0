import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { adminApi, agentApi } from "../../protocol/index.ts";
import { presenceOf } from "../../worker/nodes/status.ts";
import { hashToken, randomHex } from "../../worker/secrets/hash.ts";
import { chooseNode } from "../../worker/tasks/choose-node.ts";
import { answerOnce } from "./answer-once.ts";
import { aNode, asRole, call, deps } from "./master.ts";
import { copyRow, count, insert, recordRow, set, targetRow, taskRow, unique } from "./rows.ts";

const MINUTE = 60_000;
describe("a node's token", () => {
  it("is told once and stored as a hash", async () => {
    const admin = await asRole("admin");
    const made = await call(admin, adminApi.createNode, {
      body: { name: unique("web"), labels: ["a", "a"] },
    });
    expect(made).toMatchObject({ status: 200, data: { node: { status: "pending", labels: ["a"] } } });
    const { token, node } = made.data;
    expect(token).toMatch(/^[0-9a-f]{64}$/);
    const row = await env.DB.prepare("select * from nodes where id = ?").bind(node.id).first();
    expect(JSON.stringify(row)).not.toContain(token);
    expect(row).toMatchObject({ token_sha256: await hashToken(token) });
    const shown = await call(admin, adminApi.getNode, { params: { id: node.id } });
    expect(JSON.stringify(shown.data)).not.toContain(token);
    expect(JSON.stringify(shown.data)).not.toContain(await hashToken(token));
  });

  it("stays valid for 24 hours after a rotation, and not longer", async () => {
    const admin = await asRole("admin");
    const node = await aNode();
    const rotated = await call(admin, adminApi.rotateNodeToken, { params: { id: node.id } });
    expect(rotated.data.previousValidUntil).toBeGreaterThan(Date.now() + 23.9 * 60 * MINUTE);
    expect(rotated.data.previousValidUntil).toBeLessThan(Date.now() + 24.1 * 60 * MINUTE);
    expect(
      await count(
        "nodes where id = ? and previous_token_until = ?",
        node.id,
        rotated.data.previousValidUntil,
      ),
    ).toBe(1);
    const self = (token: string) => call({ "X-Agent-Token": token }, agentApi.poll);
    expect((await self(node.token)).status).toBe(200);
    expect((await self(rotated.data.token)).status).toBe(200);
    await set("nodes", node.id, { previous_token_until: Date.now() - 1 });
    expect(await self(node.token)).toMatchObject({ status: 401, code: "NODE_INVALID_TOKEN" });
    expect((await self(rotated.data.token)).status).toBe(200);
  });

  it("of the rotation before the last is worth nothing", async () => {
    const admin = await asRole("admin");
    const node = await aNode();
    await call(admin, adminApi.rotateNodeToken, { params: { id: node.id } });
    await call(admin, adminApi.rotateNodeToken, { params: { id: node.id } });
    expect((await call(node.headers, agentApi.poll)).status).toBe(401);
    expect(await count("audit_logs where action = 'node.rotate_token' and entity_id = ?", node.id)).toBe(2);
  });

  it("cannot be rotated for a node that is not there, which leaves no audit entry", async () => {
    const admin = await asRole("admin");
    expect(await call(admin, adminApi.rotateNodeToken, { params: { id: 999_999 } })).toMatchObject({
      status: 404,
      code: "NODE_NOT_FOUND",
    });
    expect(await count("audit_logs where action = 'node.rotate_token' and entity_id = 999999")).toBe(0);
  });
});

describe("adding nodes", () => {
  it("adds 50 at once, each with its own token and audit entry", async () => {
    const admin = await asRole("admin");
    const names = Array.from({ length: 50 }, (_, i) => unique(`n${i}`));
    const made = await call(admin, adminApi.createNodes, { body: { names, labels: ["rack-1"] } });
    expect(made.status).toBe(200);
    expect(made.data.items[49]?.node.labels).toEqual(["rack-1"]);
    expect(made.data.items.map(({ node }) => node.name)).toEqual(names);
    expect(new Set(made.data.items.map(({ token }) => token)).size).toBe(50);
    const last = made.data.items[49];
    expect((await call({ "X-Agent-Token": last?.token ?? "" }, agentApi.poll)).status).toBe(200);
    const ids = JSON.stringify(made.data.items.map(({ node }) => node.id));
    const entries =
      "audit_logs where action = 'node.create' and entity_id in (select value from json_each(?))";
    expect(await count(entries, ids)).toBe(50);
  });

  it.each([
    ["no name", { names: [] }],
    ["51 names", { names: Array.from({ length: 51 }, (_, i) => `x${i}`) }],
    ["a control character", { names: ["a\nb"] }],
    ["the same name twice", { names: ["twin", "twin"] }],
  ])("refuses a batch with %s", async (_what, body) => {
    const before = await count("nodes");
    expect(await call(await asRole("admin"), adminApi.createNodes, { body })).toMatchObject({
      status: 400,
      code: "INVALID_INPUT",
    });
    expect(await count("nodes")).toBe(before);
  });

  it("adds none of a batch when one name exists, and says which", async () => {
    const admin = await asRole("admin");
    const { name } = await aNode();
    const fresh = unique("fresh");
    const answer = await call(admin, adminApi.createNodes, { body: { names: [fresh, name] } });
    expect(answer).toMatchObject({ status: 409, code: "NAME_TAKEN" });
    expect(answer.message).toContain(name);
    expect(answer.message).not.toContain(fresh);
    expect(await count("nodes where name = ?", fresh)).toBe(0);
    expect(await count("audit_logs where after like '%' || ? || '%'", fresh)).toBe(0);
  });

  it("is for admins only", async () => {
    for (const role of ["viewer", "operator"] as const) {
      const answer = await call(await asRole(role), adminApi.createNode, { body: { name: unique("no") } });
      expect(answer).toMatchObject({ status: 403, code: "FORBIDDEN" });
    }
  });
});

describe("changing a node", () => {
  it("changes what was sent, keeps the rest and tells the audit log both", async () => {
    const admin = await asRole("admin");
    const { id, name } = await aNode();
    await set("nodes", id, { labels: '["old"]', bandwidth_limit: 5000 });
    const changed = await call(admin, adminApi.updateNode, { params: { id }, body: { maxConcurrent: 4 } });
    expect(changed.data).toMatchObject({
      name,
      labels: ["old"],
      bandwidthBytesPerSecond: 5000,
      maxConcurrent: 4,
    });
    const cleared = await call(admin, adminApi.updateNode, {
      params: { id },
      body: { bandwidthBytesPerSecond: null, paused: true },
    });
    expect(cleared.data).toMatchObject({ bandwidthBytesPerSecond: null, paused: true, maxConcurrent: 4 });
    const entry = await env.DB.prepare(
      "select before, after from audit_logs where action = 'node.update' and entity_id = ? order by id desc",
    )
      .bind(id)
      .first<{ before: string; after: string }>();
    expect(JSON.parse(entry?.before ?? "")).toMatchObject({ bandwidthBytesPerSecond: 5000, paused: false });
    expect(JSON.parse(entry?.after ?? "")).toMatchObject({ bandwidthBytesPerSecond: null, paused: true });
  });

  it("refuses another node's name, a wrong label, an unknown id", async () => {
    const admin = await asRole("admin");
    const [one, other] = [await aNode(), await aNode()];
    const change = (id: number, body: unknown) => call(admin, adminApi.updateNode, { params: { id }, body });
    expect(await change(one.id, { name: other.name })).toMatchObject({ status: 409, code: "NAME_TAKEN" });
    expect(await change(one.id, { labels: ["Not OK"] })).toMatchObject({
      status: 400,
      code: "INVALID_INPUT",
    });
    expect(await change(999_999, { paused: true })).toMatchObject({ status: 404, code: "NODE_NOT_FOUND" });
    expect(await count("nodes where name = ?", one.name)).toBe(1);
  });
});

describe("deleting a node", () => {
  it("refuses one that has tasks, with the count", async () => {
    const admin = await asRole("admin");
    const { id, headers } = await aNode();
    await taskRow(id);
    await taskRow(id);
    const answer = await call(admin, adminApi.deleteNode, { params: { id } });
    expect(answer).toMatchObject({ status: 409, code: "NODE_HAS_TASKS" });
    expect(answer.message).toContain("2 tasks");
    expect((await call(headers, agentApi.poll)).status).toBe(200);
    expect(await count("audit_logs where action = 'node.delete' and entity_id = ?", id)).toBe(0);
  });

  it("refuses one that alone can restore records, with the count; not for copies elsewhere or gone", async () => {
    const admin = await asRole("admin");
    const { id } = await aNode();
    const disk = await targetRow("local_disk");
    const copy = async (status: string, target: number, state?: string) =>
      copyRow(await recordRow(900_000 + id, id, { status }), target, state);
    await copy("success", await targetRow("s3"));
    await copy("failed", disk);
    await copy("success", disk, "deleted");
    await copy("success", disk);
    const answer = await call(admin, adminApi.deleteNode, { params: { id } });
    expect(answer).toMatchObject({ status: 409, code: "NODE_HAS_RECORDS" });
    expect(answer.message).toContain("1 backup ");
    await env.DB.prepare("update record_copies set status = 'deleted' where target_id = ?").bind(disk).run();
    expect((await call(admin, adminApi.deleteNode, { params: { id } })).status).toBe(200);
  });

  it("forgets what it still had to remove from its own disk, and the records that waited for that", async () => {
    const admin = await asRole("admin");
    const { id } = await aNode();
    const disk = await targetRow("local_disk", { used_bytes: 100 });
    const bucket = await targetRow("s3");
    const removed = async (targetIds: number[]) => {
      const recordId = await recordRow(400_000 + id, id);
      for (const targetId of targetIds) await copyRow(recordId, targetId);
      await env.DB.prepare("update record_copies set size_bytes = 30 where record_id = ?")
        .bind(recordId)
        .run();
      await call(admin, adminApi.deleteRecord, { params: { id: recordId } });
      return recordId;
    };
    const [local, both] = [await removed([disk]), await removed([disk, bucket])];
    expect(await count("backup_records where id in (?, ?)", local, both)).toBe(2);
    expect((await call(admin, adminApi.deleteNode, { params: { id } })).status).toBe(200);
    expect(await count("backup_records where id = ?", local)).toBe(0);
    expect(await count("backup_records where id = ?", both)).toBe(1);
    expect(await count("record_copies where target_id = ?", disk)).toBe(0);
    expect(await count("record_copies where target_id = ? and status = 'deleting'", bucket)).toBe(1);
    expect(await count("storage_targets where id = ? and used_bytes = 40", disk)).toBe(1);
    expect((await call(admin, adminApi.deleteTarget, { params: { id: disk } })).status).toBe(200);
  });

  it("ends what was queued for it, its codes and its token; its id never comes back", async () => {
    const admin = await asRole("admin");
    const { id, headers } = await aNode();
    const recordId = await recordRow(800_000 + id, id, { status: "queued" });
    const commandId = await insert("agent_commands", {
      node_id: id,
      type: "run_task",
      lane: "work",
      payload: "{}",
      record_id: recordId,
      created_at: 1,
      updated_at: 1,
    });
    await call(admin, adminApi.createNodeCode, { params: { id } });
    expect((await call(admin, adminApi.deleteNode, { params: { id } })).status).toBe(200);
    expect((await call(headers, agentApi.poll)).status).toBe(401);
    expect(
      await count("agent_commands where id = ? and status = 'cancelled' and completed_at > 0", commandId),
    ).toBe(1);
    expect(await count("backup_records where id = ? and status = 'cancelled'", recordId)).toBe(1);
    expect(await count("install_codes where node_id = ?", id)).toBe(0);
    expect(await count("audit_logs where action = 'node.delete' and entity_id = ?", id)).toBe(1);
    expect((await aNode()).id).toBeGreaterThan(id);
    expect((await call(admin, adminApi.deleteNode, { params: { id } })).code).toBe("NODE_NOT_FOUND");
  });
});

describe("who is online", () => {
  it("is derived from the last sign of life, not from what a sweep has written", async () => {
    const admin = await asRole("admin");
    const { id } = await aNode();
    const status = async () => (await call(admin, adminApi.getNode, { params: { id } })).data.status;
    expect(await status()).toBe("online");
    await set("nodes", id, { last_seen: Date.now() - 46_000 });
    expect(await status()).toBe("offline");
    await set("nodes", id, { last_seen: Date.now() - 40_000, status: "offline" });
    expect(await status()).toBe("online");
    await set("nodes", id, { last_seen: null, connection: "never" });
    expect(await status()).toBe("pending");
  });

  it("asks the Doorbell once for all sockets and takes the newer sign", async () => {
    const now = Date.now();
    const asked: number[][] = [];
    const lastSeen = async (ids: number[]) => {
      asked.push(ids);
      return new Map([[2, now - 1000]]);
    };
    const nodes = [
      { id: 1, connection: "poll", lastSeen: now - 1000 },
      { id: 2, connection: "socket", lastSeen: now - 600_000 },
      { id: 3, connection: "socket", lastSeen: now - 600_000 },
      { id: 4, connection: "socket", lastSeen: now - 2000 },
    ];
    const presence = await presenceOf({ ...deps, bell: { ...deps.bell, lastSeen }, now: () => now }, nodes);
    expect(asked).toEqual([[2, 3, 4]]);
    expect([...presence.values()].map(({ status }) => status)).toEqual([
      "online",
      "online",
      "offline",
      "online",
    ]);
    expect(presence.get(2)?.lastSeen).toBe(now - 1000);
  });

  it("decides about a command before any sweep has looked", async () => {
    const { id } = await aNode({ ours: true });
    await set("nodes", id, { last_seen: Date.now() - 46_000 });
    const answer = await call(await asRole("operator"), adminApi.browseNode, { params: { id } });
    expect(answer).toMatchObject({ status: 409, code: "NODE_OFFLINE" });
    expect(await count("agent_commands where node_id = ?", id)).toBe(0);
  });
});

describe("browsing a node", () => {
  const browse = async (id: number, path = "/etc") =>
    call(await asRole("operator"), adminApi.browseNode, { params: { id }, query: { path } });

  it("asks its agent and shows what that answers", async () => {
    const { id, headers } = await aNode({ ours: true });
    const entries = [{ name: "ssh", path: "/etc/ssh", isDir: true, size: 0 }];
    const [answer, command] = await Promise.all([browse(id), answerOnce(headers, { entries })]);
    expect(answer).toMatchObject({ status: 200, data: { entries } });
    expect(command).toMatchObject({ type: "list_dir", payload: { path: "/etc" } });
  });

  it("takes null for an empty directory, and nothing else for a listing", async () => {
    const { id, headers } = await aNode({ ours: true });
    const [empty] = await Promise.all([browse(id), answerOnce(headers, { entries: null })]);
    expect(empty.data).toEqual({ entries: [], truncated: false });
    const [odd] = await Promise.all([browse(id), answerOnce(headers, { entries: [{ name: 7 }] })]);
    expect(odd).toMatchObject({ status: 502, code: "NODE_COMMAND_FAILED" });
  });

  it("is nothing for a viewer, nor for a node that is not there", async () => {
    const { id } = await aNode({ ours: true });
    const asViewer = await call(await asRole("viewer"), adminApi.browseNode, { params: { id } });
    expect(asViewer.code).toBe("FORBIDDEN");
    expect(await count("agent_commands where node_id = ?", id)).toBe(0);
    expect((await browse(999_999)).code).toBe("NODE_NOT_FOUND");
  });
});

describe("listing nodes", () => {
  it("pages by id, newest first, and by label", async () => {
    const admin = await asRole("admin");
    const label = `l${randomHex(4)}`;
    const ids = [];
    for (const on of [true, false, true, true]) {
      const { id } = await aNode();
      if (on) await set("nodes", id, { labels: JSON.stringify([label]) });
      if (on) ids.unshift(id);
    }
    const page = (query: Record<string, string | number>) => call(admin, adminApi.listNodes, { query });
    const first = await page({ label, limit: 2 });
    expect(first.data.items.map(({ id }) => id)).toEqual(ids.slice(0, 2));
    const second = await page({ label, limit: 2, before: first.data.next as number });
    expect(second.data).toMatchObject({ items: [{ id: ids[2] }], next: null });
    expect((await page({ limit: 1 })).data.items).toHaveLength(1);
  });

  it("looks at no more than 1,000 rows for a label, and goes on from there", async () => {
    const admin = await asRole("admin");
    const label = `far${randomHex(4)}`;
    const { id } = await aNode();
    await set("nodes", id, { labels: JSON.stringify([label]) });
    await env.DB.prepare(
      `insert into nodes (name, token_sha256, created_at, updated_at)
       with recursive n(i) as (select 1 union all select i + 1 from n where i < 1500)
       select ?1 || i, ?1 || i, 1, 1 from n`,
    )
      .bind(unique("many"))
      .run();
    const first = await call(admin, adminApi.listNodes, { query: { label } });
    expect(first.data.items).toEqual([]);
    const second = await call(admin, adminApi.listNodes, {
      query: { label, before: first.data.next as number },
    });
    expect(second.data.items.map((node) => node.id)).toEqual([id]);
    expect(second.data.next).toBeNull();
  });
});

describe("finding nodes", () => {
  const found = async (query: Record<string, string | number>) =>
    (await call(await asRole("viewer"), adminApi.listNodes, { query })).data.items.map(({ id }) => id);

  it("goes by a part of the name, the host name or the address", async () => {
    const { id } = await aNode();
    const mark = randomHex(5);
    await set("nodes", id, { hostname: `web-${mark}.lan`, ip_address: "192.0.2.77" });
    expect(await found({ text: `WEB-${mark}` })).toEqual([id]);
    expect(await found({ text: "192.0.2.77" })).toEqual([id]);
    expect(await found({ text: "%" })).toEqual([]);
  });

  it("goes by what each node is now, not by what was last written of it", async () => {
    const label = `s${randomHex(4)}`;
    const [up, down, late, never] = [await aNode(), await aNode(), await aNode(), await aNode()];
    for (const { id } of [up, down, late, never])
      await set("nodes", id, { labels: JSON.stringify([label]), status: "online" });
    await set("nodes", down.id, { last_seen: 1, status: "offline" });
    await set("nodes", late.id, { last_seen: 1 });
    await set("nodes", never.id, { last_seen: null, connection: "never", status: "pending" });
    expect(await found({ label, status: "online" })).toEqual([up.id]);
    expect(await found({ label, status: "offline" })).toEqual([down.id]);
    expect(await found({ label, status: "pending" })).toEqual([never.id]);
  });

  it("reads those that are away along their index", async () => {
    const { results } = await env.DB.prepare(
      "explain query plan select * from nodes where id < 9 and status <> 'online' and status = ? order by id desc limit 5",
    )
      .bind("offline")
      .all<{ detail: string }>();
    expect(results.map(({ detail }) => detail).join()).toContain("nodes_away");
  });

  it("tells what waits for each and what it runs", async () => {
    const { id } = await aNode();
    for (const status of ["pending", "pending", "dispatched"])
      await insert("agent_commands", {
        node_id: id,
        type: "run_task",
        lane: "work",
        status,
        payload: "{}",
        created_at: 1,
        updated_at: 1,
      });
    const { items } = (await call(await asRole("viewer"), adminApi.listNodes, { query: { limit: 1 } })).data;
    expect(items).toMatchObject([{ id, queuedCount: 2, runningCount: 1 }]);
  });
});

describe("choosing a node", () => {
  const pool = () => `pool${randomHex(4)}`;
  const member = async (label: string, columns: Record<string, unknown> = {}, busy = 0) => {
    const node = await aNode({ ours: true });
    await set("nodes", node.id, { labels: JSON.stringify([label]), ...columns });
    for (let i = 0; i < busy; i++) {
      await insert("agent_commands", {
        node_id: node.id,
        type: "run_task",
        lane: "work",
        payload: "{}",
        created_at: 1,
        updated_at: 1,
      });
    }
    return node.id;
  };

  it("takes the least busy online node of a pool, the lowest id among equals", async () => {
    const label = pool();
    await member(label, {}, 2);
    const wanted = await member(label, {}, 1);
    await member(label, {}, 1);
    await member(label, { last_seen: Date.now() - MINUTE });
    await member(label, { paused: 1 });
    await member(pool());
    expect(await chooseNode(deps, { nodeId: null, poolLabel: label })).toMatchObject({ id: wanted });
  });

  it("says of a pool without anybody online how many are away", async () => {
    const label = pool();
    await expect(chooseNode(deps, { nodeId: null, poolLabel: label })).rejects.toMatchObject({
      code: "NODE_POOL_EMPTY",
      message: expect.stringContaining("no node has that label"),
    });
    await member(label, { last_seen: Date.now() - MINUTE });
    await member(label, { last_seen: Date.now() - MINUTE });
    await member(label, { paused: 1 });
    await expect(chooseNode(deps, { nodeId: null, poolLabel: label })).rejects.toMatchObject({
      code: "NODE_POOL_EMPTY",
      message: expect.stringMatching(new RegExp(`${label}.*2 nodes are offline and 1 paused`)),
    });
  });

  it("never takes another node for one that is gone, and waits for one that is offline", async () => {
    const { id } = await aNode();
    await set("nodes", id, { last_seen: 1 });
    expect(await chooseNode(deps, { nodeId: id, poolLabel: null })).toMatchObject({ id, isGoAgent: true });
    await expect(chooseNode(deps, { nodeId: 999_999, poolLabel: null })).rejects.toMatchObject({
      code: "NODE_NOT_FOUND",
    });
  });

  it("passes over pool members that cannot run the task", async () => {
    const label = pool();
    await member(label, { protocol_version: null });
    const able = await member(label, {}, 3);
    const needs = {
      source: { type: "file" as const, paths: ["/etc"], excludes: [], oneFileSystem: false },
      compression: "zstd" as const,
      engine: "archive" as const,
      encrypted: false,
      differential: false,
      hooks: null,
      targets: [],
    };
    expect(await chooseNode(deps, { nodeId: null, poolLabel: label }, needs)).toMatchObject({ id: able });
  });
});
