import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { compareTrees } from "../../scripts/compare-trees.ts";
import { keyPair } from "./key-pair.ts";
import type { Machine } from "./machine.ts";
import { TEST_MS } from "./until.ts";
import { sourceFolder, startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, TEST_MS);
afterAll(() => world?.close());

async function encryptedBackup(machine: Machine, recipients: string[]) {
  const source = sourceFolder(machine, 300);
  writeFileSync(path.join(source, "readable.txt"), "PLAINTEXT MARKER ".repeat(5000));
  const vault = await world.target("vault");
  const taskId = await world.task(machine, {
    source: { type: "file", paths: [source] },
    targetIds: [vault],
    pipeline: { compression: "none", encryption: { recipients } },
  });
  const record = await world.endOf((await world.run(taskId)).recordId);
  expect(record).toMatchObject({ status: "success", encrypted: true });
  expect(record.fileName).toMatch(/\.tar\.age$/);
  return { source, record };
}

/** Restores into a folder of the machine, which is made, and waits for the end. */
async function restored(
  machine: Machine,
  recordId: number,
  name: string,
  body: { nodeId?: number; identityFile?: string } = {},
) {
  const destination = path.join(machine.folder, name);
  mkdirSync(destination);
  const { restoreId } = await world.call(adminApi.restoreRecord, {
    params: { id: recordId },
    body: { destination, ...body },
  });
  return { destination, end: await world.endOfRestore(restoreId) };
}

/** That nothing of a secret was in any request of this machine's agent, nor in what it has said. */
function expectUnheard(machine: Machine, output: string, secret: string): void {
  for (const { path: where, body } of machine.network.passed)
    expect(`${where} ${body}`).not.toContain(secret);
  expect(output).not.toContain(secret);
}

describe.concurrent("encrypted backups", { timeout: TEST_MS }, () => {
  test("are stored so that nobody reads them, and restored with the agent's own key, which no request carries", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    const { file, recipient, secret } = keyPair(world, machine.folder);
    const agent = machine.start(["--identity-file", file]);
    await world.online(machine);
    const { source, record } = await encryptedBackup(machine, [recipient]);

    const uploaded = machine.network.passed.map(({ body }) => body).join("");
    expect(uploaded).toContain("age-encryption.org/v1");
    expect(uploaded).not.toContain("PLAINTEXT MARKER");

    const { destination, end } = await restored(machine, record.id, "back");
    expect(end).toMatchObject({ status: "success", warningCount: 0, identityFile: null });
    expect(compareTrees(source, path.join(destination, source), []).differences).toEqual([]);
    expectUnheard(machine, agent.output(), secret);
    const everything = JSON.stringify([
      await world.rows("select * from backup_records"),
      await world.rows("select * from restore_records"),
      await world.rows("select * from record_logs"),
      await world.rows("select * from audit_logs"),
      await world.rows("select * from nodes"),
    ]);
    expect(everything).not.toContain(secret.slice(16));
  });

  test("are not restored without their key, in words, and nothing is written", async ({ onTestFinished }) => {
    const machine = await world.machine(onTestFinished);
    const { recipient } = keyPair(world, machine.folder);
    machine.start();
    await world.online(machine);
    const { record } = await encryptedBackup(machine, [recipient]);

    const without = await restored(machine, record.id, "without");
    expect(without.end.status).toBe("failed");
    expect(without.end.errorMessage).toMatch(
      /this backup is encrypted, and this agent has no key: set identityFile/,
    );

    const stranger = keyPair(world, machine.folder, "stranger.txt");
    const wrong = await restored(machine, record.id, "wrong", { identityFile: stranger.file });
    expect(wrong.end.status).toBe("failed");
    expect(wrong.end.errorMessage).toMatch(
      /no identity in .*stranger\.txt opens this backup.*1 of type X25519/,
    );

    const absent = path.join(machine.folder, "absent.txt");
    const nothing = await restored(machine, record.id, "nothing", { identityFile: absent });
    expect(nothing.end.errorMessage).toMatch(/absent\.txt: ENOENT/);

    const passwords = path.join(machine.folder, "passwords");
    writeFileSync(passwords, "root:hunter2-of-root\n");
    const other = await restored(machine, record.id, "other", { identityFile: passwords });
    expect(other.end.errorMessage).toMatch(/line 1 is not an age identity/);
    expect(other.end.errorMessage).not.toContain("hunter2");

    for (const { destination } of [without, wrong, nothing, other])
      expect(readdirSync(destination)).toEqual([]);
  });

  test("are restored by another node with the key that is named for that restore", async ({
    onTestFinished,
  }) => {
    const from = await world.machine(onTestFinished);
    const to = await world.machine(onTestFinished);
    const operator = keyPair(world, from.folder);
    const recovery = keyPair(world, to.folder, "recovery.txt");
    from.start();
    const agent = to.start();
    await Promise.all([world.online(from), world.online(to)]);
    const { source, record } = await encryptedBackup(from, [operator.recipient, recovery.recipient]);
    const { destination, end } = await restored(to, record.id, "recovered", {
      nodeId: to.nodeId,
      identityFile: recovery.file,
    });
    expect(end).toMatchObject({ status: "success", nodeId: to.nodeId, identityFile: recovery.file });
    expect(compareTrees(source, path.join(destination, source), []).differences).toEqual([]);
    expectUnheard(to, agent.output(), recovery.secret);
  });

  test("a backup of the folder with the agent's key leaves the key out, encrypted or not", async ({
    onTestFinished,
  }) => {
    const machine = await world.machine(onTestFinished);
    const source = sourceFolder(machine, 40);
    const { file, recipient, secret } = keyPair(world, source);
    machine.start(["--identity-file", file]);
    await world.online(machine);
    for (const encryption of [null, { recipients: [recipient] }]) {
      const taskId = await world.task(machine, {
        source: { type: "file", paths: [source] },
        targetIds: [await world.target("vault")],
        pipeline: { compression: "none", encryption },
      });
      const record = await world.endOf((await world.run(taskId)).recordId);
      const { destination, end } = await restored(machine, record.id, `back-${record.id}`);
      expect(end.status).toBe("success");
      expect(existsSync(path.join(destination, source, "empty"))).toBe(true);
      expect(existsSync(path.join(destination, file))).toBe(false);
    }
    for (const { body } of machine.network.passed) expect(body).not.toContain(secret);
  });

  test("a key file that others can read is named in the log of the restore", async ({ onTestFinished }) => {
    const machine = await world.machine(onTestFinished);
    const { file, recipient } = keyPair(world, machine.folder);
    const open = path.join(machine.folder, "open.txt");
    writeFileSync(open, readFileSync(file), { mode: 0o644 });
    const agent = machine.start(["--identity-file", open]);
    await world.online(machine);
    await agent.logged("open.txt can be read by others");
    const { record } = await encryptedBackup(machine, [recipient]);
    const { end } = await restored(machine, record.id, "back");
    expect(end.status).toBe("success");
    const { lines } = await world.call(adminApi.restoreLog, { params: { id: end.id } });
    expect(lines.map(({ text }) => text).join("")).toContain("open.txt can be read by others: chmod 600");
  });
});
