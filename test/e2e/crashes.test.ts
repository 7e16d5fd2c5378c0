import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminApi, agentApi, timing } from "../../protocol/index.ts";
import { startFaultyProxy } from "../fakes/faulty-proxy.ts";
import { bucket, credentials, region, startStrictS3 } from "../fakes/strict-s3.ts";
import { childrenOf, signalAll } from "../processes.ts";
import type { Machine, RunningAgent } from "./machine.ts";
import { TEST_MS, until } from "./until.ts";
import { sourceFolder, startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, TEST_MS);
afterAll(() => world?.close());

type OnEnd = Parameters<World["machine"]>[0];
type Run = { machine: Machine; agent: RunningAgent; taskId: number; recordId: number; commandId: number };

const final = (body: string) => /"status":"(success|failed)"/.test(body);
const never = new Promise<never>(() => {});

/** A backup into the vault, with trouble on its way that the test plans before it starts. */
async function aRun(
  onEnd: OnEnd,
  options: { kib?: number; before?: (m: Machine) => void } = {},
): Promise<Run> {
  const machine = await world.machine(onEnd);
  const agent = machine.start();
  await agent.logged("socket open");
  const source = sourceFolder(machine, options.kib ?? 40);
  const taskId = await world.task(machine, {
    source: { type: "file", paths: [source] },
    targetIds: [await world.target("vault")],
    pipeline: { compression: "none" },
  });
  options.before?.(machine);
  return { machine, agent, taskId, ...(await world.run(taskId)) };
}

/** What must be true however a run was interrupted, once its agent is back. */
async function expectTidy({ machine, taskId, recordId, commandId }: Run): Promise<void> {
  await until("nothing in hand", () => machine.leftovers().length === 0, { seen: machine.leftovers });
  const record = await world.record(recordId);
  expect(await world.rows("select * from vault_uploads where record_id = ?", recordId)).toEqual([]);
  const objects = (await world.vaultKeys()).filter((key) => key.includes(`/records/${recordId}/`));
  expect(objects).toEqual(record.status === "success" ? [record.copies[0]?.storagePath] : []);
  const [command] = await world.rows(
    "select status, completed_at from agent_commands where id = ?",
    commandId,
  );
  expect(command).toMatchObject({ completed_at: expect.any(Number) });
  // The task is free again: it runs, and that run succeeds.
  const again = await world.endOf((await world.run(taskId)).recordId);
  expect(again.status).toBe("success");
}

const secondPart = {
  method: "PUT",
  path: agentApi.uploadPart.path.replace(":number", "2") as "/",
} as const;

