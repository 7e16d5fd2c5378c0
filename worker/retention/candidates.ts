import { objects } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import type { Candidate } from "./choose.ts";

/**
 * Newest records of a task that are looked at, failures among them, which nothing removes. What is older than these
 * stays: each rule counts from the newest on, so that nothing is kept or removed for not having seen it.
 */
const MAX_LOOKED_AT = 3000;

export type Kept = { policy: objects.Retention | null; timeZone: string; candidates: Candidate[] };

/** A task's retention and the good records that it is about; null when there is no such task. */
export async function readCandidates({ db }: Deps, taskId: number): Promise<Kept | null> {
  const task = await db
    .prepare("select retention, time_zone as timeZone from backup_tasks where id = ?")
    .bind(taskId)
    .first<{ retention: string | null; timeZone: string }>();
  if (!task) return null;
  const { results } = await db
    .prepare(
      `select id, coalesce(started_at, created_at) as at, base_record_id as baseId, locked,
         exists (select 1 from record_copies where record_id = r.id and status = 'success') as stored,
         exists (select 1 from record_copies where record_id = r.id and status = 'copying')
           or exists (select 1 from restore_records where record_id = r.id and status in ('queued', 'running'))
           or exists (select 1 from verifications where record_id = r.id and status in ('queued', 'running')) as busy
       from (select * from backup_records where task_id = ? order by id desc limit ${MAX_LOOKED_AT}) r
       where status = 'success' and deleted_at is null`,
    )
    .bind(taskId)
    .all<{ id: number; at: number; baseId: number | null; locked: number; stored: number; busy: number }>();
  return {
    policy: task.retention === null ? null : objects.retention.parse(JSON.parse(task.retention)),
    timeZone: task.timeZone,
    candidates: results.map((row) => ({
      ...row,
      locked: row.locked === 1,
      stored: row.stored === 1,
      busy: row.busy === 1,
    })),
  };
}
