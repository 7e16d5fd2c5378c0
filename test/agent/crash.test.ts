import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { childrenOf } from "../processes.ts";
import { taskSpec, until } from "./agent-process.ts";
import { finished, sourceFolder, world } from "./world.ts";

const filesIn = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((e) =>
        e.isFile() ? [e.name] : [],
      )
    : [];

async function slowBackup(kib = 2000, bandwidth = 20_000) {
  const made = await world();
  const target = join(made.folder, "target");
  mkdirSync(target);
  const spec = {
    recordId: 9,
    paths: [sourceFolder(made.folder, kib)],
    targets: [{ type: "local_disk", config: { path: target } }],
  };
  made.master.specs.set(7, taskSpec({ ...spec, bandwidth, compression: "none" }));
  const command = made.master.enqueue("run_task", { taskId: 7, recordId: 9 });
  return { ...made, target, command };
}

describe("kill -9", () => {
  test("in the middle of a backup: the next start reports it at once, and nothing stays behind", async () => {
    const { master, stateDir, target, command, start } = await slowBackup();
    const first = start();
    await first.logged("command started");
    await until(() => filesIn(target).length > 0, "the first bytes", first.output);
    const [job] = childrenOf(first.child.pid);
    await first.kill("SIGKILL");
    // The job sees that its agent is gone: no orphan goes on with the backup, nothing half-written stays.
    await until(() => !existsSync(`/proc/${job}`), "the end of the job's process", first.output);
    expect(filesIn(target)).toEqual([]);
    expect(filesIn(join(stateDir, "commands"))).toEqual([`${command.id}.json`]);
    const indexes = join(stateDir, "indexes");
    mkdirSync(indexes, { recursive: true });
    for (const name of ["t7-r8.index", "t7-r9.index.part"]) writeFileSync(join(indexes, name), "an index");

    const second = start();
    const result = await finished(master, second, command.id);
    expect(result).toMatchObject({
      success: false,
      attempt: 1,
      errorMessage: "interrupted: the agent was restarted while this was running",
    });
    expect(master.recordReports.get(9)?.at(-1)).toMatchObject({
      status: "failed",
      errorMessage: expect.stringContaining("interrupted"),
    });
    await second.logged("result acknowledged");
    expect(second.journal()).toEqual([]);
    expect(readdirSync(join(stateDir, "work"))).toEqual([]);
    expect(readdirSync(indexes)).toEqual(["t7-r8.index"]);
    expect(master.commands.get(command.id)?.attempt).toBe(1);
    const boots = () =>
      new Set(master.callsTo("poll").map(({ body }) => (body as { bootId: string }).bootId)).size;
    await until(() => boots() === 2, "a poll of the second start, as another boot", second.output);
  });

  test("after the work, before the master knew: the result is sent by the next start, nothing runs twice", async () => {
    const { master, target, command, start } = await slowBackup(40, 10_000_000);
    master.intercept = ({ name }) => (name === "commandResult" ? { hangUp: true } : undefined);
    const first = start();
    await first.logged("command finished");
    await first.kill("SIGKILL");
    master.intercept = () => undefined;
    const second = start();
    expect(await finished(master, second, command.id)).toMatchObject({ success: true, attempt: 1 });
    expect(second.lines.some(({ msg }) => msg === "command started")).toBe(false);
    expect(filesIn(target)).toEqual(["etc-9.tar"]);
    await second.logged("result acknowledged");
    expect(second.journal()).toEqual([]);
  });

  test("right after the claim: the journal names the command before its work begins", async () => {
    const { master, command, start } = await slowBackup();
    const first = start();
    // The spec is asked for after the start; the claim must be on disk by then.
    master.intercept = ({ name }) => (name === "taskSpec" ? { hangUp: true } : undefined);
    await until(() => master.callsTo("taskSpec").length > 0, "the spec to be asked for", first.output);
    expect(first.journal()).toMatchObject([{ id: command.id, state: { name: "started" }, attempt: 1 }]);
    await first.kill("SIGKILL");
    master.intercept = () => undefined;
    const second = start();
    expect(await finished(master, second, command.id)).toMatchObject({ success: false });
  });

  test("a claim that reached no journal is handed out to the next start, though it is rung before that is due", async () => {
    const { master, folder, start } = await world({ redeliverAfterMs: 10_000 });
    const command = master.enqueue("list_dir", { path: folder });
    Object.assign(command, { status: "dispatched", attempt: 1, dispatchedAt: Date.now() });
    const agent = start();
    await agent.logged("socket open");
    for (const polls of [1, 2]) {
      master.ring();
      await until(() => master.callsTo("poll").length > polls, "a poll", agent.output);
    }
    await until(() => command.results.length > 0, "the result", agent.output, 60_000);
    expect(command).toMatchObject({ attempt: 2, results: [{ success: true }] });
  });

  test("a claim that never started is forgotten, and run when it is handed out again", async () => {
    const { master, stateDir, folder, start } = await world();
    const first = start();
    await first.logged("socket open");
    await first.kill("SIGKILL");
    const command = master.enqueue("list_dir", { path: folder });
    command.status = "dispatched";
    command.attempt = 1;
    const entry = { version: 1, id: command.id, type: "list_dir", subject: { kind: "none" }, attempt: 1 };
    const rest = { leaseToken: "0".repeat(32), bootId: "b", claimedAt: 1, state: { name: "claimed" } };
    writeFileSync(join(stateDir, "commands", `${command.id}.json`), JSON.stringify({ ...entry, ...rest }));
    writeFileSync(join(stateDir, "commands", "12.json"), '{"version":1,"id":12,"ty');
    writeFileSync(join(stateDir, "commands", "13.json.abc.tmp"), "half");
    const second = start();
    expect(await finished(master, second, command.id)).toMatchObject({ success: true, attempt: 2 });
    await second.logged("journal file not readable: set aside", ({ name }) => name === "12.json");
    await second.logged("result acknowledged");
    expect(filesIn(join(stateDir, "commands"))).toEqual(["12.json.broken"]);
  });
});

