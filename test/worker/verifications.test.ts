import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { adminApi, agentApi, type verification } from "../../protocol/index.ts";
import { expireCommands } from "../../worker/commands/expire.ts";
import { sweepForAMinute } from "../../worker/sweeps/sweep.ts";
import { counting } from "./counting.ts";
import { aNode, asRole, call, deps } from "./master.ts";
import { copyRow, count, recordRow, set, silence, targetRow, taskRow } from "./rows.ts";
import { idle } from "./runs.ts";

type Check = verification.Check;
const passed = (grade: verification.Grade, name = "size"): Check => ({
  grade,
  name,
  outcome: "passed",
  detail: "as it was stored",
});
const damaged = (grade: verification.Grade, detail: string): Check => ({
  grade,
  name: "sha256",
  outcome: "damaged",
  detail,
});
const findings = (...checks: Check[]) => ({
  checks,
  differences: [],
  differenceCount: 0,
  entries: 7,
  bytes: 5000,
});

/** A record of our agent that has ended well, with a copy in each of these targets. */
async function aRecord(types: string[] = ["vault"], record: Record<string, unknown> = {}) {
  const node = await aNode({ ours: true });
  const taskId = await taskRow(node.id);
  const recordId = await recordRow(taskId, node.id, {
    source: JSON.stringify({ type: "file", paths: ["/etc"] }),
    checksum: "a".repeat(64),
    ...record,
  });
  const targetIds = await Promise.all(types.map((type) => targetRow(type)));
  for (const targetId of targetIds) await copyRow(recordId, targetId);
  return { node, taskId, recordId, targetIds };
}

const verify = async (recordId: number, body: object = {}) =>
  call(await asRole("operator"), adminApi.verifyRecord, { params: { id: recordId }, body });
const read = async (id: number) =>
  (await call(await asRole("viewer"), adminApi.getVerification, { params: { id } })).data;
const readRecord = async (id: number) =>
  (await call(await asRole("viewer"), adminApi.getRecord, { params: { id } })).data;

type Made = Awaited<ReturnType<typeof aRecord>>;

/** A verification that its agent has claimed. */
async function claimed(made: Made, body: object = {}) {
  const started = await verify(made.recordId, body);
  expect(started.message).toBe("success");
  const commands = (await call(made.node.headers, agentApi.poll, { body: idle })).data.commands ?? [];
  const command = commands.find(({ type }) => type === "verify_record");
  const verificationId = command?.payload["verificationId"] as number;
  return { verificationId, commandId: command?.id ?? 0, leaseToken: command?.leaseToken };
}
const tell = (made: Made, id: number, body: object) =>
  call(made.node.headers, agentApi.updateVerification, { params: { id }, body });

/** Starts, claims and ends one with these findings. */
async function ended(made: Made, grade: number, ...checks: Check[]) {
  const one = await claimed(made, { grade });
  const answer = await tell(made, one.verificationId, { status: "success", report: findings(...checks) });
  expect(answer.message).toBe("success");
  await call(made.node.headers, agentApi.commandResult, {
    params: { id: one.commandId },
    body: { success: true, leaseToken: one.leaseToken },
  });
  return read(one.verificationId);
}

