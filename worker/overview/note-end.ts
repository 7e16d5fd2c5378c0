import type { Deps } from "../deps.ts";
import { dayOf } from "./day.ts";

const HOUR_MS = 3_600_000;
/** Below this, half of it says nothing. */
const SHRINKING_FROM_BYTES = 65_536;

/** After a turn of a schedule the next success may take half as long again as it was to the next turn. */
const dueBy = `next_run_at + max(${HOUR_MS}, (next_run_at - r.created_at) / 2)`;
/** Only full backups are like each other; what was read says more than what was left of it after compression. */
const measured = "(r.status = 'success' and r.kind = 'full' and r.bytes > 0)";

/**
 * The statements that count a record's end and note it with its task, so that nobody has to look through records to
 * know how things are. Put them right after the statement that closed it, in the same batch: they do nothing unless it
 * did. `late`: it had been counted as failed before.
 */
export function noteEndStatements(
  deps: Deps,
  recordId: number,
  at: number,
  { late = false } = {},
): D1PreparedStatement[] {
  return [
    deps.db
      .prepare(
        `insert into daily_counts (day, succeeded, failed, stored_bytes)
         select ?2, status = 'success', (status = 'failed') - ?3, iif(status = 'success', size_bytes, 0)
         from backup_records where changes() > 0 and id = ?1
         on conflict do update set succeeded = succeeded + excluded.succeeded,
           failed = max(0, failed + excluded.failed), stored_bytes = stored_bytes + excluded.stored_bytes`,
      )
      .bind(recordId, dayOf(at), Number(late)),
    noteTaskStatement(deps, recordId, at),
  ];
}

/** The statements for turns of a schedule that came to nothing: `runs` of them, all in the task's newest record. */
export function noteMissedStatements(
  deps: Deps,
  { taskId, runs }: { taskId: number; runs: number },
  at: number,
): D1PreparedStatement[] {
  return [
    deps.db
      .prepare(
        `insert into daily_counts (day, missed) select ?1, ?2 where changes() > 0
         on conflict do update set missed = missed + ?2`,
      )
      .bind(dayOf(at), runs),
    noteTaskStatement(deps, null, at, taskId),
  ];
}

function noteTaskStatement(
  { db }: Deps,
  recordId: number | null,
  at: number,
  taskId: number | null = null,
): D1PreparedStatement {
  const record = recordId === null ? "(select max(id) from backup_records where task_id = ?1)" : "?1";
  return db
    .prepare(
      `update backup_tasks set outcome = r.status, ended_at = ?2, ended_record_id = r.id,
         succeeded_at = iif(r.status = 'success', ?2, succeeded_at),
         overdue_at = case when next_run_at is null then null
           when r.status = 'success' or overdue_at is null then ${dueBy} else overdue_at end,
         shrunk_at = case when not ${measured} then shrunk_at
           when usual_bytes >= ${SHRINKING_FROM_BYTES} and r.bytes < usual_bytes / 2 then coalesce(shrunk_at, ?2) end,
         usual_bytes = case when not ${measured} then usual_bytes
           else coalesce((usual_bytes * 4 + r.bytes) / 5, r.bytes) end
       from (select id, task_id, status, kind, created_at, coalesce(source_bytes, size_bytes) as bytes
             from backup_records where id = ${record}) r
       where changes() > 0 and backup_tasks.id = r.task_id and r.status in ('success', 'failed', 'missed')`,
    )
    .bind(recordId ?? taskId, at);
}