describe("lost answers", () => {
  test("the poll's answer is lost: handed out again, run once", async () => {
    const { master, folder, start } = await world({ doorbell: false, pollSeconds: 1 });
    const command = master.enqueue("list_dir", { path: folder });
    let lost = false;
    master.intercept = ({ name }) => {
      if (name !== "poll" || lost) return undefined;
      lost = true;
      Object.assign(command, {
        status: "dispatched",
        attempt: 1,
        leaseToken: "a".repeat(32),
        dispatchedAt: 0,
      });
      return { hangUp: true };
    };
    const agent = start();
    expect(await finished(master, agent, command.id)).toMatchObject({ success: true, attempt: 2 });
    expect(agent.lines.filter(({ msg }) => msg === "command started")).toHaveLength(1);
  });

  test("delivered again while it runs: adopted, not run twice, its result carries the new attempt", async () => {
    const { master, command, start } = await slowBackup(100, 60_000);
    const agent = start();
    await agent.logged("command started");
    let sent = false;
    master.intercept = ({ name }) => {
      if (name !== "poll" || sent) return undefined;
      sent = true;
      Object.assign(command, { attempt: 2, leaseToken: "b".repeat(32) });
      const { id, type, payload, attempt, leaseToken } = command;
      const commands = [{ id, type, payload, attempt, leaseToken, leaseSeconds: 120 }];
      return { status: 200, body: { code: "OK", message: "", data: { command: null, commands } } };
    };
    master.ring();
    await agent.logged("command delivered again", ({ state }) => state === "started");
    expect(agent.journal()).toMatchObject([{ attempt: 2, leaseToken: "b".repeat(32) }]);
    expect(await finished(master, agent, command.id)).toMatchObject({ success: true, attempt: 2 });
    expect(agent.lines.filter(({ msg }) => msg === "command started")).toHaveLength(1);
  });

  test("the result's answer is lost: sent again until acknowledged, and again in hand until then", async () => {
    const { master, folder, start } = await world({ doorbell: false, pollSeconds: 1 });
    const command = master.enqueue("list_dir", { path: folder });
    let failures = 0;
    master.intercept = ({ name }) => {
      if (name !== "commandResult" || failures === 2) return undefined;
      failures++;
      return failures === 1 ? { hangUp: true } : { status: 500, body: "<title>Worker exception</title>" };
    };
    const agent = start();
    expect(await finished(master, agent, command.id)).toMatchObject({ success: true });
    expect(master.callsTo("commandResult")).toHaveLength(3);
    await agent.logged("result acknowledged");
  });

  test("a result that the master no longer wants is dropped, with a line in the log", async () => {
    const { master, folder, start } = await world();
    master.enqueue("list_dir", { path: folder });
    const gone = { code: "AGENT_COMMAND_NOT_FOUND", message: "no such command" };
    master.intercept = ({ name }) => (name === "commandResult" ? { status: 404, body: gone } : undefined);
    const agent = start();
    await agent.logged("the master does not take the result of a finished command");
    await until(() => agent.journal().length === 0);
  });

  test("the master is away in the middle of a backup: the backup goes on and its result arrives", async () => {
    const made = await world();
    const { master, folder, start } = made;
    const source = sourceFolder(folder, 300);
    const targets = [{ type: "vault", config: {}, transferMode: "master_relay" }];
    master.specs.set(7, taskSpec({ recordId: 9, paths: [source], targets, compression: "none" }));
    const command = master.enqueue("run_task", { taskId: 7, recordId: 9 });
    let away = false;
    master.intercept = ({ name }) => {
      if (name === "uploadPart" && !away) {
        away = true;
        setTimeout(() => (master.intercept = () => undefined), 2500);
      }
      return away ? { hangUp: true } : undefined;
    };
    const agent = start();
    expect(await finished(master, agent, command.id)).toMatchObject({ success: true });
    expect(master.recordReports.get(9)?.at(-1)).toMatchObject({ status: "success" });
    expect([...master.vault.values()][0]?.length).toBeGreaterThan(300 * 1024);
  });
});
