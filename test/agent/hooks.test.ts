import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { childrenOf, signalAll } from "../processes.ts";
import { scratch, taskSpec, until } from "./agent-process.ts";
import { finished, sourceFolder, world } from "./world.ts";

type Hooks = Record<string, { run: string[]; timeout?: string }>;
type Chosen = {
  before?: string;
  ifBeforeFails?: "fail" | "continue";
  afterSuccess?: string;
  afterFailure?: string;
  afterAlways?: string;
};

/** A task with these hooks, for an agent whose configuration allows `allowed`. */
async function aRun(
  allowed: (notes: string) => Hooks,
  chosen: Chosen,
  run: { bandwidth?: number; source?: string } = {},
) {
  const place = scratch();
  const notes = join(place, "notes");
  const config = join(place, "agent.yaml");
  writeFileSync(config, JSON.stringify({ hooks: allowed(notes) }));
  const made = await world({}, { args: ["--config", config] });
  const target = join(made.folder, "target");
  mkdirSync(target);
  const spec = taskSpec({
    recordId: 9,
    paths: [run.source ?? sourceFolder(made.folder, 400)],
    targets: [{ type: "local_disk", config: { path: target } }],
    compression: "none",
    ...(run.bandwidth === undefined ? {} : { bandwidth: run.bandwidth }),
  });
  const none = {
    before: null,
    ifBeforeFails: "fail",
    afterSuccess: null,
    afterFailure: null,
    afterAlways: null,
  };
  made.master.specs.set(7, { ...spec, hooks: { ...none, ...chosen } });
  const command = made.master.enqueue("run_task", { taskId: 7, recordId: 9 });
  return {
    ...made,
    command,
    target,
    config,
    /** What the hooks have written, line by line. */
    notes: () => (existsSync(notes) ? readFileSync(notes, "utf8").trim().split("\n") : []),
    final: () => made.master.recordReports.get(9)?.at(-1),
    log: () =>
      (made.master.recordReports.get(9) ?? [])
        .flatMap((report) => (report["log"] as { text: string }[] | undefined) ?? [])
        .map(({ text }) => text)
        .join(""),
  };
}

const sh = (script: string): { run: string[] } => ({ run: ["/bin/sh", "-c", script] });
const noting = (notes: string) =>
  sh(`echo "$BACKUPX_HOOK $BACKUPX_STATUS $BACKUPX_TASK_ID/$BACKUPX_RECORD_ID" >> ${notes}`);
const all = (notes: string): Hooks => ({ note: noting(notes) });
const everywhere = { before: "note", afterSuccess: "note", afterFailure: "note", afterAlways: "note" };

const pidsIn = (notes: string[]) => notes.filter((line) => /^\d+$/.test(line)).map(Number);
const isAlive = (pid: number) => existsSync(`/proc/${pid}`);

