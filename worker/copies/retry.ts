import type { Deps } from "../deps.ts";

/** Time for a target to come back that was away when the backup was made. */
const WAIT_MS = 15 * 60_000;

/**
 * Statements that have a target, which a backup could not write to though it could to another one, tried once more: by
 * copying from the good copy. They follow the one that closed the record at `at`. The copy shows its failure until then;
 * what fails again waits for a person.
 */
export function retryCopyStatements(
  { db }: Deps,
  recordId: number,
  targetId: number,
  at: number,
): D1PreparedStatement[] {
  return [
    db
      .prepare(
        `insert into agent_commands (node_id, type, lane, payload, record_id, not_before, created_at, updated_at)
         select r.node_id, 'copy_record', 'work',
           json_object('recordId', r.id, 'toTargetId', ?2, 'fromTargetId', null, 'targetKey', good.storage_path),
           r.id, ?4, ?3, ?3
         from backup_records r
           join record_copies good on good.record_id = r.id and good.status = 'success' and good.storage_path <> ''
           join record_copies lost on lost.record_id = r.id and lost.target_id = ?2 and lost.status = 'failed'
         where r.id = ?1 and r.status = 'success' and r.finished_at = ?3 and r.deleted_at is null
           and r.pipeline ->> 'engine' is not 'restic' and lost.command_id is null
           and exists (select 1 from nodes where id = r.node_id)
         limit 1`,
      )
      .bind(recordId, targetId, at, at + WAIT_MS),
    db
      .prepare(
        `update record_copies set command_id = last_insert_rowid()
         where changes() > 0 and record_id = ? and target_id = ?`,
      )
      .bind(recordId, targetId),
  ];
}
