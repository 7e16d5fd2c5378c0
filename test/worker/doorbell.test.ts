import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { adminApi, agentApi, doorbellClose, doorbellWords } from "../../protocol/index.ts";
import { connectBell } from "../../worker/doorbell/connect.ts";
import { aNode, asRole, aTask, call, deps } from "./master.ts";
import { idle } from "./runs.ts";
import { askForSocket, openSocket } from "./sockets.ts";

const shard = (index = 0) => env.DOORBELL.getByName(`bell-${index}`);
const nodeRow = (id: number) =>
  env.DB.prepare("select status, connection, last_seen as lastSeen from nodes where id = ?").bind(id).first();

describe("the upgrade", () => {
  it("turns a stranger away", async () => {
    const answer = await askForSocket({ "X-Agent-Token": "0".repeat(64) });
    expect(answer.status).toBe(401);
    expect(await answer.json()).toMatchObject({ code: "NODE_INVALID_TOKEN" });
  });

  it("asks for an upgrade when there is none", async () => {
    const node = await aNode({ ours: true });
    const answer = await askForSocket(node.headers, false);
    expect(answer.status).toBe(426);
    expect(await answer.json()).toMatchObject({ code: "UPGRADE_REQUIRED" });
    expect(await nodeRow(node.id)).toMatchObject({ connection: "poll" });
  });

  it("marks the node online and connected, and says so when it was offline", async () => {
    const node = await aNode({ ours: true });
    await env.DB.prepare("update nodes set status = 'offline', last_seen = 5 where id = ?")
      .bind(node.id)
      .run();
    await openSocket(node.headers);
    expect(await nodeRow(node.id)).toMatchObject({ status: "online", connection: "socket" });
    const told = await env.DB.prepare("select kind from notifications where node_id = ?").bind(node.id).all();
    expect(told.results).toEqual([{ kind: "node_online" }]);
  });

  it("cannot be had for another node by naming it in a header", async () => {
    const [node, other] = [await aNode({ ours: true }), await aNode({ ours: true })];
    await openSocket({ ...node.headers, "X-Node-Id": String(other.id) });
    expect([...(await deps.bell.lastSeen([node.id, other.id])).keys()]).toEqual([node.id]);
  });

  it("leaves the agent to poll while the Doorbell is away", async () => {
    const bell = connectBell(deadNamespace(), 1);
    await expect(bell.open(1, new Request("https://master.test/"))).rejects.toMatchObject({
      code: "MASTER_OVERLOADED",
      retryAfterSeconds: 30,
    });
  });
});

describe("ringing", () => {
  it("reaches the sockets of the nodes meant, and no other", async () => {
    const [node, other] = [await aNode({ ours: true }), await aNode({ ours: true })];
    const [socket, silent] = [await openSocket(node.headers), await openSocket(other.headers)];
    await deps.bell.ring([node.id]);
    await vi.waitFor(() => expect(socket.heard).toEqual([doorbellWords.ring]));
    expect(silent.heard).toEqual([]);
  });

  it("comes when there is something to poll for", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    const socket = await openSocket(node.headers);
    const run = await call(await asRole("operator"), adminApi.runTask, { params: { id: task.id } });
    await vi.waitFor(() => expect(socket.heard).toEqual([doorbellWords.ring]));
    const polled = await call(node.headers, agentApi.poll, { body: idle });
    expect(polled.data.commands?.map(({ id }) => id)).toEqual([run.data.commandId]);
  });

  it("does no harm to a node without a socket", async () => {
    await deps.bell.ring([999_999]);
    await deps.bell.ring([]);
  });

  it("reaches a socket that has slept through its object's eviction", async () => {
    const node = await aNode({ ours: true });
    const socket = await openSocket(node.headers);
    await evictDurableObject(shard());
    await deps.bell.ring([node.id]);
    await vi.waitFor(() => expect(socket.heard).toEqual([doorbellWords.ring]));
  });

  it("never throws and never hangs, whatever became of the Doorbell", async () => {
    for (const namespace of [deadNamespace(), hangingNamespace()]) {
      const bell = connectBell(namespace, 2);
      await bell.ring([1, 2]);
      await bell.kick([1]);
      expect(await bell.lastSeen([1, 2])).toEqual(new Map());
    }
    expect(await connectBell(deadNamespace(), 2).census()).toEqual([]);
  });
});

describe("sockets", () => {
  it("answer pings without waking their object, which still knows afterwards when they came", async () => {
    const node = await aNode({ ours: true });
    const socket = await openSocket(node.headers);
    await evictDurableObject(shard());
    const before = Date.now();
    socket.send(doorbellWords.ping);
    await vi.waitFor(() => expect(socket.heard).toEqual([doorbellWords.pong]));
    // The ping was answered, and yet there is nothing to evict.
    await expect(evictDurableObject(shard())).rejects.toThrow("not currently running");
    expect((await deps.bell.lastSeen([node.id])).get(node.id)).toBeGreaterThanOrEqual(before);
  });

  it("are one per node: the older is closed as replaced, the newer is rung", async () => {
    const node = await aNode({ ours: true });
    const older = await openSocket(node.headers);
    const newer = await openSocket(node.headers);
    expect(await older.closed).toEqual({ code: doorbellClose.replaced });
    await deps.bell.ring([node.id]);
    await vi.waitFor(() => expect(newer.heard).toEqual([doorbellWords.ring]));
    expect(older.heard).toEqual([]);
  });

  it("are closed when their node is kicked", async () => {
    const node = await aNode({ ours: true });
    const socket = await openSocket(node.headers);
    await deps.bell.kick([node.id]);
    expect(await socket.closed).toEqual({ code: doorbellClose.revoked });
    expect(await deps.bell.lastSeen([node.id])).toEqual(new Map());
  });

  it("ignore what is no ping", async () => {
    const node = await aNode({ ours: true });
    const socket = await openSocket(node.headers);
    socket.send("anything else");
    socket.send(doorbellWords.ping);
    await vi.waitFor(() => expect(socket.heard).toEqual([doorbellWords.pong]));
  });

  it("move to their own shard when there are more of them", async () => {
    const [stays, moves] = await evenAndOddNode();
    const [staying, moving] = [await openSocket(stays.headers), await openSocket(moves.headers)];
    const grown = connectBell(env.DOORBELL, 2);
    const [first] = await grown.census();
    expect(await moving.closed).toEqual({ code: doorbellClose.moved });
    expect(first?.gone.map(({ id }) => id)).toContain(moves.id);
    await grown.ring([stays.id]);
    await vi.waitFor(() => expect(staying.heard).toEqual([doorbellWords.ring]));
  });
});

async function evenAndOddNode() {
  const pair = [await aNode({ ours: true }), await aNode({ ours: true })].sort(
    (a, b) => (a.id % 2) - (b.id % 2),
  );
  const [even, odd] = pair;
  if (!even || !odd || even.id % 2 !== 0 || odd.id % 2 !== 1) throw new Error("ids do not alternate");
  return [even, odd] as const;
}

type Namespace = typeof env.DOORBELL;

function deadNamespace(): Namespace {
  return {
    getByName: () => {
      throw new Error("the object is overloaded");
    },
  } as unknown as Namespace;
}

function hangingNamespace(): Namespace {
  const never = () => new Promise(() => {});
  return { getByName: () => ({ ring: never, kick: never, lastSeen: never }) } as unknown as Namespace;
}
