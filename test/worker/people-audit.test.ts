import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { adminApi, agentApi, type Endpoint } from "../../protocol/index.ts";
import { randomHex } from "../../worker/secrets/hash.ts";
import { aNode, asRole, aTask, aUser, call, fromNewAddress, signedIn } from "./master.ts";

type Change = {
  params?: Record<string, number>;
  body?: unknown;
  /** Who calls; an administrator's key where it is left out. */
  as?: Record<string, string>;
};

const unique = (what: string) => `${what} ${randomHex(5)}`;
const admin = () => asRole("admin");

async function aTarget() {
  const made = await call(await admin(), adminApi.createTarget, {
    body: { name: unique("target"), type: "vault" },
  });
  return made.data;
}
async function aRun() {
  const node = await aNode({ ours: true });
  const task = await aTask(node);
  const run = await call(await admin(), adminApi.runTask, { params: { id: task.id } });
  return { node, task, ...run.data };
}
/** A record that has ended well and has a copy in its target. */
async function aBackup() {
  const run = await aRun();
  await env.DB.batch([
    env.DB.prepare(
      "update backup_records set status = 'success', finished_at = 1, file_name = 'a' where id = ?",
    ).bind(run.recordId),
    env.DB.prepare("update agent_commands set status = 'succeeded', completed_at = 1 where id = ?").bind(
      run.commandId,
    ),
    env.DB.prepare(
      `insert or replace into record_copies (record_id, target_id, target_name, status, storage_path, size_bytes, updated_at)
       values (?, ?, 'target', 'success', 'BackupX/file/a', 1, 1)`,
    ).bind(run.recordId, run.task.targetId),
  ]);
  return run;
}

/** One change of each kind that succeeds: every call that changes something has its line. */
const changes: Partial<Record<keyof typeof adminApi, () => Promise<Change>>> = {
  logout: async () => ({ as: await signedIn(await aUser("viewer")) }),
  changePassword: async () => {
    const user = await aUser("viewer");
    const as = { ...(await signedIn(user)), ...fromNewAddress() };
    return { as, body: { current: user.password, next: "a planted password" } };
  },
  endOtherSessions: async () => {
    const user = await aUser("viewer");
    await signedIn(user);
    return { as: await signedIn(user) };
  },
  createUser: async () => ({
    body: { username: `user-${randomHex(5)}`, password: "a planted password", role: "viewer" },
  }),
  updateUser: async () => ({
    params: { id: (await aUser("viewer")).id },
    body: { role: "operator", disabled: true, password: "a planted password" },
  }),
  deleteUser: async () => ({ params: { id: (await aUser("viewer")).id } }),
  createApiKey: async () => ({ body: { name: unique("key"), role: "viewer" } }),
  deleteApiKey: async () => {
    const made = await call(await admin(), adminApi.createApiKey, {
      body: { name: unique("key"), role: "viewer" },
    });
    return { params: { id: made.data.apiKey.id } };
  },
  createNode: async () => ({ body: { name: unique("node") } }),
  createNodes: async () => ({ body: { names: [unique("node"), unique("node")] } }),
  updateNode: async () => ({ params: { id: (await aNode()).id }, body: { labels: ["a"], paused: true } }),
  deleteNode: async () => ({ params: { id: (await aNode()).id } }),
  rotateNodeToken: async () => ({ params: { id: (await aNode()).id } }),
  createNodeCode: async () => ({ params: { id: (await aNode()).id } }),
  createEnrollmentCode: async () => ({ body: { name: unique("node") } }),
  createTarget: async () => ({
    body: {
      name: unique("target"),
      type: "s3",
      config: { endpoint: "https://s3.test", bucket: "bucket" },
      secrets: { accessKeyId: "planted-id", secretAccessKey: "a planted password" },
    },
  }),
  updateTarget: async () => ({ params: { id: (await aTarget()).id }, body: { quotaBytes: 5_000_000 } }),
  deleteTarget: async () => ({ params: { id: (await aTarget()).id } }),
  createTask: async () => ({
    body: {
      name: unique("task"),
      nodeId: (await aNode({ ours: true })).id,
      source: { type: "postgresql", user: "backup" },
      secrets: { password: "a planted password" },
      targetIds: [(await aTarget()).id],
    },
  }),
  updateTask: async () => ({
    params: { id: (await aTask(await aNode({ ours: true }))).id },
    body: { source: { type: "mysql" }, secrets: { password: "a planted password" } },
  }),
  deleteTask: async () => ({ params: { id: (await aTask(await aNode({ ours: true }))).id } }),
  runTask: async () => ({ params: { id: (await aTask(await aNode({ ours: true }))).id } }),
  cancelRecord: async () => ({ params: { id: (await aRun()).recordId } }),
  deleteRecord: async () => ({ params: { id: (await aBackup()).recordId } }),
  lockRecord: async () => ({ params: { id: (await aBackup()).recordId }, body: { locked: true } }),
  copyRecord: async () => {
    const { recordId } = await aBackup();
    const target = await call(await admin(), adminApi.createTarget, {
      body: {
        name: unique("target"),
        type: "s3",
        config: { endpoint: "https://s3.test", bucket: "bucket" },
        secrets: { accessKeyId: "planted-id", secretAccessKey: "a planted password" },
      },
    });
    return { params: { id: recordId }, body: { targetId: target.data.id } };
  },
  removeCopy: async () => {
    const { recordId } = await aBackup();
    const { id } = await aTarget();
    await env.DB.prepare(
      "insert into record_copies (record_id, target_id, target_name, status, updated_at) values (?, ?, 't', 'success', 1)",
    )
      .bind(recordId, id)
      .run();
    return { params: { id: recordId, targetId: id } };
  },
  restoreRecord: async () => ({
    params: { id: (await aBackup()).recordId },
    body: { destination: "/tmp/restored", conflict: "fail" },
  }),
  verifyRecord: async () => ({ params: { id: (await aBackup()).recordId }, body: { grade: 2 } }),
  cancelVerification: async () => {
    const { recordId } = await aBackup();
    const started = await call(await admin(), adminApi.verifyRecord, { params: { id: recordId } });
    return { params: { id: started.data.verifications[0]?.verificationId ?? 0 } };
  },
  cancelRestore: async () => {
    const { recordId } = await aBackup();
    const started = await call(await admin(), adminApi.restoreRecord, {
      params: { id: recordId },
      body: { destination: "/tmp/restored" },
    });
    return { params: { id: started.data.restoreId } };
  },
};

