import { env, exports } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { adminApi, agentApi, fillPath } from "../../protocol/index.ts";
import { toHex } from "../../worker/secrets/hash.ts";
import { aNode, asRole, call, ORIGIN } from "./master.ts";
import { aClaimedRun, goodReport } from "./runs.ts";

const PART = 16 * 1024 * 1024;
const sha256 = async (bytes: Uint8Array<ArrayBuffer>) => toHex(await crypto.subtle.digest("SHA-256", bytes));

function randomBytes(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65_536)
    crypto.getRandomValues(bytes.subarray(at, Math.min(at + 65_536, size)));
  return bytes;
}

async function aVaultRun() {
  const node = await aNode({ ours: true });
  const run = await aClaimedRun(node);
  const key = goodReport(run).storageUploadResults[0]?.storagePath ?? "";
  return { node, run, key, params: { id: run.recordId, targetId: run.task.targetId } };
}
type VaultRun = Awaited<ReturnType<typeof aVaultRun>>;

const put = (path: string, headers: Record<string, string>, body: Uint8Array<ArrayBuffer>) =>
  exports.default.fetch(`${ORIGIN}${path}`, { method: "PUT", headers, body });

async function putWhole(
  { node, key, params }: VaultRun,
  body: Uint8Array<ArrayBuffer>,
  headers: object = {},
) {
  const response = await put(
    fillPath(agentApi.putArtifact.path, params),
    {
      ...node.headers,
      "X-BackupX-Object-Key": key,
      "X-BackupX-SHA256": await sha256(body),
      ...headers,
    },
    body,
  );
  return { status: response.status, ...((await response.json()) as { code: string; message: string }) };
}

async function putPart(
  { node, key, params }: VaultRun,
  uploadId: string,
  number: number,
  body: Uint8Array<ArrayBuffer>,
  hash?: string,
) {
  const path = fillPath(agentApi.uploadPart.path, { ...params, uploadId, number });
  const response = await put(
    `${path}?key=${encodeURIComponent(key)}`,
    {
      ...node.headers,
      "X-BackupX-SHA256": hash ?? (await sha256(body)),
    },
    body,
  );
  const answer = (await response.json()) as { code: string; data?: { etag: string } };
  return { status: response.status, code: answer.code, number, etag: answer.data?.etag ?? "" };
}

describe("an upload in parts", () => {
  it("becomes one object only when it is completed, with the very bytes", async () => {
    const r = await aVaultRun();
    const bytes = randomBytes(PART + 1000);
    const { data } = await call(r.node.headers, agentApi.beginUpload, {
      params: r.params,
      body: { key: r.key },
    });
    expect(data.partSizeBytes).toBe(PART);
    const parts = [
      await putPart(r, data.uploadId, 1, bytes.subarray(0, PART)),
      await putPart(r, data.uploadId, 2, bytes.subarray(PART)),
    ];
    expect(await env.VAULT.head(r.key)).toBeNull();
    const whole = {
      key: r.key,
      parts: parts.map(({ number, etag }) => ({ number, etag })),
      sizeBytes: bytes.length,
      sha256: await sha256(bytes),
    };
    const complete = () =>
      call(r.node.headers, agentApi.completeUpload, {
        params: { ...r.params, uploadId: data.uploadId },
        body: whole,
      });
    expect(await complete()).toMatchObject({ status: 200, data: { sizeBytes: bytes.length } });
    expect(await complete(), "again, because the answer was lost").toMatchObject({ status: 200 });
    const stored = await (await env.VAULT.get(r.key))?.arrayBuffer();
    expect(await sha256(new Uint8Array(stored ?? new ArrayBuffer()))).toBe(whole.sha256);
  });

  it("refuses a part with another hash than announced, and takes it when it is sent right", async () => {
    const r = await aVaultRun();
    const { data } = await call(r.node.headers, agentApi.beginUpload, {
      params: r.params,
      body: { key: r.key },
    });
    const bytes = randomBytes(1000);
    expect(await putPart(r, data.uploadId, 1, bytes, "b".repeat(64))).toMatchObject({
      status: 400,
      code: "AGENT_ARTIFACT_MISMATCH",
    });
    expect(await putPart(r, data.uploadId, 1, bytes)).toMatchObject({ status: 200 });
  });

  it("is nowhere to be seen after it was aborted, or after its backup failed", async () => {
    const r = await aVaultRun();
    for (const end of ["abort", "fail"]) {
      const { data } = await call(r.node.headers, agentApi.beginUpload, {
        params: r.params,
        body: { key: r.key },
      });
      await putPart(r, data.uploadId, 1, randomBytes(10));
      if (end === "abort") {
        await call(r.node.headers, agentApi.abortUpload, {
          params: { ...r.params, uploadId: data.uploadId },
          query: { key: r.key },
        });
      } else {
        await call(r.node.headers, agentApi.commandResult, {
          params: { id: r.run.commandId },
          body: { success: false, errorMessage: "killed", leaseToken: r.run.leaseToken },
        });
      }
      expect(await putPart(r, data.uploadId, 2, randomBytes(10))).not.toMatchObject({ status: 200 });
      expect(
        await env.DB.prepare("select 1 from vault_uploads where upload_id = ?").bind(data.uploadId).first(),
      ).toBeNull();
    }
    expect(await env.VAULT.head(r.key)).toBeNull();
  });
});

