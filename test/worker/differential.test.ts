import { env, exports } from "cloudflare:workers";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { describe, expect, it } from "vitest";
import { adminApi, agentApi } from "../../protocol/index.ts";
import { authenticateAgent } from "../../worker/nodes/authenticate.ts";
import { startRun } from "../../worker/records/start-run.ts";
import { updateRecord } from "../../worker/records/update.ts";
import { system } from "../../worker/users/actor.ts";
import { aNode, asRole, call, deps, ORIGIN } from "./master.ts";
import { count, set, targetRow, taskRow, unique } from "./rows.ts";
import { A_HASH, idle } from "./runs.ts";

const INDEX = { offsetBytes: 1000, sizeBytes: 234, sha256: "b".repeat(64) };
const DAY_MS = 86_400_000;

type Node = Awaited<ReturnType<typeof aNode>>;
type Task = { id: number; targetIds: number[] };

async function create(node: { id: number }, pipeline: object = {}, more: object = {}) {
  return call(await asRole("operator"), adminApi.createTask, {
    body: {
      name: unique("task"),
      nodeId: node.id,
      source: { type: "file", paths: ["/srv"] },
      pipeline: { differential: { fullEveryDays: 7 }, ...pipeline },
      targetIds: [await targetRow("local_disk"), await targetRow("vault")],
      ...more,
    },
  });
}

async function aTask(node: Node, pipeline: object = {}): Promise<Task> {
  const { data, message } = await create(node, pipeline);
  expect(message).toBe("success");
  return data;
}

const change = async (task: Task, body: object) => {
  const answer = await call(await asRole("operator"), adminApi.updateTask, { params: { id: task.id }, body });
  expect(answer.message).toBe("success");
};
const record = async (id: number) =>
  (await call(await asRole("viewer"), adminApi.getRecord, { params: { id } })).data;
const remove = async (id: number) =>
  call(await asRole("operator"), adminApi.deleteRecord, { params: { id } });

/** Starts the task and claims it. */
async function start(node: Node, task: Task) {
  const { data } = await call(await asRole("operator"), adminApi.runTask, { params: { id: task.id } });
  const command = (await call(node.headers, agentApi.poll, { body: idle })).data.commands?.[0];
  if (!command) throw new Error("nothing was claimed");
  return { recordId: data.recordId, command, task };
}
type Run = Awaited<ReturnType<typeof start>>;

const spec = (node: Node, { task, recordId }: Run) =>
  call(node.headers, agentApi.taskSpec, { params: { id: task.id }, query: { recordId } });

const success = ({ recordId, task, command }: Run, extra: object = {}, failed: number[] = []) => ({
  status: "success",
  leaseToken: command.leaseToken,
  fileName: `srv-r${recordId}.tar.zst`,
  fileSize: 1234,
  checksum: A_HASH,
  archiveIndex: INDEX,
  storageUploadResults: task.targetIds.map((id) => ({
    storageTargetId: id,
    status: failed.includes(id) ? "failed" : "success",
    storagePath: `BackupX/file/261123/records/${recordId}/srv-r${recordId}.tar.zst`,
    fileSize: 1234,
  })),
  ...extra,
});

async function end(node: Node, run: Run, report: object) {
  const answer = await call(node.headers, agentApi.updateRecord, {
    params: { id: run.recordId },
    body: report,
  });
  expect(answer.message).toBe("success");
  const { id, leaseToken, attempt } = run.command;
  await call(node.headers, agentApi.commandResult, {
    params: { id },
    body: { success: true, errorMessage: "", leaseToken, attempt },
  });
}

/** A backup that succeeds, of the kind that the master asked for. */
async function backUp(node: Node, task: Task, extra: object = {}, failed: number[] = []) {
  const run = await start(node, task);
  const { kind } = await record(run.recordId);
  await end(node, run, success(run, { kind, ...extra }, failed));
  return record(run.recordId);
}

