import { objects } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { nextRun } from "../schedules/expression.ts";
import { system } from "../users/actor.ts";
import { startVerification } from "./start.ts";

/** A verification that starts later than this after its time is called a catch-up. */
const LATE_MS = 5 * 60_000;
/** The newest records that are looked at for one that succeeded. */
const MAX_LOOKED_AT = 100;

type DueTask = { id: number; name: string; verification: string; timeZone: string; nextVerifyAt: number };

/**
 * Starts the verifications whose time has come, each turn once however many sweeps see it, and after an absence of the
 * master one instead of all that were missed. At most `limit` tasks are looked at, the rest waits. Returns how many.
 */
export async function runDueVerifications(deps: Deps, limit: number): Promise<number> {
  const { results } = await deps.db
    .prepare(
      `select id, name, verification, time_zone as timeZone, next_verify_at as nextVerifyAt from backup_tasks
       where next_verify_at <= ? and enabled = 1 and verification is not null order by next_verify_at limit ?`,
    )
    .bind(deps.now(), limit)
    .all<DueTask>();
  for (const task of results) {
    try {
      await runTurn(deps, task);
    } catch (error) {
      deps.log("scheduled verification not started", { taskId: task.id, error: String(error) });
    }
  }
  return results.length;
}

async function runTurn(deps: Deps, task: DueTask): Promise<void> {
  const { grade, schedule, nodeId } = objects.taskVerification.parse(JSON.parse(task.verification));
  const now = deps.now();
  const due = { expected: task.nextVerifyAt, next: nextRun(schedule, task.timeZone, now) };
  const recordId = await newestRecord(deps, task.id);
  if (recordId === null) return skip(deps, task, due, null);
  const trigger = now - task.nextVerifyAt > LATE_MS ? "catch_up" : "schedule";
  const request = { grade, identityFile: null, ...(nodeId === null ? {} : { nodeId }) };
  try {
    const started = await startVerification(deps, system, recordId, request, { trigger, due });
    if (started === null) await skip(deps, task, due, "the one before is still going");
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    await skip(deps, task, due, error.message);
  }
}

async function newestRecord({ db }: Deps, taskId: number): Promise<number | null> {
  const row = await db
    .prepare(
      `select id from (select id, status, deleted_at from backup_records where task_id = ?1
         order by id desc limit ${MAX_LOOKED_AT})
       where status = 'success' and deleted_at is null order by id desc limit 1`,
    )
    .bind(taskId)
    .first<{ id: number }>();
  return row?.id ?? null;
}

/** Lets a turn pass, unless another sweep has taken it; with a reason, people are told. */
async function skip(
  { db, now }: Deps,
  task: DueTask,
  due: { expected: number; next: number | null },
  reason: string | null,
): Promise<void> {
  await db.batch([
    db
      .prepare("update backup_tasks set next_verify_at = ? where id = ? and next_verify_at = ?")
      .bind(due.next, task.id, due.expected),
    ...(reason === null
      ? []
      : [
          db
            .prepare(
              "insert into notifications (at, kind, message, details) select ?, ?, ?, ? where changes() > 0",
            )
            .bind(
              now(),
              "verification_missed",
              `${task.name}: not verified: ${reason}`,
              JSON.stringify({ name: task.name, reason }),
            ),
        ]),
  ]);
}
