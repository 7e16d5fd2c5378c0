import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { describe, expect, it } from "vitest";
import { adminApi, agentApi } from "../../protocol/index.ts";
import { aNode, asRole, call } from "./master.ts";
import { count, set, targetRow, unique } from "./rows.ts";
import { goodReport, idle } from "./runs.ts";

const newRecipient = async () => identityToRecipient(await generateX25519Identity());

async function anAbleNode(engines: Record<string, string> = { age: "1" }) {
  const node = await aNode({ ours: true });
  const capabilities = { sources: ["file", "sqlite"], storages: ["vault", "s3", "local_disk"], engines };
  await set("nodes", node.id, { capabilities: JSON.stringify(capabilities) });
  return node;
}

const create = async (nodeId: number, encryption: unknown, compression = "zstd") =>
  call(await asRole("operator"), adminApi.createTask, {
    body: {
      name: unique("task"),
      nodeId,
      source: { type: "file", paths: ["/etc"] },
      pipeline: { compression, encryption },
      targetIds: [await targetRow("vault")],
    },
  });

async function aTaskOf(nodeId: number, encryption: unknown) {
  const { data, message } = await create(nodeId, encryption);
  expect(message).toBe("success");
  return data;
}

const run = async (taskId: number) =>
  call(await asRole("operator"), adminApi.runTask, { params: { id: taskId } });
const record = async (id: number) =>
  (await call(await asRole("viewer"), adminApi.getRecord, { params: { id } })).data;

/** An encrypted backup that has succeeded. */
async function anEncryptedRecord() {
  const node = await anAbleNode();
  const task = await aTaskOf(node.id, { recipients: [await newRecipient()] });
  const { recordId } = (await run(task.id)).data;
  const [command] = (await call(node.headers, agentApi.poll, { body: idle })).data.commands ?? [];
  const { leaseToken, attempt } = command as { leaseToken: string; attempt: number };
  const report = goodReport({ recordId, task: { id: task.id, targetId: task.targetIds[0] as number } });
  await call(node.headers, agentApi.updateRecord, {
    params: { id: recordId },
    body: { ...report, leaseToken },
  });
  await call(node.headers, agentApi.commandResult, {
    params: { id: command?.id as number },
    body: { success: true, errorMessage: "", leaseToken, attempt },
  });
  expect((await record(recordId)).status).toBe("success");
  return { node, recordId };
}

const restore = async (recordId: number, body: Record<string, unknown>) =>
  call(await asRole("operator"), adminApi.restoreRecord, {
    params: { id: recordId },
    body: { destination: "/tmp/back", ...body },
  });

