import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { adminApi, agentApi } from "../../protocol/index.ts";
import { enqueueStatement } from "../../worker/commands/enqueue.ts";
import { expireCommands } from "../../worker/commands/expire.ts";
import { aNode, asRole, aTask, call, deps } from "./master.ts";

const listing = { entries: [] };
const poll = (node: { headers: Record<string, string> }, body?: unknown) =>
  call(node.headers, agentApi.poll, body === undefined ? {} : { body });
const idle = { running: [], max: 4 };

async function enqueueListDir(nodeId: number, path = "/"): Promise<number> {
  const row = await enqueueStatement(deps, { nodeId, type: "list_dir", payload: { path } }).first<{
    id: number;
  }>();
  if (!row) throw new Error("nothing was queued");
  return row.id;
}
const commandRow = (id: number) =>
  env.DB.prepare("select * from agent_commands where id = ?").bind(id).first<Record<string, unknown>>();
const age = (id: number, seconds: number) =>
  env.DB.prepare(
    `update agent_commands set created_at = created_at - ?1, dispatched_at = dispatched_at - ?1,
       lease_expires_at = lease_expires_at - ?1 where id = ?2`,
  )
    .bind(seconds * 1000, id)
    .run();

describe("handing out", () => {
  it("hands a node its commands in the order they came, and no other node's", async () => {
    const [one, other] = [await aNode(), await aNode()];
    const ids = [await enqueueListDir(one.id, "/a"), await enqueueListDir(one.id, "/b")];
    await enqueueListDir(other.id, "/c");
    expect((await poll(one)).data.command?.id).toBe(ids[0]);
    expect((await poll(one)).data.command?.id).toBe(ids[1]);
    expect((await poll(one)).data.command).toBeNull();
  });

  it("hands out each command exactly once to 50 polls at the same time", async () => {
    const node = await aNode();
    const ids = await Promise.all(Array.from({ length: 40 }, () => enqueueListDir(node.id)));
    const answers = await Promise.all(Array.from({ length: 50 }, () => poll(node)));
    const got = answers.flatMap((answer) => (answer.data.command ? [answer.data.command.id] : []));
    expect(got.sort((a, b) => a - b)).toEqual(ids.sort((a, b) => a - b));
  });

  it("hands out each once also to 50 polls of an agent that takes several", async () => {
    const node = await aNode({ ours: true });
    const ids = await Promise.all(Array.from({ length: 40 }, () => enqueueListDir(node.id)));
    const answers = await Promise.all(Array.from({ length: 50 }, () => poll(node, idle)));
    const got = answers.flatMap((answer) => (answer.data.commands ?? []).map((command) => command.id));
    expect(got.sort((a, b) => a - b)).toEqual(ids.sort((a, b) => a - b));
  });

  it("writes attempt, lease token and lease end with the claim, and tells them to our agents only", async () => {
    const [ours, go] = [await aNode({ ours: true }), await aNode()];
    const [a, b] = [await enqueueListDir(ours.id), await enqueueListDir(go.id)];
    const command = (await poll(ours, idle)).data.commands?.[0];
    expect(command).toMatchObject({ id: a, attempt: 1, leaseSeconds: 120 });
    expect(await commandRow(a)).toMatchObject({
      status: "dispatched",
      attempt: 1,
      lease_token: command?.leaseToken,
    });
    expect((await poll(go)).data.command).toEqual({ id: b, type: "list_dir", payload: { path: "/" } });
    expect((await commandRow(b))?.["lease_expires_at"]).toBeGreaterThan(Date.now());
  });

  it("hands a command out again whose answer was lost, and fences off the attempt before", async () => {
    const node = await aNode({ ours: true });
    const id = await enqueueListDir(node.id);
    const first = (await poll(node, idle)).data.commands?.[0];
    expect((await poll(node, idle)).data.commands, "not at once: it may be on its way").toEqual([]);
    await age(id, 11);
    const second = (await poll(node, idle)).data.commands?.[0];
    expect(second).toMatchObject({ id, attempt: 2 });
    const late = await call(node.headers, agentApi.commandResult, {
      params: { id },
      body: { success: true, result: listing, leaseToken: first?.leaseToken, attempt: 1 },
    });
    expect(late).toMatchObject({ status: 409, code: "AGENT_COMMAND_SUPERSEDED" });
    const renewed = await call(node.headers, agentApi.renewLease, {
      params: { id },
      body: { leaseToken: first?.leaseToken },
    });
    expect(renewed).toMatchObject({ status: 409, code: "AGENT_COMMAND_SUPERSEDED" });
  });

  it("does not hand out again what the agent says it holds, whatever its age", async () => {
    const node = await aNode({ ours: true });
    const id = await enqueueListDir(node.id);
    const held = (await poll(node, idle)).data.commands?.[0];
    await age(id, 3600);
    const again = await poll(node, { running: [{ id, leaseToken: held?.leaseToken }], max: 4 });
    expect(again.data.commands).toEqual([]);
  });

  it("keeps work back beyond max_concurrent while control commands pass", async () => {
    const node = await aNode({ ours: true });
    const operator = await asRole("operator");
    const tasks = [await aTask(node), await aTask(node)];
    for (const task of tasks) await call(operator, adminApi.runTask, { params: { id: task.id } });
    const browse = await enqueueListDir(node.id);
    const types = (await poll(node, idle)).data.commands?.map((command) => command.type);
    expect(types).toEqual(["run_task", "list_dir"]);
    expect((await commandRow(browse))?.["status"]).toBe("dispatched");
  });

  it("gives a paused node no work, but still answers for it", async () => {
    const node = await aNode({ ours: true });
    await call(await asRole("admin"), adminApi.updateNode, {
      params: { id: node.id },
      body: { paused: true },
    });
    const task = await aTask(node);
    await call(await asRole("operator"), adminApi.runTask, { params: { id: task.id } });
    const answer = await poll(node, idle);
    expect(answer.data).toMatchObject({ commands: [], orders: [{ type: "pause" }] });
  });

  it("never hands out a directory listing that nobody waits for any more", async () => {
    const node = await aNode({ ours: true });
    const id = await enqueueListDir(node.id);
    await age(id, 20);
    expect((await poll(node, idle)).data.commands).toEqual([]);
    expect((await commandRow(id))?.["status"]).toBe("timeout");
  });
});

