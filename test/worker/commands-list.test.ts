import { describe, expect, it } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { aNode, asRole, call } from "./master.ts";
import { insert } from "./rows.ts";

const command = (nodeId: number, columns: Record<string, unknown> = {}) =>
  insert("agent_commands", {
    node_id: nodeId,
    type: "run_task",
    lane: "work",
    payload: "{}",
    created_at: 1,
    updated_at: 1,
    ...columns,
  });
const ended = (status: string, at: number) => ({ status, completed_at: at });

const list = async (query: Record<string, string | number>) =>
  (await call(await asRole("operator"), adminApi.listCommands, { query })).data;

describe("the queue and its history", () => {
  it("names the node of each command, as long as there is one", async () => {
    const { id, name } = await aNode();
    const ofNode = await command(id);
    const ofNobody = await command(4_000_000);
    const { items } = await list({ limit: 2 });
    expect(items).toMatchObject([
      { id: ofNobody, nodeName: null },
      { id: ofNode, nodeName: name },
    ]);
  });

  it("shows of one node what is open first, then what has ended, newest first", async () => {
    const { id } = await aNode();
    const done = await command(id, ended("succeeded", 20));
    const failed = await command(id, ended("failed", 10));
    const open = await command(id);
    expect((await list({ nodeId: id })).items.map((one) => one.id)).toEqual([open, done, failed]);
    const second = await list({ nodeId: id, limit: 1, before: open });
    expect(second).toMatchObject({ items: [{ id: done }], next: done });
  });

  it.each([true, false])("goes by status and type, of one node: %s", async (ofNode) => {
    const { id } = await aNode();
    const only = ofNode ? { nodeId: id } : {};
    const wanted = await command(id, { type: "copy_record", ...ended("timeout", 30) });
    await command(id, { type: "copy_record", ...ended("failed", 31) });
    await command(id, ended("timeout", 32));
    const { items, next } = await list({ ...only, status: "timeout", type: "copy_record" });
    expect(items.filter(({ nodeId }) => nodeId === id).map((one) => one.id)).toEqual([wanted]);
    expect(next).toBeNull();
  });

  it("looks at no more than 1,000 commands for a status, and goes on from there", async () => {
    const { id } = await aNode();
    const wanted = await command(id, ended("failed", 1));
    for (let i = 0; i < 1100; i += 100)
      await Promise.all(Array.from({ length: 100 }, (_, j) => command(id, ended("succeeded", 2 + i + j))));
    for (const only of [{ nodeId: id }, {}] as Record<string, number>[]) {
      const first = await list({ ...only, status: "failed" });
      expect(first.items).toEqual([]);
      const second = await list({ ...only, status: "failed", before: first.next as number });
      expect(second.items.map((one) => one.id)).toContain(wanted);
    }
  });
});