describe.concurrent("the agent is killed (kill -9) and comes back", { timeout: TEST_MS }, () => {
  test("after it claimed, before it started: the command is handed out again and runs once", async ({
    onTestFinished,
  }) => {
    const run = await aRun(onTestFinished, {
      before: (m) => void m.network.plan({ on: agentApi.taskSpec, trouble: { kind: "hold", letGo: never } }),
    });
    const { machine, agent, commandId, recordId } = run;
    await agent.logged("command started");
    await agent.end("SIGKILL");
    // The moment between the two is too short to hit: put the journal back to what it held then.
    const file = path.join(machine.stateDir, "commands", `${commandId}.json`);
    const entry = JSON.parse(readFileSync(file, "utf8"));
    writeFileSync(file, JSON.stringify({ ...entry, state: { name: "claimed" } }));
    await world.change(
      "update agent_commands set dispatched_at = dispatched_at - ? where id = ?",
      timing.redeliverAfterSeconds * 1000,
      commandId,
    );
    machine.network.endPlans();
    const second = machine.start();
    const record = await world.endOf(recordId);
    expect(record).toMatchObject({ status: "success", attempt: 2 });
    expect(second.lines.filter(({ msg }) => msg === "command started")).toHaveLength(1);
    await world.expectCountedOnce(recordId);
    await expectTidy(run);
  });

  test("after it started: the record fails at once with the reason, and the task is free", async ({
    onTestFinished,
  }) => {
    const run = await aRun(onTestFinished, {
      before: (m) => void m.network.plan({ on: agentApi.taskSpec, trouble: { kind: "hold", letGo: never } }),
    });
    await run.agent.logged("command started");
    await run.agent.end("SIGKILL");
    await expectInterrupted(run);
  });

  const upload = async (onEnd: OnEnd) => {
    // More than one part of the vault: the first is stored, the second is on its way.
    const run = await aRun(onEnd, {
      kib: 20 * 1024,
      before: (m) => void m.network.plan({ on: secondPart, trouble: { kind: "hold", letGo: never } }),
    });
    const second = () => run.machine.network.passed.some((call) => call.path.endsWith("/parts/2"));
    await until("the second part", second);
    const uploads = await world.rows("select * from vault_uploads where record_id = ?", run.recordId);
    expect(uploads).toHaveLength(1);
    const children = childrenOf(run.agent.pid);
    expect(children).toHaveLength(1);
    return { run, children };
  };

  test("in the middle of an upload: nothing of it stays in the vault or in its folders", async ({
    onTestFinished,
  }) => {
    const { run, children } = await upload(onTestFinished);
    await run.agent.end("SIGKILL");
    await until("the job's process to be gone", () => children.every((pid) => !existsSync(`/proc/${pid}`)));
    await expectInterrupted(run);
  });

  test("in the middle of an upload, its job killed with it: the master clears up the vault", async ({
    onTestFinished,
  }) => {
    const { run, children } = await upload(onTestFinished);
    // Stopped first, so that it cannot tidy up when it finds its agent gone.
    signalAll(children, "SIGSTOP");
    await run.agent.end("SIGKILL");
    signalAll(children, "SIGKILL");
    await expectInterrupted(run);
  });

  test("after its end was told to the record, before the result: a success stays one", async ({
    onTestFinished,
  }) => {
    const run = await aRun(onTestFinished, {
      before: (m) => void m.network.plan({ on: agentApi.commandResult, trouble: { kind: "lose-request" } }),
    });
    await run.agent.logged("command finished");
    await until("the record", async () => (await world.record(run.recordId)).status === "success");
    await run.agent.end("SIGKILL");
    await expectDelivered(run);
  });

  test("before its end was told to anybody: the success arrives from its journal", async ({
    onTestFinished,
  }) => {
    const run = await aRun(onTestFinished, {
      before: (m) =>
        void m.network.plan({ on: agentApi.updateRecord, when: final, trouble: { kind: "lose-request" } }),
    });
    await run.agent.logged("command finished");
    expect((await world.record(run.recordId)).status).toMatch(/queued|running/);
    await run.agent.end("SIGKILL");
    await expectDelivered(run);
  });

  test("after the master has the result, before the agent knows: told again, nothing doubles", async ({
    onTestFinished,
  }) => {
    const run = await aRun(onTestFinished, {
      before: (m) => void m.network.plan({ on: agentApi.commandResult, trouble: { kind: "lose-answer" } }),
    });
    await until("the command to end", async () => {
      const [row] = await world.rows<{ status: string }>(
        "select status from agent_commands where id = ?",
        run.commandId,
      );
      return row?.status === "succeeded";
    });
    await run.agent.end("SIGKILL");
    expect(run.machine.journal()).toMatchObject([{ id: run.commandId, state: { name: "finished" } }]);
    await expectDelivered(run);
  });

  test("in the middle of a restore: the restore fails at once and writes nothing more", async ({
    onTestFinished,
  }) => {
    const run = await aRun(onTestFinished);
    await world.endOf(run.recordId);
    const destination = path.join(run.machine.folder, "restored");
    mkdirSync(destination);
    run.machine.network.plan({ on: agentApi.restoreArtifact, trouble: { kind: "hold", letGo: never } });
    const { restoreId } = await world.call(adminApi.restoreRecord, {
      params: { id: run.recordId },
      body: { destination },
    });
    await until("the artifact to be asked for", () =>
      run.machine.network.passed.some((call) => call.path.endsWith("/artifact")),
    );
    await run.agent.end("SIGKILL");
    run.machine.network.endPlans();
    run.machine.start();
    const restore = await world.endOfRestore(restoreId);
    expect(restore).toMatchObject({ status: "failed", errorMessage: expect.stringContaining("interrupted") });
    await until("nothing in hand", () => run.machine.leftovers().length === 0);
    expect(readdirSync(destination)).toEqual([]);
  });
});

async function expectInterrupted(run: Run): Promise<void> {
  run.machine.network.endPlans();
  run.machine.start();
  const record = await world.endOf(run.recordId);
  expect(record).toMatchObject({
    status: "failed",
    errorMessage: "interrupted: the agent was restarted while this was running",
    copies: [],
  });
  // At once: its lease has not ended, let alone the grace after it.
  const [command] = await world.rows<{ completed_at: number; lease_expires_at: number }>(
    "select completed_at, lease_expires_at from agent_commands where id = ?",
    run.commandId,
  );
  await until("the command to end", async () => {
    const [row] = await world.rows<{ completed_at: number | null }>(
      "select completed_at from agent_commands where id = ?",
      run.commandId,
    );
    return row?.completed_at !== null;
  });
  expect(record.finishedAt).toBeLessThan(command?.lease_expires_at ?? 0);
  expect(await world.logOf(run.recordId)).toContain("interrupted");
  await expectTidy(run);
}

