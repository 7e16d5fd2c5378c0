import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { compareTrees } from "../../scripts/compare-trees.ts";
import { freePort, startLocalMaster } from "../../scripts/local-master.ts";
import { administrator } from "./administrator.ts";
import { installAgent } from "./installed-agent.ts";
import { makeMachine } from "./machine.ts";
import { TEST_MS, until } from "./until.ts";
import { sourceFolder } from "./world.ts";

const FIRST_PORT = 18_787;
const AWAY_MS = 3_000;

test("the master is stopped and started again in the middle of a backup: the backup goes on and restores", {
  timeout: TEST_MS,
}, async ({ onTestFinished }) => {
  const folder = mkdtempSync(path.join(tmpdir(), "backupx-e2e-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const place = { stateDir: path.join(folder, "master"), port: await freePort(FIRST_PORT) };
  let master = await startLocalMaster(place);
  onTestFinished(() => master.stop());
  const url = new URL(master.url);
  const { call } = await administrator(url);
  const { node, token } = await call(adminApi.createNode, { body: { name: "web-1" } });
  const machine = await makeMachine({
    entry: await installAgent(path.join(folder, "agent")),
    master: url,
    folder: path.join(folder, "machine"),
    node,
    token,
    onEnd: onTestFinished,
  });
  const agent = machine.start();
  await agent.logged("socket open");
  const source = sourceFolder(machine, 36 * 1024);
  const vault = await call(adminApi.createTarget, { body: { name: "vault", type: "vault" } });
  const { id } = await call(adminApi.createTask, {
    body: {
      name: "srv",
      nodeId: node.id,
      source: { type: "file", paths: [source] },
      targetIds: [vault.id],
      pipeline: { compression: "none", bandwidthBytesPerSecond: 4 * 1_048_576 },
    },
  });
  const { recordId } = await call(adminApi.runTask, { params: { id } });
  await until("the first part to be stored", () =>
    machine.network.passed.some((request) => request.path.endsWith("/parts/1") && request.status === 200),
  );

  await master.stop();
  await delay(AWAY_MS);
  master = await startLocalMaster(place);

  const record = await until("the backup to end", async () => {
    const now = await call(adminApi.getRecord, { params: { id: recordId } });
    return now.status === "queued" || now.status === "running" ? null : now;
  });
  expect(record).toMatchObject({ status: "success", attempt: 1, copies: [{ status: "success" }] });
  expect(agent.lines.filter(({ msg }) => msg === "command started")).toHaveLength(1);
  const destination = path.join(machine.folder, "restored");
  mkdirSync(destination);
  const { restoreId } = await call(adminApi.restoreRecord, {
    params: { id: recordId },
    body: { destination },
  });
  await until("the restore to succeed", async () => {
    const restore = await call(adminApi.getRestore, { params: { id: restoreId } });
    expect(restore.status).not.toBe("failed");
    return restore.status === "success";
  });
  expect(compareTrees(source, path.join(destination, source), []).differences).toEqual([]);
});
