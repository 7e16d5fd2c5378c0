import type { Deps } from "../deps.ts";
import { notifyIfRecorded } from "../notify/record.ts";
import { noteMissedStatements } from "../overview/note-end.ts";

/** Turns of a schedule that come to nothing: `runs` of them, starting with the one at `expected`. */
export type Missed = {
  taskId: number;
  taskName: string;
  expected: number;
  /** The task's new next_run_at. */
  next: number | null;
  runs: number;
  reason: string;
};

/** Where in the batch the schedule is moved on. */
const TURN = 3;

/**
 * Records turns that were missed and moves the schedule on, if it still stands at `expected`; returns whether it did.
 * Turns that are missed one after the other for the same reason are one record that counts them, so that a task of every
 * minute on a sleeping node does not fill the history.
 */
export async function recordMissed(deps: Deps, missed: Missed): Promise<boolean> {
  const results = await deps.db.batch([
    countStatement(deps, missed),
    insertStatement(deps, missed),
    notifyIfRecorded(deps, {
      kind: "run_missed",
      message: `${missed.taskName}: ${missed.reason}`,
      details: { name: missed.taskName, reason: missed.reason },
    }),
    deps.db
      .prepare("update backup_tasks set next_run_at = ? where id = ? and next_run_at = ?")
      .bind(missed.next, missed.taskId, missed.expected),
    ...noteMissedStatements(deps, missed, deps.now()),
  ]);
  return results[TURN]?.meta.changes === 1;
}

function countStatement({ db, now }: Deps, missed: Missed): D1PreparedStatement {
  return db
    .prepare(
      `update backup_records set runs = runs + ?1, finished_at = ?2
       where id = (select max(id) from backup_records where task_id = ?3)
         and status = 'missed' and error_message = ?4
         and exists (select 1 from backup_tasks where id = ?3 and next_run_at = ?5)`,
    )
    .bind(missed.runs, now(), missed.taskId, missed.reason, missed.expected);
}

function insertStatement({ db, now }: Deps, missed: Missed): D1PreparedStatement {
  return db
    .prepare(
      `insert into backup_records (task_id, task_name, node_id, status, trigger, source_type, compression, source,
         pipeline, target_ids, runs, error_message, created_at, finished_at)
       select id, name, node_id, 'missed', 'schedule', source ->> 'type', pipeline ->> 'compression', source, pipeline,
         (select json_group_array(target_id) from (
            select target_id from task_targets where task_id = backup_tasks.id order by position)), ?1, ?2, ?3, ?3
       from backup_tasks where changes() = 0 and id = ?4 and next_run_at = ?5`,
    )
    .bind(missed.runs, missed.reason, now(), missed.taskId, missed.expected);
}
