import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import type { Deps } from "../../worker/deps.ts";
import { connectBell } from "../../worker/doorbell/connect.ts";
import { nextRun, nextRuns, validateSchedule } from "../../worker/schedules/expression.ts";
import { runDueTasks } from "../../worker/schedules/run-due.ts";
import { sweepForAMinute } from "../../worker/sweeps/sweep.ts";
import { counting } from "./counting.ts";
import { aNode, asRole, call, deps } from "./master.ts";
import { set, taskRow } from "./rows.ts";

/** Tasks that one sweep may start, in these tests. */
const LIMIT = 10;
const utc = (text: string) => Date.parse(`${text}Z`);
const at = (now: number): Deps => ({ ...deps, now: () => now });
const hoursOf = (times: number[]) => times.map((time) => new Date(time).toISOString().slice(0, 16));

describe("an expression", () => {
  it.each([
    [
      "skipped in spring, Berlin",
      "30 2 * * *",
      "Europe/Berlin",
      "2026-03-28T00:00",
      ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"],
    ],
    [
      "doubled in autumn, Berlin",
      "30 2 * * *",
      "Europe/Berlin",
      "2026-10-24T12:00",
      ["2026-10-25T00:30", "2026-10-26T01:30"],
    ],
    [
      "skipped in 2027, Berlin",
      "30 2 * * *",
      "Europe/Berlin",
      "2027-03-27T12:00",
      ["2027-03-28T01:00", "2027-03-29T00:30"],
    ],
    [
      "doubled in 2027, Berlin",
      "30 2 * * *",
      "Europe/Berlin",
      "2027-10-30T12:00",
      ["2027-10-31T00:30", "2027-11-01T01:30"],
    ],
    [
      "several fixed times in the doubled hour",
      "0,30 2 * * *",
      "Europe/Berlin",
      "2026-10-24T12:00",
      ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-26T01:00"],
    ],
    [
      "hourly through the doubled hour",
      "0 * * * *",
      "Europe/Berlin",
      "2026-10-24T23:30",
      ["2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T02:00"],
    ],
    [
      "hourly through the skipped hour",
      "0 * * * *",
      "Europe/Berlin",
      "2026-03-28T23:30",
      ["2026-03-29T00:00", "2026-03-29T01:00", "2026-03-29T02:00"],
    ],
    [
      "skipped, New York",
      "30 2 * * *",
      "America/New_York",
      "2026-03-07T12:00",
      ["2026-03-08T07:00", "2026-03-09T06:30"],
    ],
    [
      "doubled, New York",
      "30 1 * * *",
      "America/New_York",
      "2026-10-31T12:00",
      ["2026-11-01T05:30", "2026-11-02T06:30"],
    ],
    [
      "skipped in 2027, New York",
      "30 2 * * *",
      "America/New_York",
      "2027-03-13T12:00",
      ["2027-03-14T07:00", "2027-03-15T06:30"],
    ],
    [
      "doubled in 2027, New York",
      "30 1 * * *",
      "America/New_York",
      "2027-11-06T12:00",
      ["2027-11-07T05:30", "2027-11-08T06:30"],
    ],
    [
      "skipped half hour, Lord Howe",
      "15 2 * * *",
      "Australia/Lord_Howe",
      "2026-10-02T18:00",
      ["2026-10-03T15:30", "2026-10-04T15:15"],
    ],
    [
      "doubled half hour, Lord Howe",
      "45 1 * * *",
      "Australia/Lord_Howe",
      "2026-04-03T18:00",
      ["2026-04-04T14:45", "2026-04-05T15:15"],
    ],
    [
      "skipped in 2027, Lord Howe",
      "15 2 * * *",
      "Australia/Lord_Howe",
      "2027-10-01T18:00",
      ["2027-10-02T15:30", "2027-10-03T15:15"],
    ],
    [
      "doubled in 2027, Lord Howe",
      "45 1 * * *",
      "Australia/Lord_Howe",
      "2027-04-02T18:00",
      ["2027-04-03T14:45", "2027-04-04T15:15"],
    ],
    [
      "no clock changes, Shanghai",
      "30 2 * * *",
      "Asia/Shanghai",
      "2026-03-28T00:00",
      ["2026-03-28T18:30", "2026-03-29T18:30"],
    ],
    [
      "no clock changes in autumn, Shanghai",
      "30 2 * * *",
      "Asia/Shanghai",
      "2027-10-30T00:00",
      ["2027-10-30T18:30", "2027-10-31T18:30"],
    ],
    [
      "midnight of new year, UTC",
      "0 0 * * *",
      "UTC",
      "2026-12-31T00:00",
      ["2027-01-01T00:00", "2027-01-02T00:00"],
    ],
    [
      "midnight across years, Shanghai",
      "0 0 1 1 *",
      "Asia/Shanghai",
      "2026-06-01T00:00",
      ["2026-12-31T16:00", "2027-12-31T16:00"],
    ],
    [
      "weekdays by name",
      "0 3 * * MON-FRI",
      "UTC",
      "2026-11-20T04:00",
      ["2026-11-23T03:00", "2026-11-24T03:00"],
    ],
  ])("comes when its time zone says so: %s", (_, expression, timeZone, after, runs) => {
    expect(hoursOf(nextRuns(expression, timeZone, utc(after), runs.length))).toEqual(runs);
  });

  it("comes after a time, not at it", () => {
    const midnight = utc("2026-11-24T00:00");
    expect(nextRun("0 0 * * *", "UTC", midnight - 1)).toBe(midnight);
    expect(nextRun("0 0 * * *", "UTC", midnight)).toBe(midnight + 86_400_000);
  });

  it.each([
    ["* * * * * *", "UTC", "must be five fields"],
    ["* * * *", "UTC", "must be five fields"],
    ["@daily", "UTC", "must be five fields"],
    ["? * * * *", "UTC", "must be five fields"],
    ["2026-11-24T00:00:00", "UTC", "must be five fields"],
    ["61 * * * *", "UTC", "Invalid value for minute: 61"],
    ["5-1 * * * *", "UTC", "From value is larger"],
    ["*/0 * * * *", "UTC", "illegal stepping"],
    ["a b c d e", "UTC", "illegal characters"],
    ["0 0 30 2 *", "UTC", "never comes"],
    ["0 0 31 4,6,9,11 *", "UTC", "never comes"],
    ["0 0 * * *", "Mars/Phobos", "not a time zone"],
    ["0 0 * * *", "", "not a time zone"],
  ])("is refused with a reason: %s in %s", (expression, timeZone, reason) => {
    expect(() => validateSchedule(expression, timeZone)).toThrow(
      expect.objectContaining({ code: "SCHEDULE_INVALID", message: expect.stringContaining(reason) }),
    );
  });

  it("is shown to people as its next runs, or refused", async () => {
    const viewer = await asRole("viewer");
    const query = { schedule: "*/15 * * * *", timeZone: "Asia/Shanghai", count: 3 };
    const { data } = await call(viewer, adminApi.previewSchedule, { query });
    expect(data.runs).toHaveLength(3);
    expect(data.runs[1]).toBe((data.runs[0] ?? 0) + 15 * 60_000);
    const refused = await call(viewer, adminApi.previewSchedule, {
      query: { ...query, schedule: "0 0 30 2 *" },
    });
    expect(refused).toMatchObject({ status: 400, code: "SCHEDULE_INVALID" });
  });
});

