import { env, exports } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { adminApi, agentApi, doorbellWords, fillPath } from "../../protocol/index.ts";
import { expireCommands } from "../../worker/commands/expire.ts";
import { finishRemovals } from "../../worker/records/finish-removals.ts";
import { removeRecord } from "../../worker/records/remove.ts";
import { toHex } from "../../worker/secrets/hash.ts";
import { sweepForAMinute } from "../../worker/sweeps/sweep.ts";
import { system } from "../../worker/users/actor.ts";
import { aNode, asRole, call, deps, ORIGIN } from "./master.ts";
import { count, set, silence, unique } from "./rows.ts";
import { A_HASH, aClaimedRun, goodReport, idle } from "./runs.ts";
import { openSocket } from "./sockets.ts";

type Node = Awaited<ReturnType<typeof aNode>>;
type Run = Awaited<ReturnType<typeof aClaimedRun>>;

const record = async (id: number) =>
  (await call(await asRole("viewer"), adminApi.getRecord, { params: { id } })).data;
const report = (node: Node, id: number, body: object) =>
  call(node.headers, agentApi.updateCopy, { params: { id }, body });
const result = (node: Node, id: number, body: object) =>
  call(node.headers, agentApi.commandResult, { params: { id }, body });
const poll = async (node: Node) =>
  (await call(node.headers, agentApi.poll, { body: idle })).data.commands ?? [];
const usedBytes = async (id: number) =>
  (await call(await asRole("viewer"), adminApi.getTarget, { params: { id } })).data.usedBytes;

async function anS3(options: { quotaBytes?: number; name?: string } = {}): Promise<number> {
  const { data, message } = await call(await asRole("admin"), adminApi.createTarget, {
    body: {
      name: options.name ?? unique("s3"),
      type: "s3",
      config: { endpoint: "https://s3.test", bucket: "bucket", prefix: unique("p") },
      secrets: { accessKeyId: "id", secretAccessKey: "planted secret" },
      quotaBytes: options.quotaBytes ?? null,
    },
  });
  if (!data) throw new Error(message);
  return data.id;
}
const aDisk = async (path = "/srv/backup") =>
  (
    await call(await asRole("admin"), adminApi.createTarget, {
      body: { name: unique("disk"), type: "local_disk", config: { path } },
    })
  ).data.id;

/** A good backup of 1,234 bytes in the vault, and nothing in hand any more. */
async function aBackup(node: Node): Promise<Run & { key: string }> {
  const run = await aClaimedRun(node);
  const good = goodReport(run);
  await call(node.headers, agentApi.updateRecord, { params: { id: run.recordId }, body: good });
  await result(node, run.commandId, { success: true, leaseToken: run.leaseToken });
  return { ...run, key: good.storageUploadResults[0]?.storagePath ?? "" };
}
const copyTo = (run: Run, targetId: number, more: object = {}) =>
  call(run.operator, adminApi.copyRecord, { params: { id: run.recordId }, body: { targetId, ...more } });
const dropCopy = async (
  recordId: number,
  targetId: number,
  forget = "false",
  role: "operator" | "admin" = "operator",
) => call(await asRole(role), adminApi.removeCopy, { params: { id: recordId, targetId }, query: { forget } });
const remove = async (id: number, forget = "false") =>
  call(await asRole("admin"), adminApi.deleteRecord, { params: { id }, query: { forget } });

/** A copy to a new S3 target that its node has in hand. */
async function aCopyInHand(options: { ours?: Node } = {}) {
  const node = options.ours ?? (await aNode({ ours: true }));
  const run = await aBackup(node);
  const targetId = await anS3();
  const started = await copyTo(run, targetId);
  const command = (await poll(node)).find(({ id }) => id === started.data.commandId);
  if (!command?.leaseToken) throw new Error(`nothing was claimed: ${started.message}`);
  return { node, run, targetId, commandId: command.id, leaseToken: command.leaseToken, command };
}
const stored = { status: "success", sizeBytes: 1234, checksum: A_HASH };

