import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { timing } from "../../protocol/index.ts";
import type { Deps } from "../../worker/deps.ts";
import { expectConnected } from "../../worker/sweeps/expect-connected.ts";
import { markSilentOffline } from "../../worker/sweeps/mark-silent-offline.ts";
import { syncPresence } from "../../worker/sweeps/sync-presence.ts";
import { counting } from "./counting.ts";
import { aNode, deps } from "./master.ts";
import { openSocket } from "./sockets.ts";

const OFFLINE_MS = timing.offlineAfterSeconds * 1000;
const doorbell = () => env.DOORBELL.getByName("bell-0");
const at = (now: number): Deps => ({ ...deps, now: () => now });

type Row = { status: string; connection: string; lastSeen: number };
const nodeRow = async (id: number) => {
  const row = await env.DB.prepare("select status, connection, last_seen as lastSeen from nodes where id = ?")
    .bind(id)
    .first<Row>();
  if (!row) throw new Error(`no node ${id}`);
  return row;
};
const notificationsOf = async (id: number) =>
  (
    await env.DB.prepare("select kind, message, details from notifications where node_id = ? order by id")
      .bind(id)
      .all<{ kind: string; message: string; details: string }>()
  ).results;

/** What a sweep does about presence. */
async function sweepPresence(by: Deps = deps): Promise<void> {
  await syncPresence(by);
  await markSilentOffline(by);
}

/** Sets the clock of this test and of the Doorbell, which run in one process, forward. */
async function later<T>(milliseconds: number, act: () => Promise<T>): Promise<T> {
  const real = Date.now();
  const clock = vi.spyOn(Date, "now").mockReturnValue(real + milliseconds);
  try {
    return await act();
  } finally {
    clock.mockRestore();
  }
}