/** Calls that are no GET but change nothing that stays, or whose entry is tested with them: setup, signing in. */
const exempt = new Set(["setup", "login", "testTarget", "discoverDatabases", "previewSource"]);

const mutating = Object.entries<Endpoint>(adminApi).filter(
  ([name, e]) => e.method !== "GET" && !exempt.has(name),
);

type Entry = { actor: string; action: string; entity: string; entity_id: number | null };
const entriesAfter = async (id: number) =>
  (await env.DB.prepare("select * from audit_logs where id > ? order by id").bind(id).all<Entry>()).results;
const lastEntry = async () =>
  (await env.DB.prepare("select max(id) as id from audit_logs").first<{ id: number | null }>())?.id ?? 0;

describe("the audit log", () => {
  it.each(mutating)("tells of %s: who and what, without secrets", async (name, e) => {
    const prepare = changes[name as keyof typeof adminApi];
    if (!prepare) throw new Error(`there is no change for ${name} in the table above`);
    const { params = {}, body, as = await admin() } = await prepare();
    const caller = (await call(as, adminApi.me)).data.name;
    const before = await lastEntry();
    const answer = await call(as, e, { params, ...(body === undefined ? {} : { body }) });
    expect(answer, answer.message).toMatchObject({ status: 200 });
    const entries = await entriesAfter(before);
    expect(entries.length).toBeGreaterThan(0);
    for (const entry of entries) {
      expect(entry.actor).toBe(caller);
      expect(entry.action).toMatch(/^[a-z_]+\.[a-z_]+$/);
      expect(entry.entity).toMatch(/^[a-z_]+$/);
      expect(entry.entity_id).toEqual(expect.any(Number));
    }
    const text = JSON.stringify(entries);
    expect(text).not.toContain("planted");
    for (const secret of secretsIn(answer.data)) expect(text).not.toContain(secret);
  });

  it.each(mutating.filter(([, e]) => e.path.includes(":id")))(
    "tells nothing of %s when there was nothing to change",
    async (name, e) => {
      const { body, as = await admin() } = (await changes[name as keyof typeof adminApi]?.()) ?? {};
      const before = await lastEntry();
      const answer = await call(as, e, {
        params: { id: 4_242_424_242, targetId: 4_242_424_242 },
        ...(body === undefined ? {} : { body }),
      });
      expect(answer.status).toBe(404);
      expect(await entriesAfter(before)).toEqual([]);
    },
  );

  it("names the machine that used an enrolment code", async () => {
    const made = await call(await admin(), adminApi.createEnrollmentCode, { body: { name: unique("node") } });
    const before = await lastEntry();
    const joined = await call(fromNewAddress(), agentApi.enroll, { body: { code: made.data.code } });
    expect(joined.status).toBe(200);
    expect((await entriesAfter(before)).map((entry) => entry.entity)).toContain("node");
  });
});

/** Values that an answer shows this once: tokens, keys, codes. */
function secretsIn(data: unknown): string[] {
  return [...JSON.stringify(data ?? null).matchAll(/"(?:token|key|code)":"([^"]+)"/g)].map(
    (match) => match[1] ?? "",
  );
}