describe("what a differential task asks for", () => {
  it("is a full backup first, then what differs from that one, each time from the same", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    const base = await backUp(node, task);
    expect(base).toMatchObject({ status: "success", kind: "full", baseRecordId: null });
    for (let i = 0; i < 2; i++) {
      expect(await backUp(node, task)).toMatchObject({ kind: "differential", baseRecordId: base.id });
    }
  });

  it("tells the agent its base, and where that lies", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    const first = await start(node, task);
    expect((await spec(node, first)).data.base).toBeNull();
    await end(node, first, success(first));
    const second = await start(node, task);
    const storagePath = `BackupX/file/261123/records/${first.recordId}/srv-r${first.recordId}.tar.zst`;
    expect((await spec(node, second)).data.base).toEqual({
      recordId: first.recordId,
      fileName: `srv-r${first.recordId}.tar.zst`,
      sizeBytes: 1234,
      checksum: A_HASH,
      archiveIndex: INDEX,
      copies: [...task.targetIds].sort((a, b) => a - b).map((targetId) => ({ targetId, storagePath })),
    });
  });

  it("stays full without the setting", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node, { differential: null });
    await backUp(node, task);
    expect((await backUp(node, task)).kind).toBe("full");
  });

  it.each<[string, (node: Node, task: Task, baseId: number) => Promise<unknown>]>([
    ["the source", (_, task) => change(task, { source: { type: "file", paths: ["/srv", "/etc"] } })],
    [
      "the excludes",
      (_, task) => change(task, { source: { type: "file", paths: ["/srv"], excludes: ["*.log"] } }),
    ],
    [
      "the encryption",
      async (_, task) => {
        const recipients = [await identityToRecipient(await generateX25519Identity())];
        await change(task, { pipeline: { differential: { fullEveryDays: 7 }, encryption: { recipients } } });
      },
    ],
    [
      "the targets",
      async (_, task) => change(task, { targetIds: [...task.targetIds, await targetRow("s3")] }),
    ],
    ["the number of targets", (_, task) => change(task, { targetIds: task.targetIds.slice(0, 1) })],
    [
      "a copy's state",
      (_, task, baseId) =>
        env.DB.prepare("update record_copies set status = 'failed' where record_id = ? and target_id = ?")
          .bind(baseId, task.targetIds[1])
          .run(),
    ],
    [
      "the record: it has no index",
      (_, _task, baseId) => set("backup_records", baseId, { archive_index: null }),
    ],
  ])("is full again when something else is there: %s", async (_name, alter) => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    const base = await backUp(node, task);
    await alter(node, task, base.id);
    const run = await start(node, task);
    expect(await record(run.recordId)).toMatchObject({ kind: "full", baseRecordId: null });
  });

  it("is full while a target has no copy of the base", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    await backUp(node, task, {}, [task.targetIds[0] as number]);
    expect(await backUp(node, task)).toMatchObject({ kind: "full" });
    expect(await backUp(node, task)).toMatchObject({ kind: "differential" });
  });

  it("is full when another node runs it", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    await backUp(node, task);
    const other = await aNode({ ours: true });
    await change(task, { nodeId: other.id });
    expect((await record((await start(other, task)).recordId)).kind).toBe("full");
  });

  it("goes on from the base after a run that failed", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    const base = await backUp(node, task);
    const run = await start(node, task);
    await end(node, run, { status: "failed", errorMessage: "the disk is on fire" });
    expect(await backUp(node, task)).toMatchObject({ kind: "differential", baseRecordId: base.id });
  });

  it("is full again after so many days, an hour early if need be", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    const base = await backUp(node, task);
    const kindAt = async (ms: number) => {
      const later = { ...deps, now: () => base.createdAt + ms };
      const started = await startRun(later, system, { taskId: task.id, trigger: "manual" });
      const { kind } = await record(started?.recordId as number);
      await set("backup_records", started?.recordId as number, { status: "cancelled" });
      return kind;
    };
    expect(await kindAt(7 * DAY_MS - 2 * 3_600_000)).toBe("differential");
    expect(await kindAt(7 * DAY_MS - 60_000)).toBe("full");
  });

  it("looks at a bounded number of records, however many have failed since", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    await backUp(node, task);
    await env.DB.prepare(
      `insert into backup_records (task_id, task_name, node_id, status, trigger, source_type, compression, source,
         target_ids, created_at)
       with recursive n(i) as (select 1 union all select i + 1 from n where i < 300)
       select ?, 't', ?, 'failed', 'schedule', 'file', 'zstd', '{}', '[]', 1 from n`,
    )
      .bind(task.id, node.id)
      .run();
    expect((await record((await start(node, task)).recordId)).kind).toBe("full");
  });
});

describe("what the agent makes of it", () => {
  it("is a full backup, and a base, when it could not compare", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    await backUp(node, task);
    const whole = await backUp(node, task, { kind: "full" });
    expect(whole).toMatchObject({ kind: "full", baseRecordId: null });
    expect(await backUp(node, task)).toMatchObject({ kind: "differential", baseRecordId: whole.id });
  });

  it("is taken for full when it does not say: an older agent compares nothing", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    await backUp(node, task);
    expect(await backUp(node, task, { kind: undefined })).toMatchObject({ kind: "full", baseRecordId: null });
  });

  it("is never differential without a base", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    expect(await backUp(node, task, { kind: "differential" })).toMatchObject({
      kind: "full",
      baseRecordId: null,
    });
  });

  it("may read the base in the vault while the command is in hand, and no longer", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    const base = await backUp(node, task);
    await env.VAULT.put(`BackupX/file/261123/records/${base.id}/srv-r${base.id}.tar.zst`, "0123456789");
    const run = await start(node, task);
    const get = (headers: Record<string, string>) =>
      exports.default.fetch(`${ORIGIN}/api/agent/records/${run.recordId}/base`, {
        headers: { ...headers, Range: "bytes=2-4" },
      });
    const answer = await get(node.headers);
    expect([answer.status, await answer.text()]).toEqual([206, "234"]);
    expect((await get((await aNode({ ours: true })).headers)).status).toBe(401);
    await end(node, run, success(run, { kind: "differential" }));
    expect((await get(node.headers)).status).toBe(401);
  });
});

