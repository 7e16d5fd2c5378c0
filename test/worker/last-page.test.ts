import { beforeAll, describe, expect, it } from "vitest";
import { adminApi, type Endpoint } from "../../protocol/index.ts";
import { aNode, asRole, call } from "./master.ts";
import { insert, recordRow, targetRow, taskRow } from "./rows.ts";

type Page = { items: unknown[]; next: number | null };

/** Every list that is paged by key, whatever may be added to the API later. */
const lists = Object.entries<Endpoint>(adminApi).filter(
  ([, { method, path, query }]) =>
    method === "GET" &&
    !path.includes(":") &&
    query?.safeParse({ before: "no number" }).success === false &&
    query.safeParse({ before: 1, limit: 1 }).success,
);

describe.each(lists)("%s", (_name, endpoint) => {
  let viewer: Record<string, string>;
  const page = async (limit: number) => {
    const { data, message } = await call(viewer, endpoint, { query: { limit } });
    return { data: data as Page, message };
  };

  beforeAll(async () => {
    viewer = await asRole("admin");
    for (let i = 0; i < 3; i++) {
      const node = await aNode();
      const targetId = await targetRow("vault");
      const taskId = await taskRow(node.id);
      const recordId = await recordRow(taskId, node.id);
      const ofNode = { node_id: node.id, created_at: 1 };
      const run = { ...ofNode, record_id: recordId, target_id: targetId, status: "success" };
      await insert("restore_records", { ...run, conflict: "fail" });
      await insert("verifications", { ...run, task_id: taskId, trigger: "manual", grade: 3 });
      const ended = { status: "succeeded", payload: "{}", completed_at: 1, updated_at: 1 };
      await insert("agent_commands", { ...ofNode, ...ended, type: "list_dir", lane: "control" });
      await insert("audit_logs", { at: 1, actor: "a", action: "b", entity: "c" });
      await insert("notifications", { at: 1, kind: "test", message: "m" });
    }
  });

  it("has a next page only while something follows", async () => {
    const all = await page(200);
    expect(all.message).toBe("success");
    const { length } = all.data.items;
    expect(length).toBeGreaterThanOrEqual(3);
    expect(length).toBeLessThan(200);
    expect(all.data.next).toBeNull();
    expect((await page(length)).data).toEqual(all.data);
    expect((await page(length - 1)).data.next).not.toBeNull();
  });
});

it("there are such lists", () =>
  expect(lists.map(([name]) => name)).toEqual(
    expect.arrayContaining(["listNodes", "listTargets", "listTasks", "listRecords", "listAudit"]),
  ));
