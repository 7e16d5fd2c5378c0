import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { adminApi, agentApi } from "../../protocol/index.ts";
import { answerOnce } from "./answer-once.ts";
import { aNode, asRole, call } from "./master.ts";
import { set } from "./rows.ts";
import { A_HASH, aClaimedRun, goodReport, idle } from "./runs.ts";

const INDEX = { offsetBytes: 1000, sizeBytes: 234, sha256: "b".repeat(64) };
const ENTRY = {
  name: "etc",
  path: "/etc",
  type: "directory" as const,
  size: 0,
  mtime: 1_700_000_000_000,
  mode: 0o755,
  linkPath: null,
};

async function aRecord(extra: object = {}) {
  const node = await aNode({ ours: true });
  const run = await aClaimedRun(node);
  const body = goodReport(run, { leaseToken: run.leaseToken, archiveIndex: INDEX, ...extra });
  const answer = await call(node.headers, agentApi.updateRecord, { params: { id: run.recordId }, body });
  expect(answer.message).toBe("success");
  await call(node.headers, agentApi.commandResult, {
    params: { id: run.commandId },
    body: { success: true, errorMessage: "", leaseToken: run.leaseToken, attempt: 1 },
  });
  return { node, id: run.recordId, operator: run.operator };
}

describe("the contents of a record", () => {
  it("are asked of an agent, which is told where the archive and its index are", async () => {
    const { node, id, operator } = await aRecord();
    const query = { path: "/", limit: 50, after: "a" };
    const [answer, command] = await Promise.all([
      call(operator, adminApi.recordContents, { params: { id }, query }),
      answerOnce(node.headers, { entries: [ENTRY], next: "etc" }),
    ]);
    expect(answer.data).toEqual({ entries: [ENTRY], next: "etc" });
    expect(command.type).toBe("inspect_archive");
    expect(command.payload).toMatchObject({
      path: "/",
      after: "a",
      name: null,
      limit: 50,
      archiveIndex: INDEX,
      sizeBytes: 1234,
      checksum: A_HASH,
      encrypted: false,
      targetType: expect.any(String),
    });
    expect(JSON.stringify(await env.DB.prepare("select payload from agent_commands").all())).not.toContain(
      "targetConfig",
    );
  });

  it("are nothing for viewers, of no record, of an unfinished one, or of another kind of source", async () => {
    const { id, operator } = await aRecord();
    const viewer = await asRole("viewer");
    expect((await call(viewer, adminApi.recordContents, { params: { id } })).status).toBe(403);
    const of = async (record: number) =>
      (await call(operator, adminApi.recordContents, { params: { id: record } })).code;
    expect(await of(999_999)).toBe("BACKUP_RECORD_NOT_FOUND");
    await set("backup_records", id, { status: "failed" });
    expect(await of(id)).toBe("RECORD_NOT_RESTORABLE");
    await set("backup_records", id, { source: JSON.stringify({ type: "sqlite", paths: ["/a"] }) });
    expect(await of(id)).toBe("INVALID_INPUT");
  });

  it("give the vault's bytes only to the node that has the command in hand", async () => {
    const { node, id, operator } = await aRecord();
    const asked = call(operator, adminApi.recordContents, { params: { id } });
    const command = await claimed(node.headers);
    const other = await aNode({ ours: true });
    const get = async (headers: Record<string, string>) =>
      (await call(headers, agentApi.inspectedArtifact, { params: { id: command.id } })).code;
    expect(await get(other.headers)).toBe("AGENT_COMMAND_FORBIDDEN");
    expect(await get(node.headers)).toBe("ARTIFACT_NOT_FOUND");
    const { attempt, leaseToken } = command;
    const body = { success: false, errorMessage: "no key", attempt, leaseToken };
    await call(node.headers, agentApi.commandResult, { params: { id: command.id }, body });
    const answer = await asked;
    expect({ code: answer.code, message: answer.message }).toEqual({
      code: "NODE_COMMAND_FAILED",
      message: expect.stringContaining("no key"),
    });
    expect(await get(node.headers)).toBe("AGENT_COMMAND_FORBIDDEN");
  });
});

async function claimed(headers: Record<string, string>) {
  for (;;) {
    const { data } = await call(headers, agentApi.poll, { body: { running: [], max: 0 } });
    const [command] = data.commands ?? [];
    if (command) return command;
  }
}

describe("a dry run of a restore", () => {
  it("is told to the agent with the place of the index, and what it found can be read", async () => {
    const { node, id, operator } = await aRecord();
    const started = await call(operator, adminApi.restoreRecord, { params: { id }, body: { dryRun: true } });
    const restoreId = started.data.restoreId;
    const [command] = (await call(node.headers, agentApi.poll, { body: idle })).data.commands ?? [];
    const spec = await call(node.headers, agentApi.restoreSpec, { params: { id: restoreId } });
    expect(spec.data).toMatchObject({ dryRun: true, archiveIndex: INDEX });
    const none = { entries: 0, bytes: 0, paths: [] };
    const refuse = { entries: 1, bytes: 5, paths: [{ path: "/etc/passwd", size: 5, reason: "it exists" }] };
    const outcome = { create: none, overwrite: none, keep: none, refuse };
    const body = { status: "success", leaseToken: command?.leaseToken, outcome };
    await call(node.headers, agentApi.updateRestore, { params: { id: restoreId }, body });
    const { data } = await call(operator, adminApi.getRestore, { params: { id: restoreId } });
    expect(data).toMatchObject({ status: "success", dryRun: true, outcome });
  });

  it("is not one unless asked for, and only of files", async () => {
    const { node, id, operator } = await aRecord();
    const started = await call(operator, adminApi.restoreRecord, { params: { id }, body: {} });
    await call(node.headers, agentApi.poll, { body: idle });
    const spec = await call(node.headers, agentApi.restoreSpec, { params: { id: started.data.restoreId } });
    expect(spec.data.dryRun).toBe(false);
    await set("backup_records", id, { source: JSON.stringify({ type: "sqlite", paths: ["/a"] }) });
    const refused = await call(operator, adminApi.restoreRecord, { params: { id }, body: { dryRun: true } });
    expect(refused.code).toBe("INVALID_INPUT");
  });
});
