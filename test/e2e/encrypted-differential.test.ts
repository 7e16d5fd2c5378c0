import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { compareTrees } from "../../scripts/compare-trees.ts";
import { keyPair } from "./key-pair.ts";
import { TEST_MS, until } from "./until.ts";
import { sourceFolder, startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, TEST_MS);
afterAll(() => world?.close());

type OnEnd = Parameters<World["machine"]>[0];

/** A node whose agent has no key of its own; `keyFile` opens what is encrypted there. */
async function aNode(onEnd: OnEnd, encrypted: boolean) {
  const machine = await world.machine(onEnd);
  const { file, recipient } = keyPair(world, machine.folder);
  machine.start();
  await world.online(machine);
  const store = path.join(machine.folder, "store");
  mkdirSync(store);
  const targetIds = [await world.target("local_disk", { path: store })];
  const pipeline = encrypted ? { encryption: { recipients: [recipient] } } : {};
  return { machine, store, targetIds, pipeline, key: encrypted ? { identityFile: file } : {} };
}

async function backUp(taskId: number) {
  const record = await world.endOf((await world.run(taskId)).recordId);
  expect(record, record.errorMessage).toMatchObject({ status: "success" });
  return record;
}

/** A full backup, and a differential one of what was changed, removed and added after it. */
async function aDifferential(onEnd: OnEnd, encrypted: boolean) {
  const node = await aNode(onEnd, encrypted);
  const source = sourceFolder(node.machine, 120);
  const taskId = await world.task(node.machine, {
    source: { type: "file", paths: [source] },
    targetIds: node.targetIds,
    pipeline: { ...node.pipeline, differential: { fullEveryDays: 30 } },
  });
  // Until the tree is older than the clock's doubt.
  await sleep(2_500);
  const full = await backUp(taskId);
  writeFileSync(path.join(source, "file-0.bin"), "changed");
  rmSync(path.join(source, "file-1.bin"));
  writeFileSync(path.join(source, "deep", "new"), "new");
  const made = await backUp(taskId);
  expect(made).toMatchObject({ kind: "differential", baseRecordId: full.id, encrypted });
  const fileOf = ({ copies }: typeof made) => path.join(node.store, copies[0]?.storagePath ?? "none");
  return { ...node, source, full, made, fileOf };
}

async function verified(recordId: number, body: object) {
  const { verifications } = await world.call(adminApi.verifyRecord, { params: { id: recordId }, body });
  const id = verifications[0]?.verificationId ?? 0;
  return until(`verification ${id} to end`, async () => {
    const one = await world.call(adminApi.getVerification, { params: { id } });
    return one.status === "queued" || one.status === "running" ? null : one;
  });
}

function flipMiddle(file: string): void {
  const bytes = readFileSync(file);
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] as number) ^ 1;
  writeFileSync(file, bytes);
}

describe.concurrent("with a key that is named for the occasion", { timeout: TEST_MS }, () => {
  test.for(["zstd", "none"] as const)(
    "an agent lists what is in an encrypted backup (%s)",
    async (compression, { onTestFinished }) => {
      const { machine, targetIds, pipeline, key } = await aNode(onTestFinished, true);
      const source = sourceFolder(machine, 40);
      const taskId = await world.task(machine, {
        source: { type: "file", paths: [source] },
        targetIds,
        pipeline: { ...pipeline, compression },
      });
      const { id } = await backUp(taskId);
      const ask = (query: object) =>
        world.ask(adminApi.recordContents, { params: { id }, query: { path: source, ...query } });
      expect(await ask({})).toMatchObject({
        code: "NODE_COMMAND_FAILED",
        message: expect.stringMatching(/identity|key/),
      });
      const { file: stranger } = keyPair(world, machine.folder, "stranger.txt");
      expect(await ask({ identityFile: stranger })).toMatchObject({ code: "NODE_COMMAND_FAILED" });
      const { entries } = await world.call(adminApi.recordContents, {
        params: { id },
        query: { path: source, ...key },
      });
      expect(entries.map(({ name }) => name)).toEqual([
        "deep",
        "empty",
        "file-0.bin",
        "file-1.bin",
        "file-2.bin",
      ]);
    },
  );

  test.for([false, true])(
    "a differential backup reaches each grade, and is restored as it was (encrypted: %s)",
    async (encrypted, { onTestFinished }) => {
      const { machine, source, made, key } = await aDifferential(onTestFinished, encrypted);
      for (const grade of [2, 3, 4]) {
        const one = await verified(made.id, { grade, ...key });
        expect(one, JSON.stringify(one)).toMatchObject({ status: "success", reachedGrade: grade });
      }
      if (encrypted)
        expect(await verified(made.id, { grade: 4 })).toMatchObject({
          status: "incomplete",
          reachedGrade: 2,
        });
      const destination = path.join(machine.folder, "back");
      mkdirSync(destination);
      const { restoreId } = await world.call(adminApi.restoreRecord, {
        params: { id: made.id },
        body: { destination, ...key },
      });
      const end = await world.endOfRestore(restoreId);
      expect(end, end.errorMessage).toMatchObject({ status: "success", warningCount: 0 });
      expect(compareTrees(source, path.join(destination, source), []).differences).toEqual([]);
    },
  );

  test.for([false, true])(
    "a differential backup is found and restored without the master, from its storage (encrypted: %s)",
    async (encrypted, { onTestFinished }) => {
      const { machine, store, source, full, made, key } = await aDifferential(onTestFinished, encrypted);
      const settings = path.join(machine.folder, "storage.yaml");
      writeFileSync(settings, `type: local_disk\npath: ${store}\n`, { mode: 0o600 });
      const agent = async (...args: string[]) => {
        const command = [world.agentEntry, ...args, "--storage", settings];
        return (await promisify(execFile)(process.execPath, command)).stdout;
      };
      const { objects } = JSON.parse(await agent("list", "--json"));
      const known = ({ id, sizeBytes, copies }: typeof made) => ({
        recordId: id,
        sizeBytes,
        key: copies[0]?.storagePath,
        type: "file",
        task: { id: made.taskId },
        encrypted,
      });
      expect(objects).toMatchObject([known(made), known(full)]);
      const identity = "identityFile" in key ? ["--identity", key.identityFile] : [];
      const back = path.join(machine.folder, "without");
      await agent("restore", objects[0].key, "--to", back, ...identity);
      expect(compareTrees(source, path.join(back, source), []).differences).toEqual([]);
    },
  );

  test.for([false, true])(
    "a differential backup whose base is damaged is not given the fourth grade (encrypted: %s)",
    async (encrypted, { onTestFinished }) => {
      const { full, made, fileOf, key } = await aDifferential(onTestFinished, encrypted);
      flipMiddle(fileOf(full));
      const one = await verified(made.id, { grade: 4, ...key });
      expect(one, JSON.stringify(one)).toMatchObject({ status: "failed", reachedGrade: 3 });
    },
  );
});