describe("hooks", () => {
  test("run before, after a success and always, told what they need, their words in the record's log", async () => {
    const run = await aRun(
      (notes) => ({
        ...all(notes),
        loud: sh(
          `echo "stopping $BACKUPX_TASK_NAME"; echo careful >&2; env | grep -c TOKEN; echo "before" >> ${notes}`,
        ),
      }),
      { ...everywhere, before: "loud" },
    );
    const agent = run.start();
    expect(await finished(run.master, agent, run.command.id)).toMatchObject({ success: true });
    expect(run.notes()).toEqual(["before", "afterSuccess success 7/9", "afterAlways success 7/9"]);
    expect(run.log()).toContain("hook loud: stopping etc\n");
    expect(run.log()).toContain("hook loud: careful\n");
    expect(run.log()).toContain("hook loud: 0\n");
    expect(run.final()).toMatchObject({ status: "success", warningCount: 0 });
  });

  test("one before that fails ends the run before anything is read; those after a failure run", async () => {
    const run = await aRun((notes) => ({ ...all(notes), broken: sh("echo no disk; exit 3") }), {
      ...everywhere,
      before: "broken",
    });
    const agent = run.start();
    const result = await finished(run.master, agent, run.command.id);
    expect(result).toMatchObject({ success: false });
    expect(result?.errorMessage).toMatch(/hook broken failed, so nothing was read: it ended with code 3/);
    expect(run.notes()).toEqual(["afterFailure failed 7/9", "afterAlways failed 7/9"]);
    expect(run.final()).toMatchObject({ status: "failed" });
    expect(existsSync(join(run.target, "BackupX"))).toBe(false);
  });

  test("one before that fails is only a warning where the task says so; so is one after that fails", async () => {
    const run = await aRun((notes) => ({ ...all(notes), broken: sh("exit 3") }), {
      before: "broken",
      ifBeforeFails: "continue",
      afterSuccess: "broken",
      afterAlways: "note",
    });
    const agent = run.start();
    expect(await finished(run.master, agent, run.command.id)).toMatchObject({ success: true });
    expect(run.final()).toMatchObject({
      status: "success",
      warningCount: 2,
      warnings: [
        { path: "hook broken", reason: "it ended with code 3" },
        { path: "hook broken", reason: "it ended with code 3" },
      ],
    });
    expect(run.notes()).toEqual(["afterAlways success 7/9"]);
  });

  test("one that does not end is ended with all that it started when its time is over", async () => {
    const run = await aRun(
      (notes) => ({
        ...all(notes),
        endless: {
          ...sh(`trap '' TERM; sleep 600 & echo $! >> ${notes}; echo $$ >> ${notes}; wait`),
          timeout: "1s",
        },
      }),
      { before: "endless", afterAlways: "note" },
    );
    const agent = run.start();
    const result = await until(
      () => run.master.commands.get(run.command.id)?.results[0],
      "a result",
      agent.output,
      20_000,
    );
    expect(result?.errorMessage).toMatch(/hook endless failed.*it was ended after 1s/);
    const pids = pidsIn(run.notes());
    expect(pids).toHaveLength(2);
    await until(() => !pids.some(isAlive), "the end of its processes", agent.output);
  });

  test("one that leaves something running and ends well is not waited for, and that stays", async () => {
    const run = await aRun((notes) => ({ starter: sh(`sleep 600 & echo $! >> ${notes}`) }), {
      afterAlways: "starter",
    });
    const agent = run.start();
    expect(await finished(run.master, agent, run.command.id)).toMatchObject({ success: true });
    const [pid = 0] = pidsIn(run.notes());
    expect(isAlive(pid)).toBe(true);
    process.kill(pid);
  });

  test("a name that the configuration does not allow: nothing is run or read, and the record says so", async () => {
    const run = await aRun(all, { before: "note", afterAlways: "constructor" });
    const agent = run.start();
    const result = await finished(run.master, agent, run.command.id);
    expect(result?.errorMessage).toBe("the configuration of this agent allows no hook constructor");
    expect(run.notes()).toEqual([]);
    expect(existsSync(join(run.target, "BackupX"))).toBe(false);
  });

  test("the one after a failure and the one for always run when the job's process is killed", async () => {
    const run = await aRun(all, everywhere, { bandwidth: 20_000 });
    const agent = run.start();
    await until(
      () => run.master.recordReports.get(9)?.some(({ progress }) => progress),
      "progress",
      agent.output,
    );
    signalAll(childrenOf(agent.child.pid), "SIGKILL");
    expect((await finished(run.master, agent, run.command.id))?.errorMessage).toContain("SIGKILL");
    expect(run.notes()).toEqual(["before  7/9", "afterFailure failed 7/9", "afterAlways failed 7/9"]);
  });

  test("a cancelled run ends the hook before it, and runs only the one for always", async () => {
    const run = await aRun((notes) => ({ ...all(notes), slow: sh(`echo $$ >> ${notes}; sleep 600`) }), {
      ...everywhere,
      before: "slow",
    });
    const agent = run.start();
    const [pid = 0] = await until(
      () => (pidsIn(run.notes()).length > 0 ? pidsIn(run.notes()) : null),
      "the hook",
      agent.output,
    );
    run.command.cancelRequested = true;
    run.master.ring();
    expect(await finished(run.master, agent, run.command.id)).toMatchObject({
      success: false,
      cancelled: true,
    });
    expect(run.notes().slice(1)).toEqual(["afterAlways cancelled 7/9"]);
    await until(() => !isAlive(pid), "the end of the hook", agent.output);
  });

  test("after a crash of the agent, its next start runs those after a failure before it reports", async () => {
    const run = await aRun(all, everywhere, { bandwidth: 20_000 });
    const first = run.start();
    await until(() => run.notes().length > 0, "the hook before", first.output);
    await first.logged("command started");
    await first.kill("SIGKILL");
    const second = run.start();
    expect((await finished(run.master, second, run.command.id))?.errorMessage).toContain("interrupted");
    expect(run.notes()).toEqual(["before  7/9", "afterFailure failed 7/9", "afterAlways failed 7/9"]);
    expect(run.log()).toContain("hook note (afterAlways)");
    expect(run.final()).toMatchObject({ status: "failed" });
    await second.logged("result acknowledged");
    expect(second.journal()).toEqual([]);
  });

  test("after a crash, a hook that is allowed no more is told, and the run still ends", async () => {
    const run = await aRun(all, everywhere, { bandwidth: 20_000 });
    const first = run.start();
    await until(() => run.notes().length > 0, "the hook before", first.output);
    await first.kill("SIGKILL");
    writeFileSync(run.config, "hooks: {}\n");
    const second = run.start();
    expect(await finished(run.master, second, run.command.id)).toMatchObject({ success: false });
    expect(run.log()).toContain("allows no hook note");
    expect(run.notes()).toHaveLength(1);
  });

  test("print without bound, and the record keeps the first lines", async () => {
    const run = await aRun(() => ({ chatty: sh("yes a line | head -n 100000") }), { before: "chatty" });
    const agent = run.start();
    expect(await finished(run.master, agent, run.command.id)).toMatchObject({ success: true });
    expect(run.log().match(/hook chatty: a line/g)).toHaveLength(200);
    expect(run.log()).toContain("left out");
  });
});