describe("starting a verification", () => {
  it("takes every copy that the node reaches, each with a command, in one batch with its audit entry", async () => {
    const made = await aRecord(["vault", "s3", "local_disk"]);
    const started = await verify(made.recordId, { grade: 2 });
    expect(started.data).toMatchObject({ nodeId: made.node.id, unreachable: [] });
    expect(started.data.verifications.map(({ targetId }) => targetId).toSorted()).toEqual(
      made.targetIds.toSorted(),
    );
    for (const { verificationId } of started.data.verifications) {
      const one = await read(verificationId);
      expect(one).toMatchObject({ status: "queued", grade: 2, reachedGrade: null, trigger: "manual" });
      expect(
        await count(
          "agent_commands where id = ? and verification_id = ? and type = 'verify_record' and lane = 'work'",
          one.commandId,
          verificationId,
        ),
      ).toBe(1);
    }
    expect(await count("audit_logs where action = 'record.verify' and entity_id = ?", made.recordId)).toBe(1);
  });

  it("takes the named copy, and on another node says which it cannot reach", async () => {
    const made = await aRecord(["vault", "local_disk"]);
    const [vault = 0, disk = 0] = made.targetIds;
    const one = await verify(made.recordId, { targetId: disk });
    expect(one.data.verifications.map(({ targetId }) => targetId)).toEqual([disk]);
    const other = await aNode({ ours: true });
    const there = await verify(made.recordId, { nodeId: other.id });
    expect(there.data).toMatchObject({ nodeId: other.id, verifications: [{ targetId: vault }] });
    expect(there.data.unreachable.map(({ targetId }) => targetId)).toEqual([disk]);
    const third = await aRecord(["local_disk"]);
    expect(await verify(third.recordId, { nodeId: other.id })).toMatchObject({
      status: 409,
      code: "RECORD_NOT_VERIFIABLE",
      message: expect.stringContaining("cannot reach it"),
    });
  });

  it("has a snapshot of restic's verified by its node", async () => {
    const made = await aRecord(["local_disk"], { pipeline: JSON.stringify({ engine: "restic" }) });
    expect((await verify(made.recordId)).data.verifications).toHaveLength(1);
  });

  it("refuses what cannot be verified, in words, and leaves nothing", async () => {
    const before = await count("verifications");
    const failed = await aRecord(["vault"], { status: "failed" });
    expect(await verify(failed.recordId)).toMatchObject({ code: "RECORD_NOT_VERIFIABLE" });
    const none = await aRecord([]);
    expect(await verify(none.recordId)).toMatchObject({ code: "RECORD_NOT_VERIFIABLE" });
    const sound = await aRecord();
    const go = await aNode();
    expect(await verify(sound.recordId, { nodeId: go.id })).toMatchObject({
      code: "NODE_CANNOT_RUN_TASK",
      message: expect.stringContaining("Go agent"),
    });
    expect(await verify(sound.recordId, { grade: 5 })).toMatchObject({ code: "INVALID_INPUT" });
    const answer = await call(await asRole("viewer"), adminApi.verifyRecord, {
      params: { id: sound.recordId },
    });
    expect(answer.code).toBe("FORBIDDEN");
    expect(await count("verifications")).toBe(before);
  });

  it("makes one of a copy at a time, also of ten clicks at the same instant", async () => {
    const made = await aRecord();
    const answers = await Promise.all(Array.from({ length: 10 }, () => verify(made.recordId)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.find(({ status }) => status !== 200)).toMatchObject({ status: 409, code: "RECORD_BUSY" });
    expect(await count("verifications where record_id = ?", made.recordId)).toBe(1);
    expect(await count("agent_commands where node_id = ?", made.node.id)).toBe(1);
  });
});

describe("the agent", () => {
  it("gets the spec only while it has the command in hand, and of its own verifications only", async () => {
    const made = await aRecord();
    const { verificationId, commandId, leaseToken } = await claimed(made, { grade: 3 });
    const spec = (headers: Record<string, string>) =>
      call(headers, agentApi.verificationSpec, { params: { id: verificationId } });
    expect(await spec(made.node.headers)).toMatchObject({
      status: 200,
      data: { grade: 3, recordId: made.recordId, checksum: "a".repeat(64), storage: { type: "vault" } },
    });
    const stranger = await aNode({ ours: true });
    expect(await spec(stranger.headers)).toMatchObject({ status: 401, code: "VERIFICATION_FORBIDDEN" });
    await call(made.node.headers, agentApi.commandResult, {
      params: { id: commandId },
      body: { success: false, leaseToken },
    });
    expect(await spec(made.node.headers)).toMatchObject({ status: 401, code: "VERIFICATION_FORBIDDEN" });
    expect(await read(verificationId)).toMatchObject({ status: "failed", reachedGrade: null });
  });

  it("reads the artifact from the vault, whole or a range", async () => {
    const made = await aRecord();
    const path = `BackupX/file/261123/records/${made.recordId}/a`;
    await env.VAULT.put(path, "0123456789");
    await env.DB.prepare("update record_copies set storage_path = ?, size_bytes = 10 where record_id = ?")
      .bind(path, made.recordId)
      .run();
    const { verificationId } = await claimed(made);
    const url = `https://master.test/api/agent/verifications/${verificationId}/artifact`;
    const { exports } = await import("cloudflare:workers");
    const part = await exports.default.fetch(url, {
      headers: { ...made.node.headers, Range: "bytes=2-4" },
    });
    expect([part.status, await part.text()]).toEqual([206, "234"]);
  });

  it("has its reports fenced by the lease, its log kept once, its progress shown", async () => {
    const made = await aRecord();
    const { verificationId, leaseToken } = await claimed(made);
    const log = [{ seq: 1, text: "begun\n" }];
    const progress = {
      phase: "verifying",
      sourceBytes: 1,
      entries: 1,
      artifactBytes: 1,
      totalSourceBytes: null,
      totalEntries: null,
      currentPath: null,
    };
    for (let time = 0; time < 2; time++) await tell(made, verificationId, { log, progress, leaseToken });
    expect(await read(verificationId)).toMatchObject({ status: "running", progress: { sourceBytes: 1 } });
    const lines = await call(await asRole("viewer"), adminApi.verificationLog, {
      params: { id: verificationId },
    });
    expect(lines.data.lines.map(({ text }) => text)).toEqual(["begun\n"]);
    const stale = await tell(made, verificationId, { status: "failed", leaseToken: "0".repeat(32) });
    expect(stale.code).toBe("AGENT_COMMAND_SUPERSEDED");
    await call(made.node.headers, agentApi.renewLease, {
      params: { id: (await read(verificationId)).commandId ?? 0 },
      body: { leaseToken, progress: { ...progress, sourceBytes: 9 } },
    });
    expect(await read(verificationId)).toMatchObject({ progress: { sourceBytes: 9 } });
  });
});

describe("a verdict", () => {
  it("is the highest grade all of whose checks passed, and the record shows it with time and node", async () => {
    const made = await aRecord();
    const one = await ended(made, 3, passed(1), passed(2), passed(3));
    expect(one).toMatchObject({ status: "success", reachedGrade: 3, damaged: false, errorMessage: "" });
    expect(await readRecord(made.recordId)).toMatchObject({
      verifiedGrade: 3,
      verifiedAt: one.finishedAt,
      verifiedNodeId: made.node.id,
      lastVerification: { id: one.id, status: "success" },
    });
    const task = await call(await asRole("viewer"), adminApi.getTask, { params: { id: made.taskId } });
    expect(task.data).toMatchObject({
      verifiedGrade: 3,
      verifiedAt: one.finishedAt,
      recent: { verified: 1 },
    });
  });

  it("is never rounded up: what was not looked at has not passed", async () => {
    const made = await aRecord();
    const unchecked: Check = {
      grade: 4,
      name: "restore",
      outcome: "not_checked",
      detail: "no room in the work directory",
    };
    expect(await ended(made, 4, passed(1), passed(2), passed(3), unchecked)).toMatchObject({
      status: "incomplete",
      reachedGrade: 3,
      errorMessage: "no room in the work directory",
    });
    // The agent says success and leaves out the third grade.
    expect(await ended(made, 4, passed(1), passed(2), passed(4))).toMatchObject({
      status: "incomplete",
      reachedGrade: 2,
    });
    expect(await ended(made, 2)).toMatchObject({ status: "incomplete", reachedGrade: null });
    expect(await readRecord(made.recordId)).toMatchObject({ verifiedGrade: 3 });
  });

  it("of damage marks the copy, tells people, and is visible beside an earlier success", async () => {
    const made = await aRecord(["vault", "s3"]);
    const [vault = 0, other = 0] = made.targetIds;
    await set("storage_targets", vault, { name: `vault ${vault}` });
    const first = await claimed(made, { grade: 2, targetId: vault });
    await tell(made, first.verificationId, { status: "success", report: findings(passed(1), passed(2)) });
    await call(made.node.headers, agentApi.commandResult, {
      params: { id: first.commandId },
      body: { success: true, leaseToken: first.leaseToken },
    });
    const second = await claimed(made, { grade: 2, targetId: vault });
    await tell(made, second.verificationId, {
      status: "success",
      report: findings(passed(1), damaged(2, "its SHA-256 is another")),
    });
    expect(await read(second.verificationId)).toMatchObject({
      status: "failed",
      damaged: true,
      reachedGrade: 1,
      errorMessage: "its SHA-256 is another",
    });
    const record = await readRecord(made.recordId);
    expect(record).toMatchObject({ verifiedGrade: 2, lastVerification: { status: "failed", damaged: true } });
    expect(record.copies.map(({ targetId, status }) => [targetId, status])).toEqual([
      [vault, "damaged"],
      [other, "success"],
    ]);
    expect(
      await count(
        "notifications where kind = 'copy_damaged' and record_id = ? and message like '%vault%SHA-256%'",
        made.recordId,
      ),
    ).toBe(1);
    // Restores go to the copy that is sound, and refuse the other one.
    const restore = (body: object) =>
      deps.db && call({ ...operator }, adminApi.restoreRecord, { params: { id: made.recordId }, body });
    const operator = await asRole("operator");
    const restored = await restore({ destination: "/tmp/x" });
    expect(
      await count("restore_records where id = ? and target_id = ?", restored.data.restoreId, other),
    ).toBe(1);
    expect(await restore({ destination: "/tmp/x", targetId: vault })).toMatchObject({
      status: 409,
      code: "RECORD_NOT_RESTORABLE",
    });
  });

  it("of a restore that differs leaves the copy to restores, but fails and is told", async () => {
    const made = await aRecord();
    const one = await ended(made, 4, passed(1), passed(2), passed(3), damaged(4, "/a: its mode is 644"));
    expect(one).toMatchObject({ status: "failed", damaged: true, reachedGrade: 3 });
    expect(await readRecord(made.recordId)).toMatchObject({
      verifiedGrade: null,
      copies: [{ status: "success" }],
    });
    expect(await count("notifications where kind = 'restore_differs' and record_id = ?", made.recordId)).toBe(
      1,
    );
  });

  it("that finds a copy whole again takes it back", async () => {
    const made = await aRecord();
    await ended(made, 1, damaged(1, "it is missing"));
    expect((await readRecord(made.recordId)).copies[0]?.status).toBe("damaged");
    await ended(made, 1, passed(1));
    expect((await readRecord(made.recordId)).copies[0]?.status).toBe("damaged");
    await ended(made, 2, passed(1), passed(2));
    expect((await readRecord(made.recordId)).copies[0]).toMatchObject({ status: "success", error: "" });
  });

  it("is final: a later report changes nothing, one after a time-out still counts", async () => {
    const made = await aRecord();
    const one = await claimed(made, { grade: 1 });
    await silence(one.commandId);
    await expireCommands(deps);
    expect(await read(one.verificationId)).toMatchObject({
      status: "failed",
      errorMessage: expect.stringContaining("given up"),
    });
    await tell(made, one.verificationId, { status: "success", report: findings(passed(1)) });
    expect(await read(one.verificationId)).toMatchObject({ status: "success", reachedGrade: 1 });
    await tell(made, one.verificationId, { status: "success", report: findings(damaged(1, "gone")) });
    expect(await read(one.verificationId)).toMatchObject({ status: "success" });
    expect((await readRecord(made.recordId)).copies[0]?.status).toBe("success");
  });

  it("without findings is none", async () => {
    const made = await aRecord();
    const one = await claimed(made, { grade: 1 });
    expect(await tell(made, one.verificationId, { status: "success" })).toMatchObject({
      code: "INVALID_INPUT",
    });
    await call(made.node.headers, agentApi.commandResult, {
      params: { id: one.commandId },
      body: { success: true, leaseToken: one.leaseToken },
    });
    expect(await read(one.verificationId)).toMatchObject({
      status: "failed",
      errorMessage: expect.stringContaining("never reached the master"),
    });
  });
});

describe("while a verification is open", () => {
  it("its record is not deleted; cancelled in the queue, it never runs and the record is free", async () => {
    const made = await aRecord();
    const started = await verify(made.recordId);
    const operator = await asRole("operator");
    const remove = () => call(operator, adminApi.deleteRecord, { params: { id: made.recordId } });
    expect(await remove()).toMatchObject({ code: "RECORD_BUSY" });
    const id = started.data.verifications[0]?.verificationId ?? 0;
    await call(operator, adminApi.cancelVerification, { params: { id } });
    expect(await read(id)).toMatchObject({ status: "cancelled" });
    expect((await call(made.node.headers, agentApi.poll, { body: idle })).data.commands).toEqual([]);
    expect(await remove()).toMatchObject({ status: 200 });
    expect(await count("verifications where record_id = ?", made.recordId)).toBe(0);
  });

  it("a damaged copy is removed with its record like any other", async () => {
    const made = await aRecord(["s3"]);
    await ended(made, 1, damaged(1, "it is missing"));
    const removed = await call(await asRole("operator"), adminApi.deleteRecord, {
      params: { id: made.recordId },
    });
    expect(removed.data).toMatchObject({ pendingCopies: 1 });
  });
});

describe("by schedule", () => {
  const HOUR = 3_600_000;
  /** A minute that is over already, so that nothing is waited for. */
  const sweep = () => sweepForAMinute(deps, deps.now() - 60_000);
  const schedule = { grade: 2, schedule: "0 * * * *", nodeId: null };
  async function due(made: Made, changes: Record<string, unknown> = {}) {
    await set("backup_tasks", made.taskId, {
      verification: JSON.stringify(schedule),
      next_verify_at: deps.now() - 1000,
      ...changes,
    });
  }
  const ofTask = async (taskId: number) =>
    (
      await env.DB.prepare(
        "select record_id as recordId, trigger, status, grade, node_id as nodeId from verifications where task_id = ?",
      )
        .bind(taskId)
        .all()
    ).results;
  const nextOf = async (taskId: number) =>
    (
      await env.DB.prepare("select next_verify_at as at from backup_tasks where id = ?")
        .bind(taskId)
        .first<{ at: number }>()
    )?.at ?? 0;

  it("is saved with a task, in its time zone, and refused when it is none", async () => {
    const made = await aRecord();
    const operator = await asRole("operator");
    const update = (verificationOf: unknown) =>
      call(operator, adminApi.updateTask, {
        params: { id: made.taskId },
        body: { verification: verificationOf, targetIds: made.targetIds },
      });
    const saved = await update(schedule);
    expect(saved.data).toMatchObject({ verification: schedule, verifiedAt: null });
    expect(saved.data.nextVerifyAt).toBeGreaterThan(deps.now());
    expect(await update({ ...schedule, schedule: "nonsense" })).toMatchObject({ code: "SCHEDULE_INVALID" });
    expect(await update({ ...schedule, nodeId: 4_242_424_242 })).toMatchObject({ code: "NODE_NOT_FOUND" });
    expect((await update(null)).data).toMatchObject({ verification: null, nextVerifyAt: null });
  });

  it("verifies the newest good record once, however many sweeps see it", async () => {
    const made = await aRecord();
    await recordRow(made.taskId, made.node.id, { status: "failed" });
    await due(made);
    await Promise.all([sweep(), sweep(), sweep()]);
    expect(await ofTask(made.taskId)).toEqual([
      { recordId: made.recordId, trigger: "schedule", status: "queued", grade: 2, nodeId: made.node.id },
    ]);
    expect(await nextOf(made.taskId)).toBeGreaterThan(deps.now());
  });

  it("makes one catch-up of all turns that were missed", async () => {
    const made = await aRecord();
    await due(made, { next_verify_at: deps.now() - 50 * HOUR });
    await sweep();
    await sweep();
    expect(await ofTask(made.taskId)).toMatchObject([{ trigger: "catch_up" }]);
    expect(await nextOf(made.taskId)).toBeGreaterThan(deps.now());
  });

  it("never starts a second one of a task while one is going on, and says so", async () => {
    const made = await aRecord();
    await due(made);
    await sweep();
    const newer = await recordRow(made.taskId, made.node.id, { source: "{}" });
    await copyRow(newer, made.targetIds[0] ?? 0);
    await due(made);
    await sweep();
    expect(await ofTask(made.taskId)).toHaveLength(1);
    expect(await nextOf(made.taskId)).toBeGreaterThan(deps.now());
    expect(
      await count("notifications where kind = 'verification_missed' and message like '%still going%'"),
    ).toBe(1);
  });

  it("lets a turn pass when there is nothing to verify, and says why when its node cannot", async () => {
    const empty = await aRecord();
    await set("backup_records", empty.recordId, { status: "failed" });
    await due(empty);
    const gone = await aRecord();
    await set("backup_records", gone.recordId, { node_id: 4_242_424_242 });
    await due(gone);
    const before = await count("notifications where kind = 'verification_missed'");
    await sweep();
    expect(await nextOf(empty.taskId)).toBeGreaterThan(deps.now());
    expect(await nextOf(gone.taskId)).toBeGreaterThan(deps.now());
    expect(await count("notifications where kind = 'verification_missed'")).toBe(before + 1);
    expect(await ofTask(gone.taskId)).toEqual([]);
  });

  it("costs no row while nothing is due", async () => {
    const { deps: counted, count: spent } = counting(deps);
    await sweepForAMinute(counted, deps.now() - 60_000);
    expect(spent.rowsWritten).toBe(0);
  });

  it("tasks that were never verified can be listed", async () => {
    const [never, once] = [await aRecord(), await aRecord()];
    await ended(once, 1, passed(1));
    const listed = await call(await asRole("viewer"), adminApi.listTasks, {
      query: { verified: "never", limit: 200 },
    });
    const ids = listed.data.items.map(({ id }) => id);
    expect(ids).toContain(never.taskId);
    expect(ids).not.toContain(once.taskId);
  });
});