async function expectDelivered(run: Run): Promise<void> {
  run.machine.network.endPlans();
  const second = run.machine.start();
  await second.logged("result acknowledged", ({ command }) => command === run.commandId);
  expect(second.lines.filter(({ msg }) => msg === "command started")).toEqual([]);
  expect(await world.endOf(run.recordId)).toMatchObject({ status: "success", attempt: 1, errorMessage: "" });
  await world.expectCountedOnce(run.recordId);
  await expectTidy(run);
}

describe.concurrent("a copy on the node's own disk", { timeout: TEST_MS }, () => {
  /** A slow backup to a folder, with the first bytes of it written. */
  async function halfWritten(onEnd: OnEnd) {
    const machine = await world.machine(onEnd);
    const agent = machine.start();
    await agent.logged("socket open");
    const disk = path.join(machine.folder, "disk");
    mkdirSync(disk);
    const taskId = await world.task(machine, {
      source: { type: "file", paths: [sourceFolder(machine, 4096)] },
      targetIds: [await world.target("local_disk", { path: disk })],
      pipeline: { compression: "none", bandwidthBytesPerSecond: 200 * 1024 },
    });
    const { recordId } = await world.run(taskId);
    const files = () => filesBelow(disk);
    await until("the first bytes", () => files().some((file) => statSync(file).size > 0));
    return { machine, agent, recordId, files, children: childrenOf(agent.pid) };
  }

  test("the agent is killed: its job ends by itself and leaves no half file", async ({ onTestFinished }) => {
    const { agent, files, children } = await halfWritten(onTestFinished);
    await agent.end("SIGKILL");
    await until("the job's process to be gone", () => children.every((pid) => !existsSync(`/proc/${pid}`)));
    expect(files()).toEqual([]);
  });

  test("the job is killed: the record says so, and no half file stays", async ({ onTestFinished }) => {
    const { recordId, files, children } = await halfWritten(onTestFinished);
    signalAll(children, "SIGKILL");
    const record = await world.endOf(recordId);
    expect(record).toMatchObject({ status: "failed", errorMessage: expect.stringContaining("SIGKILL") });
    expect(files()).toEqual([]);
  });

  test("the machine loses its power: after the restart no half file stays", async ({ onTestFinished }) => {
    const { machine, agent, recordId, files, children } = await halfWritten(onTestFinished);
    signalAll(children, "SIGSTOP");
    await agent.end("SIGKILL");
    signalAll(children, "SIGKILL");
    expect(files()).toHaveLength(1);
    machine.start();
    expect(await world.endOf(recordId)).toMatchObject({ status: "failed" });
    await until("no half file", () => files().length === 0, { seen: files });
  });
});