describe("a further copy", () => {
  it("is made by the record's node, and becomes good with the record's size and hash only", async () => {
    const copy = await aCopyInHand();
    const { node, run, targetId, commandId, leaseToken } = copy;
    expect(copy.command).toMatchObject({ type: "copy_record", payload: { recordId: run.recordId } });
    expect(JSON.stringify(copy.command.payload)).not.toContain("planted");
    expect((await record(run.recordId)).copies).toMatchObject([
      { targetId: run.task.targetId, status: "success" },
      { targetId, status: "copying", commandId, sizeBytes: 0 },
    ]);
    const spec = await call(node.headers, agentApi.copySpec, { params: { id: commandId } });
    expect(spec.data).toMatchObject({
      sizeBytes: 1234,
      sha256: A_HASH,
      source: { type: "vault" },
      sourceKey: run.key,
      target: { type: "s3", config: { secretAccessKey: "planted secret" }, quotaRemainingBytes: null },
      targetKey: expect.stringMatching(new RegExp(`^BackupX/file/\\d{6}/records/${run.recordId}/`)),
    });
    const progress = {
      phase: "uploading",
      sourceBytes: 5,
      entries: 0,
      artifactBytes: 5,
      totalSourceBytes: 1234,
      totalEntries: null,
      currentPath: null,
    };
    await report(node, commandId, { status: "running", progress, log: [{ seq: 1, text: "copying\n" }] });
    expect((await record(run.recordId)).copies[1]).toMatchObject({ progress: { sourceBytes: 5 } });
    await report(node, commandId, { ...stored, leaseToken, log: [{ seq: 2, text: "copied\n" }] });
    await report(node, commandId, { ...stored, leaseToken, log: [{ seq: 2, text: "copied\n" }] });
    await result(node, commandId, { success: true, leaseToken });
    expect((await record(run.recordId)).copies[1]).toMatchObject({
      status: "success",
      sizeBytes: 1234,
      checksum: A_HASH,
      storagePath: spec.data.targetKey,
      progress: null,
    });
    expect(await usedBytes(targetId), "counted once").toBe(1234);
    const log = await call(run.operator, adminApi.recordLog, { params: { id: run.recordId } });
    expect(log.data.lines.map(({ text }) => text)).toEqual(["copying\n", "copied\n"]);
  });

  it("never becomes good with another hash or size, whatever the agent says", async () => {
    for (const wrong of [{ checksum: "b".repeat(64) }, { sizeBytes: 1233 }]) {
      const { node, run, targetId, commandId, leaseToken } = await aCopyInHand();
      await report(node, commandId, { ...stored, ...wrong, leaseToken });
      await result(node, commandId, { success: true, leaseToken });
      expect((await record(run.recordId)).copies[1]).toMatchObject({ status: "failed" });
      expect(await usedBytes(targetId)).toBe(0);
    }
  });

  it("is read by its own node alone, and only while the command is in hand", async () => {
    const { node, run, commandId, leaseToken } = await aCopyInHand();
    const stranger = await aNode({ ours: true });
    const spec = (who: Node) => call(who.headers, agentApi.copySpec, { params: { id: commandId } });
    expect(await spec(stranger)).toMatchObject({ status: 401, code: "AGENT_COMMAND_FORBIDDEN" });
    expect(await report(stranger, commandId, stored)).toMatchObject({ code: "AGENT_COMMAND_FORBIDDEN" });
    await report(node, commandId, { status: "failed", errorMessage: "no route", leaseToken });
    await result(node, commandId, { success: false, errorMessage: "no route", leaseToken });
    expect(await spec(node)).toMatchObject({ status: 401, code: "AGENT_COMMAND_FORBIDDEN" });
    const { copies } = await record(run.recordId);
    expect(copies[1]).toMatchObject({ status: "failed", error: "no route", storagePath: "" });
  });

  it("is begun anew after it failed, and a second click meanwhile is refused", async () => {
    const { node, run, targetId, commandId, leaseToken } = await aCopyInHand();
    expect(await copyTo(run, targetId)).toMatchObject({ status: 409, code: "COPY_EXISTS" });
    await result(node, commandId, { success: false, errorMessage: "interrupted", leaseToken });
    expect((await record(run.recordId)).copies[1]).toMatchObject({ status: "failed", error: "interrupted" });
    const again = await copyTo(run, targetId);
    expect(again.status).toBe(200);
    const late = await report(node, commandId, { ...stored, leaseToken });
    expect(late.status, "the old command has nothing to say any more").toBe(200);
    expect((await record(run.recordId)).copies[1]).toMatchObject({
      status: "copying",
      commandId: again.data.commandId,
    });
  });

  it("fails when its agent falls silent, and tells the truth when it comes late", async () => {
    const { node, run, targetId, commandId, leaseToken } = await aCopyInHand();
    await silence(commandId);
    await expireCommands(deps);
    expect((await record(run.recordId)).copies[1]).toMatchObject({
      status: "failed",
      error: expect.stringContaining("10 minutes"),
    });
    await report(node, commandId, { ...stored, leaseToken });
    await result(node, commandId, { success: true, leaseToken });
    expect((await record(run.recordId)).copies[1]).toMatchObject({ status: "success", error: "" });
    expect(await usedBytes(targetId)).toBe(1234);
  });

  it("is handed out again when its answer was lost; the older attempt is refused", async () => {
    const { node, commandId, leaseToken } = await aCopyInHand();
    await set("agent_commands", commandId, { dispatched_at: 0 });
    const second = (await poll(node)).find(({ id }) => id === commandId);
    expect(second).toMatchObject({ attempt: 2 });
    expect(await report(node, commandId, { ...stored, leaseToken })).toMatchObject({
      status: 409,
      code: "AGENT_COMMAND_SUPERSEDED",
    });
  });

  it("carries its progress with its lease", async () => {
    const { node, run, commandId, leaseToken } = await aCopyInHand();
    const progress = {
      phase: "uploading" as const,
      sourceBytes: 9,
      entries: 0,
      artifactBytes: 7,
      totalSourceBytes: 10,
      totalEntries: null,
      currentPath: null,
    };
    await call(node.headers, agentApi.renewLease, {
      params: { id: commandId },
      body: { leaseToken, progress },
    });
    expect((await record(run.recordId)).copies[1]?.progress).toMatchObject({ artifactBytes: 7 });
    expect((await record(run.recordId)).progress).toBeNull();
  });

  it("is stopped at once while it is queued, and by its agent once that has it", async () => {
    const node = await aNode({ ours: true });
    const run = await aBackup(node);
    const targetId = await anS3();
    await copyTo(run, targetId);
    expect((await dropCopy(run.recordId, targetId)).status).toBe(200);
    expect((await record(run.recordId)).copies[1]).toMatchObject({
      status: "failed",
      error: expect.stringMatching(/^cancelled by/),
    });
    expect(await poll(node)).toEqual([]);
    const running = await aCopyInHand({ ours: node });
    await dropCopy(running.run.recordId, running.targetId);
    const renewed = await call(node.headers, agentApi.renewLease, {
      params: { id: running.commandId },
      body: { leaseToken: running.leaseToken },
    });
    expect(renewed.data.orders).toEqual([{ type: "cancel", commandId: running.commandId }]);
  });

  it("ends with its node", async () => {
    const node = await aNode({ ours: true });
    const { run } = await aCopyInHand({ ours: node });
    await env.DB.prepare("delete from backup_tasks where node_id = ?").bind(node.id).run();
    const gone = await call(await asRole("admin"), adminApi.deleteNode, { params: { id: node.id } });
    expect(gone.status, gone.message).toBe(200);
    expect((await record(run.recordId)).copies[1]).toMatchObject({
      status: "failed",
      error: "its node was deleted",
    });
  });

  it("keeps its target from being removed while it is made", async () => {
    const { targetId } = await aCopyInHand();
    const answer = await call(await asRole("admin"), adminApi.deleteTarget, { params: { id: targetId } });
    expect(answer).toMatchObject({ status: 409, code: "STORAGE_TARGET_IN_USE" });
  });

  it("replaces a damaged one, which is counted once, and stays what it is until then", async () => {
    const node = await aNode({ ours: true });
    const { run, targetId, commandId, leaseToken } = await aCopyInHand({ ours: node });
    await report(node, commandId, { ...stored, leaseToken });
    await result(node, commandId, { success: true, leaseToken });
    const damage = () =>
      env.DB.prepare("update record_copies set status = 'damaged' where record_id = ? and target_id = ?")
        .bind(run.recordId, targetId)
        .run();
    const again = async (body: object) => {
      await damage();
      const { data } = await copyTo(run, targetId);
      const command = (await poll(node)).find(({ id }) => id === data.commandId);
      expect((await record(run.recordId)).copies[1]).toMatchObject({ status: "copying", sizeBytes: 1234 });
      await report(node, data.commandId, { ...body, leaseToken: command?.leaseToken });
      await result(node, data.commandId, { success: true, leaseToken: command?.leaseToken });
      return (await record(run.recordId)).copies[1];
    };
    const failed = await again({ status: "failed", errorMessage: "no route" });
    expect(failed).toMatchObject({ status: "damaged", error: "no route" });
    expect(failed?.storagePath).not.toBe("");
    expect(await again(stored)).toMatchObject({ status: "success" });
    expect(await usedBytes(targetId)).toBe(1234);
  });

  it("makes one copy of ten clicks at the same instant", async () => {
    const node = await aNode({ ours: true });
    const run = await aBackup(node);
    const targetId = await anS3();
    const answers = await Promise.all(Array.from({ length: 10 }, () => copyTo(run, targetId)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(await count("agent_commands where type = 'copy_record' and record_id = ?", run.recordId)).toBe(1);
  });
});

describe("a copy that cannot be", () => {
  it.each([
    ["of no record", async (_r: Run) => ({ id: 999_999 }), 404, "BACKUP_RECORD_NOT_FOUND"],
    ["to no target", async (_r: Run) => ({ targetId: 999_999 }), 404, "STORAGE_TARGET_NOT_FOUND"],
    ["to where it is", async (r: Run) => ({ targetId: r.task.targetId }), 409, "COPY_EXISTS"],
    [
      "to another name of the vault",
      async (_r: Run) => ({
        targetId: (
          await call(await asRole("admin"), adminApi.createTarget, {
            body: { name: unique("v"), type: "vault" },
          })
        ).data.id,
      }),
      409,
      "COPY_EXISTS",
    ],
    [
      "from where it is not",
      async (_r: Run) => ({ fromTargetId: await anS3() }),
      409,
      "RECORD_NOT_RESTORABLE",
    ],
    ["by no node", async (_r: Run) => ({ nodeId: 999_999 }), 404, "NODE_NOT_FOUND"],
    ["by a Go agent", async (_r: Run) => ({ nodeId: (await aNode()).id }), 409, "NODE_CANNOT_RUN_TASK"],
    [
      "to another node's disk",
      async (_r: Run) => ({ targetId: await aDisk(), nodeId: (await aNode({ ours: true })).id }),
      409,
      "RECORD_NOT_COPYABLE",
    ],
    [
      "beyond a quota",
      async (_r: Run) => ({ targetId: await anS3({ quotaBytes: 1233 }) }),
      507,
      "STORAGE_QUOTA_EXCEEDED",
    ],
  ])("%s is refused, and leaves nothing", async (_what, make, status, code) => {
    const run = await aBackup(await aNode({ ours: true }));
    const { id = run.recordId, ...asked } = { targetId: await anS3(), ...(await make(run)) } as {
      id?: number;
      targetId: number;
    };
    const answer = await call(run.operator, adminApi.copyRecord, { params: { id }, body: asked });
    expect(answer).toMatchObject({ status, code });
    expect((await record(run.recordId)).copies).toHaveLength(1);
  });

  it("is one by an agent without a driver for both ends, or of a record that is no single object", async () => {
    const node = await aNode({ ours: true });
    const run = await aBackup(node);
    await set("nodes", node.id, {
      capabilities: JSON.stringify({ sources: ["file"], storages: ["vault"], engines: {} }),
    });
    expect(await copyTo(run, await anS3())).toMatchObject({ code: "NODE_CANNOT_RUN_TASK" });
    await set("nodes", node.id, { capabilities: null });
    await set("backup_records", run.recordId, { pipeline: JSON.stringify({ engine: "restic" }) });
    expect(await copyTo(run, await anS3())).toMatchObject({ code: "RECORD_NOT_COPYABLE" });
    await set("backup_records", run.recordId, { pipeline: "{}", status: "failed" });
    expect(await copyTo(run, await anS3())).toMatchObject({ code: "RECORD_NOT_COPYABLE" });
  });

  it("and one that is allowed, of a differential without its base, says so", async () => {
    const node = await aNode({ ours: true });
    const [base, run] = [await aBackup(node), await aBackup(node)];
    await set("backup_records", run.recordId, { kind: "differential", base_record_id: base.recordId });
    const answer = await copyTo(run, await anS3());
    expect(answer.data.warning).toContain(`record ${base.recordId}`);
    expect((await copyTo(base, await anS3())).data.warning).toBeNull();
  });
});

describe("the vault as an end of a copy", () => {
  const sha256 = async (bytes: Uint8Array<ArrayBuffer>) =>
    toHex(await crypto.subtle.digest("SHA-256", bytes));

  it("is read by the node that copies, in ranges too", async () => {
    const { node, run, commandId } = await aCopyInHand();
    await env.VAULT.put(run.key, "0123456789");
    const path = `${ORIGIN}${fillPath(agentApi.copyArtifact.path, { id: commandId })}`;
    const get = (headers: Record<string, string>) => exports.default.fetch(path, { headers });
    expect(await (await get(node.headers)).text()).toBe("0123456789");
    expect(await (await get({ ...node.headers, Range: "bytes=2-4" })).text()).toBe("234");
    const stranger = await aNode({ ours: true });
    expect((await get(stranger.headers)).status).toBe(401);
  });

  it("is written by the node that copies, under the record's key and no other, while it copies", async () => {
    const node = await aNode({ ours: true });
    const run = await aBackup(node);
    const s3 = await anS3();
    await env.DB.prepare("update record_copies set target_id = ? where record_id = ?")
      .bind(s3, run.recordId)
      .run();
    const vaultId = run.task.targetId;
    const other = await aNode({ ours: true });
    const started = await copyTo(run, vaultId, { nodeId: other.id });
    const [command] = await poll(other);
    const { data: spec } = await call(other.headers, agentApi.copySpec, { params: { id: command?.id ?? 0 } });
    const begin = (who: Node, key: string) =>
      call(who.headers, agentApi.beginUpload, {
        params: { id: run.recordId, targetId: vaultId },
        body: { key },
      });
    expect(await begin(other, `${spec.targetKey}x`)).toMatchObject({ status: 401 });
    expect(await begin(node, spec.targetKey)).toMatchObject({ status: 401 });
    const { data: upload } = await begin(other, spec.targetKey);
    const bytes = new TextEncoder().encode("the artifact") as Uint8Array<ArrayBuffer>;
    const params = { id: run.recordId, targetId: vaultId, uploadId: upload.uploadId };
    const part = await exports.default.fetch(
      `${ORIGIN}${fillPath(agentApi.uploadPart.path, { ...params, number: 1 })}?key=${encodeURIComponent(spec.targetKey)}`,
      { method: "PUT", headers: { ...other.headers, "X-BackupX-SHA256": await sha256(bytes) }, body: bytes },
    );
    const { data } = (await part.json()) as { data: { etag: string } };
    const done = await call(other.headers, agentApi.completeUpload, {
      params,
      body: {
        key: spec.targetKey,
        parts: [{ number: 1, etag: data.etag }],
        sizeBytes: bytes.length,
        sha256: A_HASH,
      },
    });
    expect(done.status, done.message).toBe(200);
    expect(await (await env.VAULT.get(spec.targetKey))?.text()).toBe("the artifact");
    await report(other, started.data.commandId, stored);
    await result(other, started.data.commandId, { success: true, leaseToken: command?.leaseToken });
    expect(await begin(other, spec.targetKey), "not after it has ended").toMatchObject({ status: 401 });
  });

  it("keeps no unfinished upload of a copy that failed", async () => {
    const node = await aNode({ ours: true });
    const run = await aBackup(node);
    await env.DB.prepare("update record_copies set target_id = ? where record_id = ?")
      .bind(await anS3(), run.recordId)
      .run();
    const started = await copyTo(run, run.task.targetId);
    const [command] = await poll(node);
    const { data: spec } = await call(node.headers, agentApi.copySpec, { params: { id: command?.id ?? 0 } });
    await call(node.headers, agentApi.beginUpload, {
      params: { id: run.recordId, targetId: run.task.targetId },
      body: { key: spec.targetKey },
    });
    await result(node, started.data.commandId, { success: false, leaseToken: command?.leaseToken });
    expect(await count("vault_uploads where record_id = ?", run.recordId)).toBe(0);
  });
});

describe("a target that a backup could not write to", () => {
  async function aPartlyFailedRun(node: Node) {
    const run = await aClaimedRun(node);
    const lost = await anS3();
    await set("backup_records", run.recordId, { target_ids: JSON.stringify([run.task.targetId, lost]) });
    const good = goodReport(run).storageUploadResults;
    const failed = { storageTargetId: lost, status: "failed", error: "the line was cut" };
    await call(node.headers, agentApi.updateRecord, {
      params: { id: run.recordId },
      body: goodReport(run, { storageUploadResults: [...good, failed] }),
    });
    await result(node, run.commandId, {
      success: true,
      ...(run.leaseToken && { leaseToken: run.leaseToken }),
    });
    return { run, lost };
  }

  it("is tried once more from the good copy, a while later, and shows its failure until then", async () => {
    const node = await aNode({ ours: true });
    const { run, lost } = await aPartlyFailedRun(node);
    expect((await record(run.recordId)).copies[1]).toMatchObject({
      status: "failed",
      error: "the line was cut",
    });
    expect(await poll(node), "not at once").toEqual([]);
    await env.DB.prepare("update agent_commands set not_before = 0 where completed_at is null").run();
    const [command] = await poll(node);
    expect(command).toMatchObject({ type: "copy_record" });
    const commandId = command?.id ?? 0;
    const { data: spec } = await call(node.headers, agentApi.copySpec, { params: { id: commandId } });
    expect(spec).toMatchObject({ source: { type: "vault" }, target: { id: lost } });
    await report(node, commandId, { status: "running" });
    expect((await record(run.recordId)).copies[1]).toMatchObject({ status: "copying", error: "" });
    await report(node, commandId, { status: "failed", errorMessage: "cut again" });
    await result(node, commandId, {
      success: false,
      errorMessage: "cut again",
      leaseToken: command?.leaseToken,
    });
    expect((await record(run.recordId)).copies[1]).toMatchObject({ status: "failed", error: "cut again" });
    expect(await count("agent_commands where record_id = ? and completed_at is null", run.recordId)).toBe(0);
  });

  it("is told to an agent with a socket when its time has come, once", async () => {
    const node = await aNode({ ours: true });
    await aPartlyFailedRun(node);
    const socket = await openSocket(node.headers);
    const minutesLater = (minutes: number) => {
      const at = deps.now() + minutes * 60_000;
      return sweepForAMinute({ ...deps, now: () => at, sleep: async () => {} }, at);
    };
    await minutesLater(5);
    expect(socket.heard).toEqual([]);
    await minutesLater(16);
    await vi.waitFor(() => expect(socket.heard).toEqual([doorbellWords.ring]));
    await minutesLater(17);
    expect(socket.heard).toHaveLength(1);
    expect(await poll(node)).toMatchObject([{ type: "copy_record" }]);
  });

  it("is not tried again once the record is removed", async () => {
    const node = await aNode({ ours: true });
    const { run } = await aPartlyFailedRun(node);
    expect((await remove(run.recordId)).data).toMatchObject({ pendingCopies: 0 });
    expect(await count("agent_commands where record_id = ? and completed_at is null", run.recordId)).toBe(0);
  });
});

describe("removing", () => {
  /** A record with good copies in the vault and in an S3 target. */
  async function twoCopies() {
    const copy = await aCopyInHand();
    const { node, commandId, leaseToken } = copy;
    await report(node, commandId, { ...stored, leaseToken });
    await result(node, commandId, { success: true, leaseToken });
    await env.VAULT.put(copy.run.key, "bytes");
    return copy;
  }

  it("takes one copy away, on the node and then from the record, but never the last good one", async () => {
    const { node, run, targetId } = await twoCopies();
    expect((await dropCopy(run.recordId, targetId)).status).toBe(200);
    expect((await record(run.recordId)).copies[1]).toMatchObject({
      status: "deleting",
      error: expect.stringContaining(node.name),
    });
    expect(await dropCopy(run.recordId, run.task.targetId)).toMatchObject({ status: 409, code: "LAST_COPY" });
    const [command] = await poll(node);
    expect(command).toMatchObject({ type: "delete_storage_object", payload: { targetType: "s3" } });
    await result(node, command?.id ?? 0, { success: true, leaseToken: command?.leaseToken });
    expect((await record(run.recordId)).copies.map((c) => c.targetId)).toEqual([run.task.targetId]);
    expect(await usedBytes(targetId)).toBe(0);
    expect(await dropCopy(run.recordId, targetId)).toMatchObject({ status: 404, code: "COPY_NOT_FOUND" });
  });

  it("takes the vault's copy away at once", async () => {
    const { run } = await twoCopies();
    expect((await dropCopy(run.recordId, run.task.targetId)).status).toBe(200);
    expect(await env.VAULT.head(run.key)).toBeNull();
    expect((await record(run.recordId)).copies).toMatchObject([{ status: "success" }]);
  });

  it("leaves one of two copies however many are removed at the same instant", async () => {
    const { run, targetId } = await twoCopies();
    await Promise.all([dropCopy(run.recordId, targetId), dropCopy(run.recordId, run.task.targetId)]);
    expect((await record(run.recordId)).copies.filter(({ status }) => status === "success")).toHaveLength(1);
  });

  it("is refused for what is locked, until it is unlocked", async () => {
    const { run, targetId } = await twoCopies();
    const lock = (locked: boolean) =>
      call(run.operator, adminApi.lockRecord, { params: { id: run.recordId }, body: { locked } });
    expect((await lock(true)).data.locked).toBe(true);
    const locked = { status: 409, code: "RECORD_LOCKED" };
    expect(await remove(run.recordId)).toMatchObject(locked);
    expect(await dropCopy(run.recordId, targetId)).toMatchObject(locked);
    expect((await record(run.recordId)).copies.map(({ status }) => status)).toEqual(["success", "success"]);
    await lock(false);
    expect((await remove(run.recordId)).status).toBe(200);
  });

  it("is refused for what is being copied, restored or verified", async () => {
    const { run, targetId } = await aCopyInHand();
    expect(await remove(run.recordId)).toMatchObject({ code: "RECORD_BUSY" });
    expect(await dropCopy(run.recordId, run.task.targetId)).toMatchObject({ code: "LAST_COPY" });
    const other = await twoCopies();
    await env.DB.prepare(
      `insert into verifications (task_id, record_id, target_id, node_id, status, trigger, grade, created_at)
       values (1, ?, ?, 1, 'running', 'manual', 2, 1)`,
    )
      .bind(other.run.recordId, other.targetId)
      .run();
    expect(await remove(other.run.recordId)).toMatchObject({ code: "RECORD_BUSY" });
    expect(await dropCopy(other.run.recordId, other.targetId)).toMatchObject({ code: "RECORD_BUSY" });
    expect(targetId).toBeGreaterThan(0);
  });

  it("is refused for a full backup that a differential needs, with their number", async () => {
    const node = await aNode({ ours: true });
    const [base, run] = [await aBackup(node), await aBackup(node)];
    await set("backup_records", run.recordId, { kind: "differential", base_record_id: base.recordId });
    const answer = await remove(base.recordId);
    expect(answer).toMatchObject({ status: 409, code: "RECORD_HAS_DIFFERENTIALS" });
    expect(answer.message).toContain("a differential backup builds");
    expect((await remove(run.recordId)).status).toBe(200);
    expect((await remove(base.recordId)).status).toBe(200);
  });

  it("asked for twice asks the node once; a failed one is tried again at once", async () => {
    const { node, run } = await twoCopies();
    await remove(run.recordId);
    expect((await remove(run.recordId)).data.pendingCopies).toBe(1);
    const commands = await poll(node);
    expect(commands).toHaveLength(1);
    const [command] = commands;
    await result(node, command?.id ?? 0, {
      success: false,
      errorMessage: "no route",
      leaseToken: command?.leaseToken,
    });
    expect((await record(run.recordId)).copies).toMatchObject([
      { status: "delete_failed", error: "no route" },
    ]);
    expect(await poll(node)).toEqual([]);
    await remove(run.recordId);
    expect(await poll(node)).toHaveLength(1);
  });

  it("gives up what cannot be reached when an administrator says so, and the audit log keeps where it lies", async () => {
    const { node, run, targetId } = await twoCopies();
    const path = (await record(run.recordId)).copies[1]?.storagePath;
    await remove(run.recordId);
    const operator = await call(await asRole("operator"), adminApi.deleteRecord, {
      params: { id: run.recordId },
      query: { forget: "true" },
    });
    expect(operator).toMatchObject({ status: 403, code: "FORBIDDEN" });
    expect((await remove(run.recordId, "true")).data).toMatchObject({ pendingCopies: 0 });
    expect((await call(run.operator, adminApi.getRecord, { params: { id: run.recordId } })).status).toBe(404);
    expect(await usedBytes(targetId)).toBe(0);
    expect(await poll(node), "nothing waits for the target any more").toEqual([]);
    const entry = await env.DB.prepare(
      "select before from audit_logs where action = 'record.forget_copy' and entity_id = ?",
    )
      .bind(run.recordId)
      .first<{ before: string }>();
    expect(JSON.parse(entry?.before ?? "{}")).toMatchObject({ targetId, storagePath: path });
  });

  it("forgets nothing that was not asked to be removed before", async () => {
    const { run, targetId } = await twoCopies();
    expect((await remove(run.recordId, "true")).data).toMatchObject({ pendingCopies: 1 });
    expect((await record(run.recordId)).copies).toMatchObject([{ targetId, status: "deleting" }]);
  });

  it("also asks for what an interrupted copy may have left at its target", async () => {
    const { node, run, commandId, leaseToken } = await aCopyInHand();
    await result(node, commandId, { success: false, errorMessage: "interrupted", leaseToken });
    expect((await remove(run.recordId)).data.pendingCopies).toBe(1);
    const [command] = await poll(node);
    expect(command).toMatchObject({ type: "delete_storage_object", payload: { targetType: "s3" } });
  });

  it("is finished by a sweep when the vault refused it in the middle", async () => {
    const { run } = await aCopyInHand().then(async (copy) => {
      await result(copy.node, copy.commandId, { success: false, leaseToken: copy.leaseToken });
      await env.DB.prepare("delete from record_copies where status = 'failed'").run();
      return copy;
    });
    await env.VAULT.put(run.key, "bytes");
    const vault = new Proxy(deps.vault, {
      get: (real, name) =>
        name === "delete" ? () => Promise.reject(new Error("R2 is away")) : Reflect.get(real, name),
    });
    const refused = removeRecord({ ...deps, vault }, system, run.recordId);
    await expect(refused).rejects.toThrow("R2 is away");
    expect((await record(run.recordId)).deletedAt).not.toBeNull();
    await finishRemovals(deps);
    expect((await record(run.recordId)).copies, "not at once: somebody may be at it").toHaveLength(1);
    await finishRemovals({ ...deps, now: () => Date.now() + 3_600_000 });
    expect(await env.VAULT.head(run.key)).toBeNull();
    expect((await call(run.operator, adminApi.getRecord, { params: { id: run.recordId } })).status).toBe(404);
  });

  it("removes what a copy stored after its record was gone", async () => {
    const { node, run, commandId, leaseToken } = await aCopyInHand();
    await env.DB.batch([
      env.DB.prepare("delete from record_copies where record_id = ?").bind(run.recordId),
      env.DB.prepare("delete from backup_records where id = ?").bind(run.recordId),
    ]);
    expect((await report(node, commandId, { ...stored, leaseToken })).status).toBe(200);
    await result(node, commandId, { success: true, leaseToken });
    expect(await poll(node)).toMatchObject([{ type: "delete_storage_object" }]);
  });
});