describe("a whole artifact", () => {
  it("is stored as it came", async () => {
    const r = await aVaultRun();
    const bytes = randomBytes(100_000);
    expect(await putWhole(r, bytes)).toMatchObject({ status: 200 });
    expect((await env.VAULT.head(r.key))?.size).toBe(100_000);
  });

  it("is not kept when its hash differs", async () => {
    const r = await aVaultRun();
    expect(await putWhole(r, randomBytes(100), { "X-BackupX-SHA256": "c".repeat(64) })).toMatchObject({
      status: 400,
      code: "AGENT_ARTIFACT_MISMATCH",
    });
    expect(await env.VAULT.head(r.key)).toBeNull();
  });

  it("needs an announced length", async () => {
    const r = await aVaultRun();
    const response = await exports.default.fetch(
      `${ORIGIN}${fillPath(agentApi.putArtifact.path, r.params)}`,
      {
        method: "PUT",
        headers: { ...r.node.headers, "X-BackupX-Object-Key": r.key, "X-BackupX-SHA256": "c".repeat(64) },
        body: new Blob(["abc"]).stream().pipeThrough(new TransformStream()),
      },
    );
    expect(response.status).toBe(411);
  });

  it.each([
    [
      "another record's folder",
      (r: VaultRun) => ({ ...r, key: r.key.replace(/records\/\d+/, "records/1") }),
      400,
    ],
    [
      "a target that is not the record's",
      (r: VaultRun) => ({ ...r, params: { ...r.params, targetId: 999_999 } }),
      401,
    ],
  ])("goes into no %s", async (_what, change, status) => {
    const r = change(await aVaultRun());
    expect((await putWhole(r, randomBytes(10))).status).toBe(status);
    expect(await env.VAULT.head(r.key)).toBeNull();
  });

  it("goes nowhere once its record has ended", async () => {
    const r = await aVaultRun();
    await call(r.node.headers, agentApi.updateRecord, {
      params: { id: r.run.recordId },
      body: { status: "failed" },
    });
    expect(await putWhole(r, randomBytes(10))).toMatchObject({
      status: 401,
      code: "BACKUP_RECORD_FORBIDDEN",
    });
  });

  it("is refused before the first byte when its target's quota has no room for it", async () => {
    const r = await aVaultRun();
    await call(await asRole("admin"), adminApi.updateTarget, {
      params: { id: r.params.targetId },
      body: { quotaBytes: 50 },
    });
    expect(await putWhole(r, randomBytes(51))).toMatchObject({ status: 507, code: "STORAGE_QUOTA_EXCEEDED" });
    expect(await putWhole(r, randomBytes(50))).toMatchObject({ status: 200 });
  });
});