type Run = { status: string; trigger: string; runs: number; errorMessage: string; commandId: number | null };
const runsOf = async (taskId: number) =>
  (
    await env.DB.prepare(
      `select status, trigger, runs, error_message as errorMessage, command_id as commandId
       from backup_records where task_id = ? order by id`,
    )
      .bind(taskId)
      .all<Run>()
  ).results;
const nextRunAt = async (taskId: number) =>
  (
    await env.DB.prepare("select next_run_at as at from backup_tasks where id = ?")
      .bind(taskId)
      .first<{ at: number }>()
  )?.at;
const noticesOf = async (taskName: string) =>
  (
    await env.DB.prepare("select message from notifications where kind = 'run_missed' and message like ?")
      .bind(`${taskName}:%`)
      .all<{ message: string }>()
  ).results;

/** A task of a node, due at `due`; daily at 02:00 UTC unless said otherwise. */
async function dueTask(due: number, columns: Record<string, unknown> = {}) {
  const node = await aNode();
  const id = await taskRow(node.id, {
    schedule: "0 2 * * *",
    time_zone: "UTC",
    next_run_at: due,
    ...columns,
  });
  return { id, node };
}
const finish = (taskId: number) =>
  env.DB.prepare("update backup_records set status = 'success' where task_id = ? and status <> 'missed'")
    .bind(taskId)
    .run();