describe("a base", () => {
  it("is not removed while differential backups need it, and says how many", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    const base = await backUp(node, task);
    const [one, two] = [await backUp(node, task), await backUp(node, task)];
    const refused = await remove(base.id);
    expect(refused).toMatchObject({ status: 409, code: "RECORD_HAS_DIFFERENTIALS" });
    expect(refused.message).toContain("2 differential backups");
    expect((await record(base.id)).deletedAt).toBeNull();
    await remove(one.id);
    expect((await remove(base.id)).message).toContain("a differential backup builds");
    await remove(two.id);
    expect((await remove(base.id)).status).toBe(200);
  });

  it("is not removed while one that builds on it runs, but once that has failed", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    const base = await backUp(node, task);
    const run = await start(node, task);
    expect((await remove(base.id)).code).toBe("RECORD_HAS_DIFFERENTIALS");
    await end(node, run, { status: "failed", errorMessage: "no" });
    expect((await remove(base.id)).status).toBe(200);
  });

  it("that is gone makes no late success of what was taken for failed", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    const base = await backUp(node, task);
    const run = await start(node, task);
    await set("agent_commands", run.command.id, { status: "timeout", completed_at: 1 });
    await set("backup_records", run.recordId, { status: "failed" });
    expect((await remove(base.id)).status).toBe(200);
    const held = await authenticateAgent(deps, node.token);
    const report = agentApi.updateRecord.body.parse(success(run, { kind: "differential" }));
    await updateRecord(deps, held, run.recordId, report);
    expect(await record(run.recordId)).toMatchObject({ status: "failed", copies: [] });
  });

  it("is not the next base any more when it is being removed", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    const base = await backUp(node, task);
    await remove(base.id);
    expect(await count("record_copies where record_id = ? and status = 'deleting'", base.id)).toBe(1);
    expect((await record((await start(node, task)).recordId)).kind).toBe("full");
  });
});

describe("the restore of a differential backup", () => {
  const restore = async (recordId: number, body: object = {}) =>
    call(await asRole("operator"), adminApi.restoreRecord, {
      params: { id: recordId },
      body: { destination: "/tmp/back", selectedPaths: null, conflict: "fail", ...body },
    });
  const restoreSpec = async (node: Node, restoreId: number) => {
    await call(node.headers, agentApi.poll, { body: idle });
    return call(node.headers, agentApi.restoreSpec, { params: { id: restoreId } });
  };

  it("brings both, from the same target if that has both", async () => {
    const node = await aNode({ ours: true });
    await set("nodes", node.id, { max_concurrent: 2 });
    const task = await aTask(node);
    const base = await backUp(node, task);
    const differential = await backUp(node, task);
    for (const targetId of task.targetIds) {
      const { data } = await restore(differential.id, { targetId });
      const { base: given, storage } = (await restoreSpec(node, data.restoreId)).data;
      expect(storage.id).toBe(targetId);
      expect(given).toMatchObject({
        recordId: base.id,
        storage: { id: targetId },
        storagePath: `BackupX/file/261123/records/${base.id}/srv-r${base.id}.tar.zst`,
        fileName: `srv-r${base.id}.tar.zst`,
        checksum: A_HASH,
        fileSize: 1234,
      });
    }
  });

  it("of a full one has no base", async () => {
    const node = await aNode({ ours: true });
    const base = await backUp(node, await aTask(node));
    const { data } = await restore(base.id);
    expect((await restoreSpec(node, data.restoreId)).data.base).toBeNull();
  });

  it("is refused when no copy of the base is left that the node reaches", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    const base = await backUp(node, task);
    const differential = await backUp(node, task);
    await env.DB.prepare("update record_copies set status = 'failed' where record_id = ?")
      .bind(base.id)
      .run();
    expect(await restore(differential.id)).toMatchObject({
      code: "RECORD_NOT_RESTORABLE",
      message: `record ${base.id} has no sound copy`,
    });
  });
});

describe("a task whose backups cannot be differential", () => {
  it("is refused in words: another source, another compression, a Go agent", async () => {
    const node = await aNode({ ours: true });
    expect(await create(node, { compression: "gzip" })).toMatchObject({
      code: "INVALID_INPUT",
      message: expect.stringContaining("pipeline.differential"),
    });
    const sqlite = { source: { type: "sqlite", paths: ["/a.db"] } };
    expect((await create(node, {}, sqlite)).code).toBe("INVALID_INPUT");
    expect((await create(node, { differential: { fullEveryDays: 0 } })).code).toBe("INVALID_INPUT");
    expect(await create(await aNode())).toMatchObject({
      code: "NODE_CANNOT_RUN_TASK",
      message: expect.stringContaining("full backups only"),
    });
  });

  it("and one from before there were any runs as it did", async () => {
    const node = await aNode({ ours: true });
    const id = await taskRow(node.id);
    const run = await start(node, { id, targetIds: [] });
    expect((await record(run.recordId)).kind).toBe("full");
  });
});