describe("results", () => {
  it("takes a result once; the same again changes nothing", async () => {
    const node = await aNode();
    const id = await enqueueListDir(node.id);
    await poll(node);
    const result = { success: true, result: listing };
    for (let i = 0; i < 2; i++) {
      const answer = await call(node.headers, agentApi.commandResult, { params: { id }, body: result });
      expect(answer).toMatchObject({ status: 200, data: { status: "ok" } });
    }
    const first = await commandRow(id);
    await call(node.headers, agentApi.commandResult, {
      params: { id },
      body: { success: false, errorMessage: "x" },
    });
    expect(await commandRow(id)).toEqual(first);
    expect(first).toMatchObject({ status: "succeeded", result: JSON.stringify(listing) });
  });

  it("refuses another node's command and an unknown one, and one that was never handed out", async () => {
    const [node, stranger] = [await aNode(), await aNode()];
    const id = await enqueueListDir(node.id);
    const body = { success: true };
    expect(await call(stranger.headers, agentApi.commandResult, { params: { id }, body })).toMatchObject({
      status: 401,
      code: "AGENT_COMMAND_FORBIDDEN",
    });
    expect(await call(node.headers, agentApi.commandResult, { params: { id: 999_999 }, body })).toMatchObject(
      {
        status: 404,
        code: "AGENT_COMMAND_NOT_FOUND",
      },
    );
    expect(await call(node.headers, agentApi.commandResult, { params: { id }, body })).toMatchObject({
      status: 409,
    });
    expect((await commandRow(id))?.["status"]).toBe("pending");
  });

  it("gives a command up after ten minutes of silence, not sooner, and keeps what arrives later", async () => {
    const node = await aNode({ ours: true });
    const id = await enqueueListDir(node.id);
    const command = (await poll(node, idle)).data.commands?.[0];
    await age(id, 590);
    await expireCommands(deps);
    expect((await commandRow(id))?.["status"]).toBe("dispatched");
    await age(id, 15);
    await expireCommands(deps);
    expect((await commandRow(id))?.["status"]).toBe("timeout");
    const late = await call(node.headers, agentApi.commandResult, {
      params: { id },
      body: { success: true, result: listing, leaseToken: command?.leaseToken },
    });
    expect(late.status).toBe(200);
    expect(await commandRow(id)).toMatchObject({ status: "timeout", result: JSON.stringify(listing) });
  });

  it("gives no command up for having been silent while the master itself was away for an hour", async () => {
    const node = await aNode({ ours: true });
    const [heard, silent] = [await enqueueListDir(node.id), await enqueueListDir(node.id)];
    const commands = (await poll(node, idle)).data.commands ?? [];
    for (const id of [heard, silent]) await age(id, 3600);
    await expireCommands(deps);
    for (const id of [heard, silent]) expect((await commandRow(id))?.["status"]).toBe("dispatched");
    const leaseToken = commands.find(({ id }) => id === heard)?.leaseToken ?? "";
    const renewed = await call(node.headers, agentApi.renewLease, {
      params: { id: heard },
      body: { leaseToken },
    });
    expect(renewed.status).toBe(200);
    await age(silent, 115);
    await expireCommands(deps);
    expect((await commandRow(silent))?.["status"]).toBe("dispatched");
    for (const id of [heard, silent]) await age(id, 10);
    await expireCommands(deps);
    expect((await commandRow(silent))?.["status"]).toBe("timeout");
    expect((await commandRow(heard))?.["status"]).toBe("dispatched");
  });

  it("keeps a command alive for as long as its lease is renewed", async () => {
    const node = await aNode({ ours: true });
    const id = await enqueueListDir(node.id);
    const command = (await poll(node, idle)).data.commands?.[0];
    for (let hour = 0; hour < 3; hour++) {
      await age(id, 3600);
      const renewed = await call(node.headers, agentApi.renewLease, {
        params: { id },
        body: { leaseToken: command?.leaseToken },
      });
      expect(renewed.status).toBe(200);
      await expireCommands(deps);
    }
    expect((await commandRow(id))?.["status"]).toBe("dispatched");
  });
});
