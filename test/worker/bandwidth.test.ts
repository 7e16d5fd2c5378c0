import { expect, it } from "vitest";
import { adminApi, agentApi } from "../../protocol/index.ts";
import { aNode, asRole, call } from "./master.ts";
import { set, targetRow } from "./rows.ts";
import { aClaimedRun, goodReport, idle } from "./runs.ts";

const OF_NODE = 5000;
const OF_TARGET = 7000;

/** A node with a cap, and its run to a target with one, claimed. */
async function aCappedRun() {
  const node = await aNode({ ours: true });
  await set("nodes", node.id, { bandwidth_limit: OF_NODE });
  const run = await aClaimedRun(node);
  await set("storage_targets", run.task.targetId, { bandwidth_limit: OF_TARGET });
  return { node, ...run };
}

async function aCappedBackup() {
  const run = await aCappedRun();
  const { node, recordId, commandId, leaseToken } = run;
  await call(node.headers, agentApi.updateRecord, {
    params: { id: recordId },
    body: goodReport(run, { leaseToken }),
  });
  await call(node.headers, agentApi.commandResult, {
    params: { id: commandId },
    body: { success: true, leaseToken },
  });
  const claim = async () => {
    const { data } = await call(node.headers, agentApi.poll, { body: idle });
    return data.commands?.[0]?.id ?? 0;
  };
  return { ...run, claim };
}

it("a backup gets the lower cap of its task and its node, and each target's own", async () => {
  const { node, task, recordId } = await aCappedRun();
  const spec = async () => {
    const { data } = await call(node.headers, agentApi.taskSpec, { params: { id: task.id } });
    return [data.pipeline.bandwidthBytesPerSecond, data.targets.map((one) => one.bandwidthBytesPerSecond)];
  };
  expect(await spec()).toEqual([OF_NODE, [OF_TARGET]]);
  for (const [ofTask, lower] of [
    [3000, 3000],
    [9000, OF_NODE],
  ]) {
    await set("backup_records", recordId, {
      pipeline: JSON.stringify({ compression: "gzip", bandwidthBytesPerSecond: ofTask }),
    });
    expect(await spec()).toEqual([lower, [OF_TARGET]]);
  }
});

it("a restore gets its node's cap and that of the target it reads from", async () => {
  const { node, recordId, operator, claim } = await aCappedBackup();
  const { data } = await call(operator, adminApi.restoreRecord, {
    params: { id: recordId },
    body: { destination: "/tmp/x" },
  });
  await claim();
  const spec = await call(node.headers, agentApi.restoreSpec, { params: { id: data.restoreId } });
  expect(spec.data).toMatchObject({
    bandwidthBytesPerSecond: OF_NODE,
    storage: { bandwidthBytesPerSecond: OF_TARGET },
  });
});

it("a verification gets its node's cap and that of the target it reads from", async () => {
  const { node, recordId, operator, claim } = await aCappedBackup();
  const { data } = await call(operator, adminApi.verifyRecord, { params: { id: recordId }, body: {} });
  await claim();
  const id = data.verifications[0]?.verificationId ?? 0;
  const spec = await call(node.headers, agentApi.verificationSpec, { params: { id } });
  expect(spec.data).toMatchObject({
    bandwidthBytesPerSecond: OF_NODE,
    storage: { bandwidthBytesPerSecond: OF_TARGET },
  });
});

it("a copy gets its node's cap and those of both targets", async () => {
  const { node, recordId, operator, claim } = await aCappedBackup();
  const targetId = await targetRow("local_disk", { config: '{"path":"/b"}', bandwidth_limit: 8000 });
  await call(operator, adminApi.copyRecord, { params: { id: recordId }, body: { targetId } });
  const spec = await call(node.headers, agentApi.copySpec, { params: { id: await claim() } });
  expect(spec.data).toMatchObject({
    bandwidthBytesPerSecond: OF_NODE,
    source: { bandwidthBytesPerSecond: OF_TARGET },
    target: { bandwidthBytesPerSecond: 8000 },
  });
});

it("who may not administer targets cannot set a cap", async () => {
  const id = await targetRow("vault");
  const answer = await call(await asRole("operator"), adminApi.updateTarget, {
    params: { id },
    body: { bandwidthBytesPerSecond: 5000 },
  });
  expect(answer).toMatchObject({ status: 403, code: "FORBIDDEN" });
});
