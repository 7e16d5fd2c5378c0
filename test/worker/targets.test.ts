import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { randomHex } from "../../worker/secrets/hash.ts";
import { openTargetById } from "../../worker/targets/open-target.ts";
import { answerOnce } from "./answer-once.ts";
import { aNode, asRole, call, deps } from "./master.ts";
import { copyRow, count, recordRow, set, targetRow, taskRow, unique } from "./rows.ts";

const s3 = { endpoint: "https://s3.example", bucket: "backups", prefix: "here" };
const keys = () => ({ accessKeyId: `id-${randomHex(8)}`, secretAccessKey: `secret-${randomHex(16)}` });

async function anS3Target(secrets: Record<string, unknown> = keys()) {
  const body = { name: unique("s3"), type: "s3", config: s3, secrets };
  const made = await call(await asRole("admin"), adminApi.createTarget, { body });
  expect(made.message).toBe("success");
  return made.data;
}

const change = async (id: number, body: unknown) =>
  call(await asRole("admin"), adminApi.updateTarget, { params: { id }, body });
const remove = async (id: number) => call(await asRole("admin"), adminApi.deleteTarget, { params: { id } });
const rowOf = (id: number) => env.DB.prepare("select * from storage_targets where id = ?").bind(id).first();

describe("a storage target's secrets", () => {
  it("are sealed, and no answer and no audit entry holds them: only their names", async () => {
    const secrets = { ...keys(), sessionToken: `session-${randomHex(8)}` };
    const target = await anS3Target(secrets);
    expect(target.secretsSet).toEqual(["accessKeyId", "secretAccessKey", "sessionToken"]);
    const viewer = await asRole("viewer");
    const replaced = { secretAccessKey: `newer-${randomHex(16)}` };
    const answers = [
      target,
      await call(viewer, adminApi.getTarget, { params: { id: target.id } }),
      await call(viewer, adminApi.listTargets),
      await change(target.id, { secrets: replaced }),
      await rowOf(target.id),
      await env.DB.prepare("select * from audit_logs").all(),
    ];
    for (const secret of [...Object.values(secrets), ...Object.values(replaced)]) {
      expect(JSON.stringify(answers)).not.toContain(secret);
    }
    expect(JSON.stringify(answers.at(-1))).toContain("replacedSecrets");
  });

  it("are kept when they are not sent, replaced when they are, removed by null", async () => {
    const secrets = { ...keys(), sessionToken: "session" };
    const { id } = await anS3Target(secrets);
    await change(id, { name: unique("renamed") });
    expect((await openTargetById(deps, id)).config).toMatchObject(secrets);
    const changed = await change(id, { secrets: { secretAccessKey: "newer", sessionToken: null } });
    expect(changed.data.secretsSet).toEqual(["accessKeyId", "secretAccessKey"]);
    const { config } = await openTargetById(deps, id);
    expect(config).toMatchObject({ accessKeyId: secrets.accessKeyId, secretAccessKey: "newer" });
    expect(config).not.toHaveProperty("sessionToken");
    const before = await rowOf(id);
    expect(await change(id, { secrets: { accessKeyId: null } })).toMatchObject({
      status: 400,
      code: "INVALID_INPUT",
    });
    expect(await rowOf(id)).toEqual(before);
  });

  it("open in no other row", async () => {
    const [one, other] = [await anS3Target(), await anS3Target()];
    const { secrets } = (await rowOf(one.id)) as { secrets: string };
    await set("storage_targets", other.id, { secrets });
    await expect(openTargetById(deps, other.id)).rejects.toThrow("cannot be opened");
  });

  it("can all be set anew when the old ones cannot be opened any more", async () => {
    const { id } = await anS3Target();
    await set("storage_targets", id, { secrets: "v1.broken.broken" });
    expect((await change(id, { name: unique("still shown") })).status).toBe(200);
    const secrets = keys();
    expect((await change(id, { secrets })).status).toBe(200);
    expect((await openTargetById(deps, id)).config).toMatchObject(secrets);
  });

  it("both stay whole when two people change different ones at once", async () => {
    const { id } = await anS3Target();
    const answers = await Promise.all([
      change(id, { secrets: { accessKeyId: "a2" } }),
      change(id, { secrets: { secretAccessKey: "s2" } }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect((await openTargetById(deps, id)).config).toMatchObject({
      accessKeyId: "a2",
      secretAccessKey: "s2",
    });
  });
});

describe("a storage target's settings", () => {
  it.each([
    ["an unknown field", { type: "local_disk", config: { path: "/b", pfad: "/c" } }, "pfad"],
    ["a missing field", { type: "s3", config: { bucket: "b" }, secrets: keys() }, "config.endpoint"],
    ["a relative path", { type: "local_disk", config: { path: "b" } }, "config.path"],
    ["a path with NUL", { type: "local_disk", config: { path: "/b\0" } }, "config.path"],
    [
      "a wrong scheme",
      { type: "s3", config: { ...s3, endpoint: "ftp://x" }, secrets: keys() },
      "config.endpoint",
    ],
    ["no key", { type: "s3", config: s3 }, "secrets.accessKeyId"],
    ["a secret that it has no use for", { type: "vault", secrets: { password: "hunter2" } }, "password"],
    [
      "a secret among the settings",
      { type: "s3", config: { ...s3, ...keys() }, secrets: keys() },
      "accessKeyId",
    ],
    ["an unknown type", { type: "tape" }, "type"],
    ["a quota of nothing", { type: "vault", quotaBytes: 0 }, "quotaBytes"],
    ["a bandwidth of nothing", { type: "vault", bandwidthBytesPerSecond: 0 }, "bandwidthBytesPerSecond"],
  ])("are refused with %s, by its name and without values", async (_what, body, field) => {
    const name = unique("bad");
    const answer = await call(await asRole("admin"), adminApi.createTarget, { body: { name, ...body } });
    expect(answer).toMatchObject({ status: 400, code: "INVALID_INPUT" });
    expect(answer.message).toContain(field);
    expect(answer.message).not.toMatch(/hunter2|secret-/);
    expect(await count("storage_targets where name = ?", name)).toBe(0);
  });

  it("reach agents together with the secrets, in our words and in those of Go agents", async () => {
    const secrets = keys();
    const { id } = await anS3Target(secrets);
    expect(await openTargetById(deps, id)).toMatchObject({
      id,
      type: "s3",
      transferMode: "direct",
      quotaRemainingBytes: null,
      config: { ...s3, ...secrets, region: "auto", pathStyle: true, forcePathStyle: true },
    });
    const disk = await targetRow("local_disk", { config: '{"path":"/b"}', quota_bytes: 10, used_bytes: 30 });
    expect(await openTargetById(deps, disk)).toMatchObject({
      config: { path: "/b", basePath: "/b" },
      quotaRemainingBytes: 0,
    });
    expect((await openTargetById(deps, await targetRow("vault"))).transferMode).toBe("master_relay");
  });

  it("say nothing twice: a name that exists is refused", async () => {
    const [one, other] = [await anS3Target(), await anS3Target()];
    expect(await change(one.id, { name: other.name })).toMatchObject({ status: 409, code: "NAME_TAKEN" });
    const again = { name: one.name, type: "vault" };
    expect((await call(await asRole("admin"), adminApi.createTarget, { body: again })).code).toBe(
      "NAME_TAKEN",
    );
  });
});

describe("a storage target's bandwidth", () => {
  it("is kept, changed, taken away again, and audited each time", async () => {
    const body = { name: unique("slow"), type: "vault", bandwidthBytesPerSecond: 5000 };
    const { data } = await call(await asRole("admin"), adminApi.createTarget, { body });
    expect(data.bandwidthBytesPerSecond).toBe(5000);
    expect((await change(data.id, { quotaBytes: 5 })).data.bandwidthBytesPerSecond).toBe(5000);
    expect((await change(data.id, { bandwidthBytesPerSecond: 6000 })).data).toMatchObject({
      bandwidthBytesPerSecond: 6000,
      quotaBytes: 5,
    });
    expect(
      (await change(data.id, { bandwidthBytesPerSecond: null })).data.bandwidthBytesPerSecond,
    ).toBeNull();
    const { results } = await env.DB.prepare(
      `select before ->> 'bandwidthBytesPerSecond' as was, after ->> 'bandwidthBytesPerSecond' as now
       from audit_logs where entity = 'storage_target' and (entity_id = ? or after ->> 'name' = ?) order by id`,
    )
      .bind(data.id, body.name)
      .all();
    expect(results).toEqual([
      { was: null, now: 5000 },
      { was: 5000, now: 5000 },
      { was: 5000, now: 6000 },
      { was: 6000, now: null },
    ]);
  });

  it("is not overwritten by another change at the same instant", async () => {
    const { id } = await anS3Target();
    const changes = [{ bandwidthBytesPerSecond: 2000 }, { quotaBytes: 7 }];
    const answers = await Promise.all(changes.map((body) => change(id, body)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    const { data } = await call(await asRole("viewer"), adminApi.getTarget, { params: { id } });
    expect(data).toMatchObject({ bandwidthBytesPerSecond: 2000, quotaBytes: 7 });
  });

  it("reaches agents with the target, and in commands about one target as the lower of its and the node's", async () => {
    const disk = await targetRow("local_disk", { config: '{"path":"/b"}', bandwidth_limit: 4000 });
    expect((await openTargetById(deps, disk)).bandwidthBytesPerSecond).toBe(4000);
    for (const [ofNode, expected] of [
      [null, 4000],
      [3000, 3000],
      [9000, 4000],
    ]) {
      const node = await aNode({ ours: true });
      await set("nodes", node.id, { bandwidth_limit: ofNode });
      const [, command] = await Promise.all([
        call(await asRole("operator"), adminApi.testTarget, {
          params: { id: disk },
          body: { nodeId: node.id },
        }),
        answerOnce(node.headers, { milliseconds: 1 }),
      ]);
      expect(command.payload).toMatchObject({ bandwidthBytesPerSecond: expected });
    }
  });
});

describe("a storage target in use", () => {
  it("is not removed while tasks use it or copies lie there, and says how many", async () => {
    const { id } = await anS3Target();
    const taskId = await taskRow(1);
    await env.DB.prepare("insert into task_targets values (?, ?, 0)").bind(taskId, id).run();
    for (const status of ["success", "deleting", "delete_failed", "deleted", "failed"]) {
      await copyRow(await recordRow(700_000 + id, 1), id, status);
    }
    const refused = await remove(id);
    expect(refused).toMatchObject({ status: 409, code: "STORAGE_TARGET_IN_USE" });
    expect(refused.message).toMatch(/1 task uses it.*3 copies/);
    expect(await rowOf(id)).not.toBeNull();
    const links = env.DB.prepare("select * from task_targets where target_id = ?").bind(id);
    const unlink = env.DB.prepare("delete from task_targets where target_id = ?").bind(id);
    expect((await links.all()).results).toHaveLength(1);
    await unlink.run();
    expect((await remove(id)).code).toBe("STORAGE_TARGET_IN_USE");
    await env.DB.prepare("update record_copies set status = 'deleted' where target_id = ?").bind(id).run();
    await env.DB.prepare("insert into task_targets values (?, ?, 0)").bind(taskId, id).run();
    expect((await remove(id)).code).toBe("STORAGE_TARGET_IN_USE");
    await unlink.run();
    expect((await remove(id)).status).toBe(200);
    expect(await remove(id)).toMatchObject({ status: 404, code: "STORAGE_TARGET_NOT_FOUND" });
    expect(await count("audit_logs where action = 'storage_target.delete' and entity_id = ?", id)).toBe(1);
  });

  it("is not removed while a run writes to it, whatever the run's task says by now", async () => {
    const { id } = await anS3Target();
    const running = { status: "running", target_ids: JSON.stringify([id]) };
    const recordId = await recordRow(600_000 + id, 1, running);
    expect((await remove(id)).code).toBe("STORAGE_TARGET_IN_USE");
    await set("backup_records", recordId, { status: "failed" });
    expect((await remove(id)).status).toBe(200);
  });

  it("keeps its path, bucket and prefix while copies lie there; its address may change", async () => {
    const { id } = await anS3Target();
    const recordId = await recordRow(500_000 + id, 1);
    await copyRow(recordId, id);
    const before = await rowOf(id);
    for (const config of [{ bucket: "other" }, { prefix: "there" }, { prefix: null }]) {
      expect(await change(id, { config })).toMatchObject({ status: 409, code: "STORAGE_TARGET_IN_USE" });
    }
    expect(await rowOf(id)).toEqual(before);
    const moved = await change(id, { config: { endpoint: "https://new.example" }, quotaBytes: 5 });
    expect(moved.data).toMatchObject({ config: { ...s3, endpoint: "https://new.example" }, quotaBytes: 5 });
    await env.DB.prepare("delete from record_copies where target_id = ?").bind(id).run();
    expect((await change(id, { config: { bucket: "other", prefix: null } })).data.config).toMatchObject({
      bucket: "other",
      prefix: "",
    });
  });
});

describe("a target's last test", () => {
  const test = async (id: number, nodeId: number | null) =>
    call(await asRole("operator"), adminApi.testTarget, { params: { id }, body: { nodeId } });
  const lastTest = async (id: number) =>
    (await call(await asRole("viewer"), adminApi.getTarget, { params: { id } })).data.lastTest;

  it("is kept, whichever way it went, until the settings change", async () => {
    const { id } = await anS3Target();
    const node = await aNode({ ours: true });
    expect(await lastTest(id)).toBeNull();
    await Promise.all([test(id, node.id), answerOnce(node.headers, { milliseconds: 12 })]);
    expect(await lastTest(id)).toMatchObject({ ok: true, milliseconds: 12, nodeId: node.id, message: "" });
    await Promise.all([test(id, node.id), answerOnce(node.headers, "fine")]);
    expect(await lastTest(id)).toMatchObject({ ok: false, milliseconds: null });
    await change(id, { quotaBytes: 5 });
    expect(await lastTest(id)).toMatchObject({ ok: false });
    await change(id, { secrets: { secretAccessKey: "another" } });
    expect(await lastTest(id)).toBeNull();
  });

  it("is the master's own for the vault, and needs a node for everything else", async () => {
    const body = { name: unique("vault"), type: "vault" };
    const vault = await call(await asRole("admin"), adminApi.createTarget, { body });
    expect((await test(vault.data.id, null)).status).toBe(200);
    expect(await lastTest(vault.data.id)).toMatchObject({ ok: true, nodeId: null, nodeName: null });
    const { id } = await anS3Target();
    expect(await test(id, null)).toMatchObject({ status: 400, code: "INVALID_INPUT" });
    expect(await lastTest(id)).toBeNull();
  });
});

describe("a target's tasks", () => {
  const taskOf = async (...targetIds: number[]) => {
    const id = await taskRow(null);
    for (const [position, targetId] of targetIds.entries())
      await env.DB.prepare("insert into task_targets (task_id, target_id, position) values (?, ?, ?)")
        .bind(id, targetId, position)
        .run();
    return id;
  };

  it("are listed by it, newest first, page by page", async () => {
    const viewer = await asRole("viewer");
    const [one, two] = [await targetRow("vault"), await targetRow("vault")];
    const tasks = [await taskOf(one), await taskOf(two), await taskOf(one, two)];
    const page = async (query: Record<string, string | number>) =>
      (await call(viewer, adminApi.listTasks, { query: { targetId: one, ...query } })).data;
    expect((await page({})).items.map(({ id }) => id)).toEqual([tasks[2], tasks[0]]);
    const first = await page({ limit: 1 });
    expect((await page({ limit: 1, before: first.next ?? 0 })).items.map(({ id }) => id)).toEqual([tasks[0]]);
    expect((await page({ tag: "none" })).items).toEqual([]);
  });
});

describe("testing a target", () => {
  const test = async (id: number, nodeId: number) =>
    call(await asRole("operator"), adminApi.testTarget, { params: { id }, body: { nodeId } });

  it("asks the node's agent, who alone gets the secrets, and tells how long it took", async () => {
    const secrets = keys();
    const { id } = await anS3Target(secrets);
    const node = await aNode({ ours: true });
    const [answer, command] = await Promise.all([
      test(id, node.id),
      answerOnce(node.headers, { milliseconds: 12.4 }),
    ]);
    expect(answer).toMatchObject({ status: 200, data: { ok: true, milliseconds: 12 } });
    expect(command.payload).toMatchObject({ targetType: "s3", targetConfig: { ...s3, ...secrets } });
    const row = await env.DB.prepare("select * from agent_commands where id = ?").bind(command.id).first();
    expect(JSON.stringify(row)).not.toContain(secrets.secretAccessKey);
  });

  it("does not take an answer without a time for a success", async () => {
    const { id } = await anS3Target();
    const node = await aNode({ ours: true });
    const [answer] = await Promise.all([test(id, node.id), answerOnce(node.headers, "fine")]);
    expect(answer).toMatchObject({ status: 502, code: "NODE_COMMAND_FAILED" });
  });

  it("is refused in words for a Go agent, an unknown node or target, and queues nothing", async () => {
    const { id } = await anS3Target();
    const goNode = await aNode();
    const refused = await test(id, goNode.id);
    expect(refused).toMatchObject({ status: 409, code: "NODE_CANNOT_RUN_TASK" });
    expect(refused.message).toContain("Go agent");
    expect((await test(id, 999_999)).code).toBe("NODE_NOT_FOUND");
    expect((await test(999_999, goNode.id)).code).toBe("STORAGE_TARGET_NOT_FOUND");
    expect(await count("agent_commands where node_id = ?", goNode.id)).toBe(0);
  });
});

it("lists targets page by page, newest first", async () => {
  const ids = [await anS3Target(), await anS3Target(), await anS3Target()].map(({ id }) => id).reverse();
  const page = async (query: Record<string, number>) =>
    (await call(await asRole("viewer"), adminApi.listTargets, { query })).data;
  const first = await page({ limit: 2 });
  expect(first.items.map(({ id }) => id)).toEqual(ids.slice(0, 2));
  expect((await page({ limit: 2, before: first.next as number })).items[0]?.id).toBe(ids[2]);
});