describe("a task that encrypts", () => {
  it("keeps its recipients, in order", async () => {
    const node = await anAbleNode();
    const recipients = [await newRecipient(), await newRecipient()];
    const task = await aTaskOf(node.id, { recipients });
    expect(task.pipeline.encryption).toEqual({ recipients });
    expect((await aTaskOf(node.id, null)).pipeline.encryption).toBeNull();
  });

  it("takes no key that has a typing error, is doubled, is none, or is missing", async () => {
    const node = await anAbleNode();
    const good = await newRecipient();
    const wrong = [
      [],
      [good, good],
      [`${good.slice(0, -1)}${good.endsWith("q") ? "p" : "q"}`],
      [good.slice(0, 30) + (good[30] === "q" ? "p" : "q") + good.slice(31)],
      [good.slice(0, -1)],
      [good.toUpperCase()],
      ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA"],
      Array.from({ length: 17 }, () => good),
    ];
    for (const recipients of wrong) {
      const answer = await create(node.id, { recipients });
      expect(answer, JSON.stringify(recipients)).toMatchObject({ status: 400, code: "INVALID_INPUT" });
      expect(answer.message).toContain("recipients");
    }
    expect(await count("backup_tasks where node_id = ?", node.id)).toBe(0);
  });

  it("refuses a private key in words, and neither repeats nor keeps it", async () => {
    const node = await anAbleNode();
    const identity = await generateX25519Identity();
    const answer = await create(node.id, { recipients: [identity] });
    expect(answer).toMatchObject({ status: 400, code: "INVALID_INPUT" });
    expect(answer.message).toContain("private identity");
    expect(JSON.stringify(answer)).not.toContain(identity.slice(20));
    expect(await count("audit_logs where after like '%' || ? || '%'", identity.slice(20, 40))).toBe(0);
  });

  it("is refused when it is saved for a Go agent or for an agent that knows no age, with a remedy", async () => {
    const recipients = [await newRecipient()];
    const go = await aNode();
    const refused = await create(go.id, { recipients }, "gzip");
    expect(refused).toMatchObject({ status: 409, code: "NODE_CANNOT_RUN_TASK" });
    expect(refused.message).toMatch(/Go agent.*age keys: turn encryption off, or install backupx-agent/);
    const old = await anAbleNode({});
    const alsoRefused = await create(old.id, { recipients });
    expect(alsoRefused).toMatchObject({ status: 409, code: "NODE_CANNOT_RUN_TASK" });
    expect(alsoRefused.message).toMatch(/age format.*update it/);
    expect((await create(old.id, null)).status).toBe(200);
  });

  it("is refused when it is run by a node that has become unable, and no record is made", async () => {
    const node = await anAbleNode();
    const task = await aTaskOf(node.id, { recipients: [await newRecipient()] });
    await set("nodes", node.id, { protocol_version: null });
    expect(await run(task.id)).toMatchObject({ status: 409, code: "NODE_CANNOT_RUN_TASK" });
    expect(await count("backup_records where task_id = ?", task.id)).toBe(0);
  });

  it("is not handed to an agent that turns out to be unable after the run was queued", async () => {
    const node = await aNode({ ours: true });
    const task = await aTaskOf(node.id, { recipients: [await newRecipient()] });
    await run(task.id);
    await set("nodes", node.id, { protocol_version: null });
    await call(node.headers, agentApi.poll);
    const spec = await call(node.headers, agentApi.taskSpec, { params: { id: task.id } });
    expect(spec).toMatchObject({ status: 409, code: "NODE_CANNOT_RUN_TASK" });
    expect(spec.message).toContain("is to be encrypted");
  });

  it("tells its agent so in both shapes, and its record is marked", async () => {
    const node = await anAbleNode();
    const recipients = [await newRecipient()];
    const task = await aTaskOf(node.id, { recipients });
    const { recordId } = (await run(task.id)).data;
    await call(node.headers, agentApi.poll, { body: idle });
    const spec = await call(node.headers, agentApi.taskSpec, { params: { id: task.id } });
    expect(spec.data).toMatchObject({ encrypt: true, pipeline: { encryption: { recipients } } });
    expect((await record(recordId)).encrypted).toBe(true);
  });

  it("runs as it was when it was started, whatever it is changed to meanwhile", async () => {
    const node = await anAbleNode();
    const task = await aTaskOf(node.id, { recipients: [await newRecipient()] });
    const { recordId } = (await run(task.id)).data;
    const changed = await call(await asRole("operator"), adminApi.updateTask, {
      params: { id: task.id },
      body: { pipeline: { compression: "none" } },
    });
    expect(changed.data.pipeline.encryption).toBeNull();
    await call(node.headers, agentApi.poll, { body: idle });
    const spec = await call(node.headers, agentApi.taskSpec, { params: { id: task.id } });
    expect(spec.data).toMatchObject({ encrypt: true, compression: "zstd" });
    expect(await record(recordId)).toMatchObject({ encrypted: true, compression: "zstd" });
  });
});

describe("restoring an encrypted record", () => {
  it("tells the agent that it is encrypted, and which file of the node has the key", async () => {
    const { node, recordId } = await anEncryptedRecord();
    const started = await restore(recordId, { identityFile: "/root/recovery.txt" });
    expect(started.message).toBe("success");
    const id = started.data.restoreId;
    await call(node.headers, agentApi.poll, { body: idle });
    const spec = await call(node.headers, agentApi.restoreSpec, { params: { id } });
    expect(spec.data).toMatchObject({ encrypt: true, identityFile: "/root/recovery.txt" });
    const shown = await call(await asRole("viewer"), adminApi.getRestore, { params: { id } });
    expect(shown.data.identityFile).toBe("/root/recovery.txt");
  });

  it("leaves the key to the agent's own configuration when none is named", async () => {
    const { node, recordId } = await anEncryptedRecord();
    const { data } = await restore(recordId, {});
    await call(node.headers, agentApi.poll, { body: idle });
    const spec = await call(node.headers, agentApi.restoreSpec, { params: { id: data.restoreId } });
    expect(spec.data).toMatchObject({ encrypt: true, identityFile: null });
  });

  it("takes no identity file that is not an absolute path, least of all the key itself", async () => {
    const { recordId } = await anEncryptedRecord();
    for (const identityFile of ["key.txt", "", await generateX25519Identity()]) {
      const answer = await restore(recordId, { identityFile });
      expect(answer).toMatchObject({ status: 400, code: "INVALID_INPUT" });
      expect(answer.message).not.toContain("AGE-SECRET-KEY");
    }
    expect(await count("restore_records where record_id = ?", recordId)).toBe(0);
  });

  it("is refused on a node whose agent knows no age, in words", async () => {
    const { recordId } = await anEncryptedRecord();
    for (const node of [await anAbleNode({}), await aNode()]) {
      const answer = await restore(recordId, { nodeId: node.id });
      expect(answer).toMatchObject({ status: 409, code: "NODE_CANNOT_RUN_TASK" });
      expect(answer.message).toMatch(/this backup is encrypted: .*age format/);
    }
    expect(await count("restore_records where record_id = ?", recordId)).toBe(0);
  });

  it("says of a record without encryption that it is none, and needs no able agent for it", async () => {
    const node = await anAbleNode({});
    const task = await aTaskOf(node.id, null);
    const { recordId } = (await run(task.id)).data;
    expect((await record(recordId)).encrypted).toBe(false);
  });
});