describe("a node with a socket", () => {
  it("is not written again while nothing changes", async () => {
    const node = await aNode({ ours: true });
    await openSocket(node.headers);
    await sweepPresence();
    const { deps: counted, count } = counting(deps);
    await syncPresence(counted);
    expect(count).toEqual({ queries: 0, rowsRead: 0, rowsWritten: 0 });
    expect((await deps.bell.census())[0]).toMatchObject({ version: null, arrived: [], gone: [] });
  });

  it("stays online although the database has heard nothing of it for hours", async () => {
    const node = await aNode({ ours: true });
    await openSocket(node.headers);
    await env.DB.prepare("update nodes set last_seen = 5 where id = ?").bind(node.id).run();
    await sweepPresence();
    expect(await nodeRow(node.id)).toMatchObject({ status: "online", connection: "socket" });
  });

  it("counts as polling, last seen when it closed, once its socket is closed", async () => {
    const node = await aNode({ ours: true });
    const socket = await openSocket(node.headers);
    await sweepPresence();
    const before = Date.now();
    socket.close();
    await socket.closed;
    await vi.waitFor(async () => {
      await sweepPresence();
      expect(await nodeRow(node.id)).toMatchObject({ status: "online", connection: "poll" });
    });
    const { lastSeen } = await nodeRow(node.id);
    expect(lastSeen).toBeGreaterThanOrEqual(before - 1);
    await sweepPresence(at(lastSeen + OFFLINE_MS));
    expect(await nodeRow(node.id)).toMatchObject({ status: "online" });
    await sweepPresence(at(lastSeen + OFFLINE_MS + 1));
    expect(await nodeRow(node.id)).toMatchObject({ status: "offline", lastSeen });
  });

  it("is offline when its agent has frozen, though nothing ever closed; and online when it thaws", async () => {
    const node = await aNode({ ours: true });
    const socket = await openSocket(node.headers);
    await sweepPresence();
    const { lastSeen } = await nodeRow(node.id);
    await later(OFFLINE_MS + 1000, () => sweepPresence());
    const frozen = await nodeRow(node.id);
    expect(frozen).toMatchObject({ status: "offline", connection: "poll" });
    expect(Math.abs(frozen.lastSeen - lastSeen)).toBeLessThan(1000);

    socket.send("ping");
    await vi.waitFor(() => expect(socket.heard).toEqual(["pong"]));
    await sweepPresence();
    expect(await nodeRow(node.id)).toMatchObject({ status: "online", connection: "socket" });
    expect((await notificationsOf(node.id)).map(({ kind }) => kind)).toEqual(["node_offline", "node_online"]);
  });

  it("gets 45 s to come back when the Doorbell has lost its sockets without a trace", async () => {
    const node = await aNode({ ours: true });
    const socket = await openSocket(node.headers);
    await sweepPresence();
    await env.DB.prepare("update nodes set last_seen = 5 where id = ?").bind(node.id).run();
    // As a deploy or a crash does.
    await evictDurableObject(doorbell(), { webSockets: "close" });
    await socket.closed;
    const before = Date.now();
    await sweepPresence();
    const lost = await nodeRow(node.id);
    expect(lost).toMatchObject({ status: "online", connection: "poll" });
    expect(lost.lastSeen).toBeGreaterThanOrEqual(before);
    await openSocket(node.headers);
    await sweepPresence();
    expect(await nodeRow(node.id)).toMatchObject({ status: "online", connection: "socket" });
    expect(await notificationsOf(node.id)).toEqual([]);
  });

  it("is told of although it was lost before any census saw it", async () => {
    const node = await aNode({ ours: true });
    await openSocket(node.headers);
    await evictDurableObject(doorbell(), { webSockets: "close" });
    expect(await nodeRow(node.id)).toMatchObject({ connection: "socket" });
    await sweepPresence();
    expect(await nodeRow(node.id)).toMatchObject({ connection: "poll" });
  });

  it("was last seen when it closed its socket, not when a sweep noticed", async () => {
    const node = await aNode({ ours: true });
    const socket = await openSocket(node.headers);
    await sweepPresence();
    const before = Date.now();
    socket.close();
    await socket.closed;
    const after = Date.now();
    await later(14_000, () => sweepPresence());
    const { connection, lastSeen } = await nodeRow(node.id);
    expect(connection).toBe("poll");
    expect(lastSeen).toBeGreaterThanOrEqual(before);
    expect(lastSeen).toBeLessThanOrEqual(after + 1000);
  });

  it("is found although the route could not write that it is connected", async () => {
    const node = await aNode({ ours: true });
    await openSocket(node.headers);
    await env.DB.prepare("update nodes set connection = 'poll', status = 'offline' where id = ?")
      .bind(node.id)
      .run();
    await sweepPresence();
    expect(await nodeRow(node.id)).toMatchObject({ status: "online", connection: "socket" });
  });

  it("is not left online for ever by a write that lands after its going was told", async () => {
    const node = await aNode({ ours: true });
    const socket = await openSocket(node.headers);
    socket.close();
    await socket.closed;
    await vi.waitFor(async () => {
      await sweepPresence();
      expect(await nodeRow(node.id)).toMatchObject({ connection: "poll" });
    });
    await env.DB.prepare("update nodes set connection = 'socket' where id = ?").bind(node.id).run();
    await sweepPresence();
    expect(await nodeRow(node.id)).toMatchObject({ connection: "poll" });
  });

  it("is told of until the census is acknowledged", async () => {
    const node = await aNode({ ours: true });
    await openSocket(node.headers);
    const arrived = async () => (await deps.bell.census())[0]?.arrived.map(({ id }) => id) ?? [];
    expect(await arrived()).toContain(node.id);
    const [overtaken] = await deps.bell.census();
    const [latest] = await deps.bell.census();
    if (!overtaken || !latest) throw new Error("no census");
    await deps.bell.acknowledge(overtaken);
    expect(await arrived()).toContain(node.id);
    const [newest] = await deps.bell.census();
    if (newest) await deps.bell.acknowledge(newest);
    expect(await arrived()).not.toContain(node.id);
  });

  it("that the Doorbell never heard of is found by the daily comparison", async () => {
    const node = await aNode({ ours: true });
    await env.DB.prepare("update nodes set connection = 'socket' where id = ?").bind(node.id).run();
    await sweepPresence();
    expect(await nodeRow(node.id)).toMatchObject({ connection: "socket" });
    await expectConnected(deps);
    await sweepPresence();
    expect(await nodeRow(node.id)).toMatchObject({ connection: "poll" });
  });

  it("leaves nothing behind in the Doorbell a minute after it went", async () => {
    const node = await aNode({ ours: true });
    const socket = await openSocket(node.headers);
    await sweepPresence();
    socket.close();
    await socket.closed;
    await vi.waitFor(async () => {
      await sweepPresence();
      expect(await nodeRow(node.id)).toMatchObject({ connection: "poll" });
    });
    await later(61_000, () => sweepPresence());
    const told = await runInDurableObject(doorbell(), (_, state) =>
      state.storage.kv.get<[number, number][]>("told"),
    );
    expect(told?.map(([id]) => id)).not.toContain(node.id);
  });
});

describe("a polling node", () => {
  it("goes offline 45 s after its last sign of life, once, with a message that names it and since when", async () => {
    const node = await aNode({ name: "web-1" });
    const lastSeen = Date.UTC(2026, 10, 1, 12, 30, 5);
    await env.DB.prepare("update nodes set last_seen = ? where id = ?").bind(lastSeen, node.id).run();
    await markSilentOffline(at(lastSeen + OFFLINE_MS));
    expect(await nodeRow(node.id)).toMatchObject({ status: "online" });
    await Promise.all(Array.from({ length: 6 }, () => markSilentOffline(at(lastSeen + OFFLINE_MS + 1))));
    expect(await nodeRow(node.id)).toMatchObject({ status: "offline", lastSeen });
    expect(await notificationsOf(node.id)).toEqual([
      {
        kind: "node_offline",
        message: "web-1 is offline: no sign of life since 2026-11-01 12:30:05 UTC",
        details: JSON.stringify({ name: "web-1", since: lastSeen }),
      },
    ]);
  });

  it("stays pending until its first sign of life", async () => {
    const node = await aNode();
    await env.DB.prepare(
      "update nodes set status = 'pending', connection = 'never', last_seen = null where id = ?",
    )
      .bind(node.id)
      .run();
    await markSilentOffline(deps);
    expect(await nodeRow(node.id)).toMatchObject({ status: "pending" });
  });
});