describe.concurrent("a copy in a storage that is no disk of this machine", { timeout: TEST_MS }, () => {
  /** A backup to S3, beside other targets, of whose requests some get no answer. */
  async function toS3(
    onEnd: OnEnd,
    options: { kib: number; unanswered: RegExp; others?: number[]; before?: (m: Machine) => void },
  ) {
    const s3 = await startStrictS3();
    const proxy = await startFaultyProxy(s3.port);
    onEnd(() => s3.close());
    onEnd(() => proxy.close());
    proxy.plan = ({ method, url }) =>
      options.unanswered.test(`${method} ${url}`) ? { kind: "stall" } : undefined;
    const machine = await world.machine(onEnd);
    const agent = machine.start();
    await agent.logged("socket open");
    const name = `s3-of-${machine.name}`;
    const config = { endpoint: proxy.endpoint, bucket, region };
    const target = await world.call(adminApi.createTarget, {
      body: { name, type: "s3", config, secrets: credentials },
    });
    const taskId = await world.task(machine, {
      source: { type: "file", paths: [sourceFolder(machine, options.kib)] },
      targetIds: [target.id, ...(options.others ?? [])],
      pipeline: { compression: "none" },
    });
    options.before?.(machine);
    const { recordId } = await world.run(taskId);
    const losePower = async () => {
      const children = childrenOf(agent.pid);
      signalAll(children, "SIGSTOP");
      await agent.end("SIGKILL");
      signalAll(children, "SIGKILL");
    };
    const stored = () => [...s3.uploads.keys(), ...s3.objects.keys()];
    return { machine, agent, s3, proxy, name, recordId, losePower, stored };
  }

  /** One of several parts is stored, and the next gets no answer. */
  async function halfSent(onEnd: OnEnd) {
    const run = await toS3(onEnd, { kib: 20 * 1024, unanswered: /partNumber=2/ });
    await until("the second part", () => run.proxy.hits > 0 && run.stored().length > 0);
    return run;
  }

  test("the job is killed: the record says so, and no part stays", async ({ onTestFinished }) => {
    const { agent, recordId, stored } = await halfSent(onTestFinished);
    signalAll(childrenOf(agent.pid), "SIGKILL");
    const record = await world.endOf(recordId);
    expect(record).toMatchObject({ status: "failed", errorMessage: expect.stringContaining("SIGKILL") });
    expect(stored()).toEqual([]);
  });

  test("the machine loses its power: after the restart no part stays", async ({ onTestFinished }) => {
    const { machine, recordId, losePower, stored } = await halfSent(onTestFinished);
    await losePower();
    expect(stored()).toHaveLength(1);
    machine.start();
    expect(await world.endOf(recordId)).toMatchObject({ status: "failed", copies: [] });
    expect(stored()).toEqual([]);
    await until("nothing in hand", () => machine.leftovers().length === 0, { seen: machine.leftovers });
  });

  test("the machine loses its power when it is whole and another copy is not: it does not stay", async ({
    onTestFinished,
  }) => {
    const vault = await world.target("vault");
    const { machine, recordId, losePower, stored } = await toS3(onTestFinished, {
      kib: 400,
      unanswered: /^$/,
      others: [vault],
      before: (m) =>
        void m.network.plan({ on: agentApi.completeUpload, trouble: { kind: "hold", letGo: never } }),
    });
    await until("the one copy", () => stored().length === 1);
    await losePower();
    machine.network.endPlans();
    machine.start();
    expect(await world.endOf(recordId)).toMatchObject({ status: "failed", copies: [] });
    expect(stored()).toEqual([]);
  });

  test("it cannot be reached after the restart: the record's log says what may have stayed", async ({
    onTestFinished,
  }) => {
    const { machine, proxy, recordId, name, losePower } = await halfSent(onTestFinished);
    await losePower();
    proxy.plan = () => ({ kind: "answer", status: 403, body: "<Error><Code>AccessDenied</Code></Error>" });
    machine.start();
    expect(await world.endOf(recordId)).toMatchObject({ status: "failed" });
    const said = `what the killed job had stored so far could not be removed: ${name}: `;
    expect(await world.logOf(recordId)).toContain(said);
  });
});

describe.concurrent("the agent is silent", { timeout: TEST_MS }, () => {
  test("killed and never back: after ten minutes the record fails with a plain reason", async ({
    onTestFinished,
  }) => {
    const run = await aRun(onTestFinished, {
      before: (m) => void m.network.plan({ on: agentApi.taskSpec, trouble: { kind: "hold", letGo: never } }),
    });
    await run.agent.logged("command started");
    await run.agent.end("SIGKILL");
    await passLease(run.commandId, timing.leaseSeconds);
    await world.sweep();
    expect((await world.record(run.recordId)).status).not.toBe("failed");
    await passLease(run.commandId, timing.silentCommandSeconds);
    await world.sweep();
    expect(await world.record(run.recordId)).toMatchObject({
      status: "failed",
      errorMessage: "given up: the agent has said nothing of it for 10 minutes",
    });
    const refused = await world.ask(adminApi.cancelRecord, { params: { id: run.recordId } });
    expect(refused.code).toBe("ALREADY_ENDED");
  });

  test("a success that comes after it was given up is kept: the record tells the truth", async ({
    onTestFinished,
  }) => {
    let letGo = () => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const run = await aRun(onTestFinished, {
      before: (m) =>
        void m.network.plan({ on: agentApi.completeUpload, trouble: { kind: "hold", letGo: held } }),
    });
    await until("the upload to be completed", () =>
      run.machine.network.passed.some((call) => call.path.endsWith("/complete")),
    );
    await passLease(run.commandId, timing.silentCommandSeconds);
    await world.sweep();
    expect((await world.record(run.recordId)).status).toBe("failed");
    letGo();
    await run.agent.logged("result acknowledged", ({ command }) => command === run.commandId);
    const record = await world.record(run.recordId);
    expect(record).toMatchObject({ status: "success", late: true, errorMessage: "" });
    await world.expectCountedOnce(run.recordId);
    await expectTidy(run);
  });
});

/** Lets that much time pass for a lease: its last renewal was then. */
const passLease = (commandId: number, seconds: number) =>
  world.change(
    "update agent_commands set lease_expires_at = ? where id = ?",
    Date.now() - (seconds - timing.leaseSeconds) * 1000 - 1000,
    commandId,
  );

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => path.join(folder, name))
    .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile() ?? false);