describe("restoring from the vault", () => {
  async function aRestore() {
    const r = await aVaultRun();
    const bytes = randomBytes(1000);
    await putWhole(r, bytes);
    await call(r.node.headers, agentApi.updateRecord, {
      params: { id: r.run.recordId },
      body: goodReport(r.run, { checksum: await sha256(bytes), fileSize: 1000 }),
    });
    await call(r.node.headers, agentApi.commandResult, {
      params: { id: r.run.commandId },
      body: { success: true, leaseToken: r.run.leaseToken },
    });
    const started = await call(r.run.operator, adminApi.restoreRecord, {
      params: { id: r.run.recordId },
      body: { destination: "/tmp/x", selectedPaths: ["/etc/hosts"] },
    });
    if (started.status !== 200) throw new Error(`no restore was started: ${started.message}`);
    const restoreId = started.data.restoreId;
    const fetchRange = (range: string) =>
      exports.default.fetch(`${ORIGIN}${fillPath(agentApi.restoreArtifact.path, { id: restoreId })}`, {
        headers: { ...r.node.headers, Range: range },
      });
    return { ...r, bytes, restoreId, fetchRange };
  }

  it("gives its spec and its bytes only while the node has the command in hand", async () => {
    const r = await aRestore();
    const spec = () => call(r.node.headers, agentApi.restoreSpec, { params: { id: r.restoreId } });
    expect(await spec()).toMatchObject({ status: 401, code: "RESTORE_RECORD_FORBIDDEN" });
    const command = (await call(r.node.headers, agentApi.poll, { body: { running: [], max: 1 } })).data
      .commands?.[0];
    expect(command).toMatchObject({ type: "restore_record", payload: { restoreRecordId: r.restoreId } });
    expect(await spec()).toMatchObject({
      status: 200,
      data: {
        destination: "/tmp/x",
        selectedPaths: ["/etc/hosts"],
        sourcePaths: ["/etc"],
        storagePath: r.key,
        fileSize: 1234,
        storage: { type: "vault", transferMode: "master_relay" },
      },
    });
    const whole = await r.fetchRange("");
    expect(new Uint8Array(await whole.arrayBuffer())).toEqual(r.bytes);
    const part = await r.fetchRange("bytes=100-199");
    expect([part.status, part.headers.get("Content-Range")]).toEqual([206, "bytes 100-199/1000"]);
    expect(new Uint8Array(await part.arrayBuffer())).toEqual(r.bytes.subarray(100, 200));
    expect((await r.fetchRange("bytes=1000-")).status).toBe(416);
    expect(
      (
        await call((await aNode({ ours: true })).headers, agentApi.restoreSpec, {
          params: { id: r.restoreId },
        })
      ).code,
    ).toBe("RESTORE_RECORD_FORBIDDEN");
  });

  it("is followed to its end, and stays ended", async () => {
    const r = await aRestore();
    await call(r.node.headers, agentApi.poll, { body: { running: [], max: 1 } });
    const update = (body: object) =>
      call(r.node.headers, agentApi.updateRestore, { params: { id: r.restoreId }, body });
    await update({ status: "running", log: [{ seq: 1, text: "begins" }] });
    await update({ status: "success", entries: 3, bytes: 10 });
    await update({ status: "failed", errorMessage: "late" });
    const restore = await call(r.run.operator, adminApi.getRestore, { params: { id: r.restoreId } });
    expect(restore.data).toMatchObject({ status: "success", entries: 3, bytes: 10, errorMessage: "" });
  });

  it.each([
    ["selected paths that are no list", { selectedPaths: "/etc" }],
    ["no selected path at all", { selectedPaths: [] }],
    ["a selected path that is no text", { selectedPaths: [1] }],
    ["a relative destination", { destination: "tmp" }],
    ["an unknown conflict policy", { conflict: "ask" }],
  ])("is refused for %s: never a restore of everything", async (_what, body) => {
    const r = await aRestore();
    const answer = await call(r.run.operator, adminApi.restoreRecord, {
      params: { id: r.run.recordId },
      body,
    });
    expect(answer).toMatchObject({ status: 400, code: "INVALID_INPUT" });
    const restores = await call(r.run.operator, adminApi.listRestores, {
      query: { recordId: r.run.recordId },
    });
    expect(restores.data.items).toHaveLength(1);
  });

  it("is refused for a copy that lies on another node's disk", async () => {
    const r = await aRestore();
    const other = await aNode({ ours: true });
    await env.DB.prepare("update storage_targets set type = 'local_disk' where id = ?")
      .bind(r.params.targetId)
      .run();
    const answer = await call(r.run.operator, adminApi.restoreRecord, {
      params: { id: r.run.recordId },
      body: { nodeId: other.id },
    });
    expect(answer).toMatchObject({ status: 409, code: "RECORD_NOT_RESTORABLE" });
  });

  it("is cancelled at once while it is queued", async () => {
    const r = await aRestore();
    await call(r.run.operator, adminApi.cancelRestore, { params: { id: r.restoreId } });
    const restore = await call(r.run.operator, adminApi.getRestore, { params: { id: r.restoreId } });
    expect(restore.data.status).toBe("cancelled");
    expect(
      (await call(r.node.headers, agentApi.poll, { body: { running: [], max: 1 } })).data.commands,
    ).toEqual([]);
  });
});