describe("a due task", () => {
  const night = utc("2026-11-24T02:00");
  const DAY = 86_400_000;

  // A sweep is about all tasks: what other tests left must not be due.
  beforeEach(async () => {
    await env.DB.prepare("update backup_tasks set next_run_at = null").run();
  });

  it("runs once, and next when its schedule says", async () => {
    const task = await dueTask(night);
    await runDueTasks(at(night - 1), LIMIT);
    expect(await runsOf(task.id)).toEqual([]);
    await runDueTasks(at(night + 12_000), LIMIT);
    await runDueTasks(at(night + 27_000), LIMIT);
    expect(await runsOf(task.id)).toMatchObject([
      { status: "queued", trigger: "schedule", commandId: expect.any(Number) },
    ]);
    expect(await nextRunAt(task.id)).toBe(night + DAY);
  });

  it("is started by one of many sweeps at once", async () => {
    const late = await dueTask(night - 3 * DAY);
    const task = await dueTask(night);
    await Promise.all(Array.from({ length: 8 }, () => runDueTasks(at(night + 1000), LIMIT)));
    expect(await runsOf(task.id)).toMatchObject([{ status: "queued" }]);
    expect(await runsOf(late.id)).toMatchObject([{ status: "missed", runs: 3 }, { status: "queued" }]);
    const commands = await env.DB.prepare("select count(*) as n from agent_commands where node_id in (?, ?)")
      .bind(task.node.id, late.node.id)
      .first();
    expect(commands).toEqual({ n: 2 });
  });

  it("runs once after the master was away for days, with one record of all that was missed", async () => {
    const task = await dueTask(night - 4 * DAY);
    const woken = night + 5 * 3_600_000;
    await runDueTasks(at(woken), LIMIT);
    await runDueTasks(at(woken + 15_000), LIMIT);
    expect(await runsOf(task.id)).toMatchObject([
      {
        status: "missed",
        runs: 4,
        errorMessage:
          "not started: the master was away; 4 runs from 2026-11-20 02:00 UTC to 2026-11-23 02:00 UTC",
      },
      { status: "queued", trigger: "catch_up", runs: 1 },
    ]);
    // From the schedule, not from the late run.
    expect(await nextRunAt(task.id)).toBe(night + DAY);
  });

  it("counts as caught up, with nothing missed, when it only starts hours late", async () => {
    const task = await dueTask(night);
    await runDueTasks(at(night + 7 * 3_600_000), LIMIT);
    expect(await runsOf(task.id)).toMatchObject([{ status: "queued", trigger: "catch_up" }]);
  });

  it("counts at most a hundred missed turns and says that there were more", async () => {
    const task = await dueTask(night - 30 * DAY, { schedule: "* * * * *" });
    await runDueTasks(at(night + 5000), LIMIT);
    expect(await runsOf(task.id)).toMatchObject([
      {
        status: "missed",
        runs: 100,
        errorMessage: expect.stringContaining("more than 100 runs since 2026-10-25 02:00 UTC"),
      },
      { status: "queued", trigger: "catch_up" },
    ]);
    expect(await nextRunAt(task.id)).toBe(night + 60_000);
  });

  it("is not lost when its node is removed at that very moment: its record says why", async () => {
    const task = await dueTask(night);
    const sweep = at(night + 1000);
    const db = new Proxy(sweep.db, {
      get: (target, key) =>
        key === "batch"
          ? async (statements: D1PreparedStatement[]) => {
              await target.prepare("delete from nodes where id = ?").bind(task.node.id).run();
              return target.batch(statements);
            }
          : Reflect.get(target, key).bind(target),
    });
    await runDueTasks({ ...sweep, db }, LIMIT);
    expect(await runsOf(task.id)).toEqual([]);
    await runDueTasks(at(night + 16_000), LIMIT);
    expect(await runsOf(task.id)).toMatchObject([{ status: "missed" }]);
  });

  it("waits for the next minute once this one has started as many as it may", async () => {
    const many = await Promise.all(Array.from({ length: 5 }, () => dueTask(night)));
    let clock = night;
    const minute = {
      ...at(night),
      now: () => clock,
      sleep: async (milliseconds: number) => {
        clock += milliseconds;
      },
      config: { ...deps.config, dueTasksPerMinute: 3 },
    };
    const started = async () =>
      (await Promise.all(many.map(({ id }) => runsOf(id)))).filter((runs) => runs.length === 1).length;
    await sweepForAMinute(minute, night);
    expect(await started()).toBe(3);
    await sweepForAMinute(minute, night + 60_000);
    expect(await started()).toBe(5);
  });

  it("is not lost when a sweep dies after the missed turns were recorded", async () => {
    const task = await dueTask(night - 2 * DAY);
    const dying = at(night + 1000);
    let batches = 0;
    const db = new Proxy(dying.db, {
      get: (target, key) =>
        key === "batch"
          ? (statements: D1PreparedStatement[]) => {
              batches += 1;
              if (batches > 1) throw new Error("Network connection lost");
              return target.batch(statements);
            }
          : Reflect.get(target, key).bind(target),
    });
    await runDueTasks({ ...dying, db }, LIMIT);
    expect(await runsOf(task.id)).toMatchObject([{ status: "missed", runs: 2 }]);
    await runDueTasks(at(night + 16_000), LIMIT);
    expect(await runsOf(task.id)).toMatchObject([{ status: "missed", runs: 2 }, { status: "queued" }]);
    expect(await nextRunAt(task.id)).toBe(night + DAY);
  });

  it("waits on a node that sleeps, runs once when it wakes, and counts what it could not start meanwhile", async () => {
    const task = await dueTask(night);
    await set("nodes", task.node.id, { status: "offline", last_seen: 5 });
    for (let day = 0; day < 4; day++) await runDueTasks(at(night + day * DAY + 1000), LIMIT);
    expect(await runsOf(task.id)).toMatchObject([
      { status: "queued", trigger: "schedule" },
      { status: "missed", runs: 3, errorMessage: "not started: the run before was still going" },
    ]);
    expect(await nextRunAt(task.id)).toBe(night + 4 * DAY);
    await finish(task.id);
    await runDueTasks(at(night + 4 * DAY + 1000), LIMIT);
    expect((await runsOf(task.id)).map(({ status }) => status)).toEqual(["success", "missed", "queued"]);
  });

  it("tells people once of what is missed for one reason", async () => {
    const task = await dueTask(night);
    for (let day = 0; day < 4; day++) await runDueTasks(at(night + day * DAY + 1000), LIMIT);
    const { name } = (await env.DB.prepare("select name from backup_tasks where id = ?")
      .bind(task.id)
      .first<{ name: string }>()) ?? { name: "" };
    expect(await noticesOf(name)).toEqual([
      { message: `${name}: not started: the run before was still going` },
    ]);
  });

  it("is missed with a reason when its pool is empty, and tried again at its next turn", async () => {
    const id = await taskRow(null, {
      pool_label: "nobody",
      schedule: "0 2 * * *",
      time_zone: "UTC",
      next_run_at: night,
    });
    await runDueTasks(at(night + 1000), LIMIT);
    expect(await runsOf(id)).toMatchObject([
      {
        status: "missed",
        runs: 1,
        errorMessage: expect.stringMatching(/^not started: .*nobody/),
        commandId: null,
      },
    ]);
    expect(await nextRunAt(id)).toBe(night + DAY);
  });

  it("is missed with a reason when its node is gone, and runs nowhere else", async () => {
    const id = await taskRow(987_654, { schedule: "0 2 * * *", time_zone: "UTC", next_run_at: night });
    await runDueTasks(at(night + 1000), LIMIT);
    expect(await runsOf(id)).toMatchObject([
      { status: "missed", errorMessage: "not started: there is no node 987654" },
    ]);
    expect(await nextRunAt(id)).toBe(night + DAY);
  });

  it("stands still, with a reason, when its schedule has become invalid", async () => {
    const task = await dueTask(night, { time_zone: "Mars/Phobos" });
    await runDueTasks(at(night + 1000), LIMIT);
    expect(await runsOf(task.id)).toMatchObject([
      { status: "missed", errorMessage: expect.stringContaining("Mars/Phobos") },
    ]);
    expect(await nextRunAt(task.id)).toBeNull();
  });

  it("does not run while it is disabled", async () => {
    const task = await dueTask(night, { enabled: 0 });
    await runDueTasks(at(night + 1000), LIMIT);
    expect(await runsOf(task.id)).toEqual([]);
  });

  it("is started although the Doorbell is dead", async () => {
    const task = await dueTask(night);
    const away = () => {
      throw new Error("the object is overloaded");
    };
    const dead = connectBell({ getByName: away } as unknown as typeof env.DOORBELL, 1);
    await runDueTasks({ ...at(night + 1000), bell: dead }, LIMIT);
    expect(await runsOf(task.id)).toMatchObject([{ status: "queued" }]);
  });

  it("at midnight UTC runs on the day that begins", async () => {
    const midnight = utc("2027-01-01T00:00");
    const task = await dueTask(midnight, { schedule: "0 0 * * *" });
    await runDueTasks(at(midnight - 1), LIMIT);
    expect(await runsOf(task.id)).toEqual([]);
    await runDueTasks(at(midnight), LIMIT);
    expect(await runsOf(task.id)).toMatchObject([{ status: "queued" }]);
    expect(await nextRunAt(task.id)).toBe(midnight + DAY);
  });

  it("waits its turn when many are due, and makes no more queries than a sweep may", async () => {
    const many = await Promise.all(
      Array.from({ length: 14 }, () => dueTask(night - 20 * DAY, { schedule: "0 2 1 1 *" })),
    );
    const { deps: counted, count } = counting(at(night));
    await runDueTasks(counted, LIMIT);
    const started = async () =>
      (await Promise.all(many.map(({ id }) => runsOf(id)))).filter((runs) => runs.length === 1).length;
    expect(await started()).toBe(10);
    // The look-up, then 4 calls a task, one of them a batch of 5.
    expect(count.queries).toBeLessThanOrEqual(1 + 10 * 8);
    await runDueTasks(at(night + 15_000), LIMIT);
    expect(await started()).toBe(14);
  });
});
