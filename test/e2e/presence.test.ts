import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminApi, agentApi, timing } from "../../protocol/index.ts";
import { makeMachine } from "./machine.ts";
import { TEST_MS, until } from "./until.ts";
import { startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, TEST_MS);
afterAll(() => world?.close());

const notifications = (nodeId: number) =>
  world.rows<{ kind: string; message: string }>(
    "select kind, message from notifications where node_id = ? order by id",
    nodeId,
  );
const node = (id: number) => world.call(adminApi.getNode, { params: { id } });

describe.concurrent("presence", { timeout: TEST_MS }, () => {
  test("a silent node is offline after 45 s, derived and told once; its return is told too", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    machine.network.refuseSockets = true;
    const agent = machine.start();
    await world.online(machine);
    await agent.end("SIGKILL");
    const silence = (seconds: number) =>
      world.change(
        "update nodes set last_seen = ? where id = ?",
        Date.now() - seconds * 1000,
        machine.nodeId,
      );
    await silence(timing.offlineAfterSeconds - 15);
    await world.sweep();
    expect((await node(machine.nodeId)).status).toBe("online");
    await silence(timing.offlineAfterSeconds + 1);
    // Before any sweep: nothing that depends on it waits for one.
    expect((await node(machine.nodeId)).status).toBe("offline");
    const refused = await world.ask(adminApi.browseNode, { params: { id: machine.nodeId } });
    expect(refused).toMatchObject({ status: 409, code: "NODE_OFFLINE" });
    await world.sweep();
    await world.sweep();
    expect(await notifications(machine.nodeId)).toEqual([
      { kind: "node_offline", message: expect.stringContaining(`${machine.name} is offline`) },
    ]);
    machine.start();
    await world.online(machine);
    await until("the return", async () => (await notifications(machine.nodeId)).length === 2);
    expect((await notifications(machine.nodeId))[1]).toMatchObject({ kind: "node_online" });
  });

  test("two machines with one token are noticed and named, and do not storm the master", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    const clone = await makeMachine({
      entry: world.agentEntry,
      master: world.url,
      folder: `${machine.folder}-clone`,
      node: { id: machine.nodeId, name: machine.name },
      token: machine.token,
      onEnd: onTestFinished,
    });
    const original = machine.start();
    await original.logged("socket open");
    clone.start();
    await until(
      "the clone to be noticed",
      async () => (await node(machine.nodeId)).cloneSuspectedAt !== null,
    );
    const [told] = (await notifications(machine.nodeId)).filter(({ kind }) => kind === "token_used_twice");
    expect(told?.message).toContain(machine.name);
    await original.logged("is this machine a clone?");
    const sockets = () =>
      [machine, clone].flatMap(({ network }) =>
        network.passed.filter(({ path }) => path === agentApi.doorbell.path),
      ).length;
    const before = sockets();
    await delay(10_000);
    expect(sockets() - before).toBeLessThanOrEqual(4);
  });

  test("a rotated token: the old one works until it is replaced, and each change of it is survived", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    const first = machine.start();
    await first.logged("socket open");
    const { token, previousValidUntil } = await world.call(adminApi.rotateNodeToken, {
      params: { id: machine.nodeId },
    });
    expect(previousValidUntil).toBeGreaterThan(Date.now() + 23 * 3_600_000);
    expect((await world.ask(adminApi.browseNode, { params: { id: machine.nodeId } })).status).toBe(200);
    await first.end("SIGTERM");
    machine.setToken(token);
    const second = machine.start();
    await second.logged("socket open");
    expect((await world.ask(adminApi.browseNode, { params: { id: machine.nodeId } })).status).toBe(200);
  });

  test("a token that is refused after it was accepted: the agent says so, slows down, and recovers", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    machine.network.refuseSockets = true;
    const agent = machine.start(["--poll-interval", "500ms", "--heartbeat-interval", "500ms"]);
    await world.online(machine);
    await until("polls", () =>
      machine.network.passed.some(({ path, status }) => path === agentApi.poll.path && status === 200),
    );
    const [kept] = await world.rows<{ hash: string }>(
      "select token_sha256 as hash from nodes where id = ?",
      machine.nodeId,
    );
    await world.change("update nodes set token_sha256 = 'revoked' || id where id = ?", machine.nodeId);
    const line = await agent.logged("no longer accepts this node's token");
    expect(line.level).toBe("error");
    const before = machine.network.passed.length;
    await delay(5000);
    // Two loops at half a second would have made twenty calls.
    expect(machine.network.passed.length - before).toBeLessThanOrEqual(6);
    expect(agent.child.exitCode).toBeNull();
    await world.change("update nodes set token_sha256 = ? where id = ?", kept?.hash, machine.nodeId);
    await agent.logged("the master answers again");
    expect((await world.ask(adminApi.browseNode, { params: { id: machine.nodeId } })).status).toBe(200);
  });

  test("a deleted node's agent gets 401 at once and stays alive", async ({ onTestFinished }) => {
    const machine = await world.machine(onTestFinished);
    const agent = machine.start();
    await agent.logged("socket open");
    await world.call(adminApi.deleteNode, { params: { id: machine.nodeId } });
    await agent.logged("no longer accepts this node's token");
    expect(agent.child.exitCode).toBeNull();
  });
});
