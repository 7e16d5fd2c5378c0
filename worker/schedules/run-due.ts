import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { startRun } from "../records/start-run.ts";
import { system } from "../users/actor.ts";
import { nextRun, validateSchedule } from "./expression.ts";
import { recordMissed } from "./record-missed.ts";

/** Missed turns counted one by one, at 0.1 ms of CPU each. */
const MAX_COUNTED = 100;
/** A run that starts later than this after its time is called a catch-up. */
const LATE_MS = 5 * 60_000;

type DueTask = { id: number; name: string; schedule: string; timeZone: string; nextRunAt: number };

/** The turns of a task whose time has come, oldest first: all but the last are missed, the last one runs now. */
type Turns = { times: number[]; next: number | null };

/**
 * Starts the tasks whose time has come, each turn once however many sweeps see it. What cannot be started leaves a
 * missed record that says why; an unexpected failure leaves the task for the next sweep. At most `limit` tasks are
 * looked at, the rest waits: each costs 4 database calls, 6 when turns were missed. Returns how many were due.
 */
export async function runDueTasks(deps: Deps, limit: number): Promise<number> {
  const tasks = await dueTasks(deps, limit);
  for (const task of tasks) {
    try {
      await runTask(deps, task);
    } catch (error) {
      deps.log("scheduled run not started", { taskId: task.id, error: String(error) });
    }
  }
  return tasks.length;
}

async function dueTasks({ db, now }: Deps, limit: number): Promise<DueTask[]> {
  const { results } = await db
    .prepare(
      `select id, name, schedule, time_zone as timeZone, next_run_at as nextRunAt from backup_tasks
       where next_run_at <= ? and enabled = 1 and schedule is not null order by next_run_at limit ?`,
    )
    .bind(now(), limit)
    .all<DueTask>();
  return results;
}

async function runTask(deps: Deps, task: DueTask): Promise<void> {
  const now = deps.now();
  const turns = turnsUntil(task, now);
  if (turns instanceof DomainError) {
    return skip(deps, task, { expected: task.nextRunAt, next: null }, `not started: ${turns.message}`);
  }
  if (turns.times.length === 1) {
    const trigger = now - task.nextRunAt > LATE_MS ? "catch_up" : "schedule";
    return start(deps, task, trigger, { expected: task.nextRunAt, next: turns.next });
  }
  // The schedule then stands at `now`: a sweep that dies between the two statements has lost nothing.
  const won = await recordMissed(deps, {
    taskId: task.id,
    taskName: task.name,
    expected: task.nextRunAt,
    next: now,
    ...whatWasMissed(turns),
  });
  if (won) await start(deps, task, "catch_up", { expected: now, next: turns.next });
}

type Due = { expected: number; next: number | null };

async function start(deps: Deps, task: DueTask, trigger: "schedule" | "catch_up", due: Due): Promise<void> {
  try {
    await startRun(deps, system, { taskId: task.id, trigger, due });
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    const running = error.code === "TASK_ALREADY_RUNNING";
    await skip(
      deps,
      task,
      due,
      running ? "not started: the run before was still going" : `not started: ${error.message}`,
    );
  }
}

async function skip(deps: Deps, task: DueTask, due: Due, reason: string): Promise<void> {
  await recordMissed(deps, { taskId: task.id, taskName: task.name, ...due, runs: 1, reason });
}

function turnsUntil(task: DueTask, now: number): Turns | DomainError {
  try {
    validateSchedule(task.schedule, task.timeZone);
    const after = (at: number) => nextRun(task.schedule, task.timeZone, at);
    const times = [task.nextRunAt];
    for (let at = after(task.nextRunAt); at !== null && at <= now; at = after(at)) {
      times.push(at);
      if (times.length > MAX_COUNTED + 1) break;
    }
    return { times, next: after(now) };
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
}

function whatWasMissed({ times }: Turns): { runs: number; reason: string } {
  const missed = times.slice(0, -1);
  const from = inUtc(missed[0] ?? 0);
  const away = "not started: the master was away";
  if (missed.length === 1) return { runs: 1, reason: `${away} at ${from}` };
  return missed.length > MAX_COUNTED
    ? { runs: MAX_COUNTED, reason: `${away}; more than ${MAX_COUNTED} runs since ${from}` }
    : {
        runs: missed.length,
        reason: `${away}; ${missed.length} runs from ${from} to ${inUtc(missed.at(-1) ?? 0)}`,
      };
}

const inUtc = (at: number) => `${new Date(at).toISOString().slice(0, 16).replace("T", " ")} UTC`;
