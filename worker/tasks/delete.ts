import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { countTasksStatement, tallyIfChanged } from "../overview/tally.ts";
import type { Actor } from "../users/actor.ts";
import { noSuchTask, readTask } from "./read.ts";
import { tagStatements } from "./tags.ts";

const ACTIVE = "select id from backup_records where task_id = ?1 and status in ('queued', 'running')";
/** A snapshot that is still to be forgotten counts as well: only the task's password opens its repository. */
const RESTORABLE = `select 1 from backup_records r where r.task_id = ?1 and r.status = 'success'
  and exists (select 1 from record_copies c where c.record_id = r.id and (c.status = 'success'
    or c.status in ('deleting', 'delete_failed') and r.pipeline ->> 'engine' = 'restic'))`;

/**
 * Removes a task that is not running and whose records can no longer be restored; else TASK_ALREADY_RUNNING, or
 * TASK_HAS_RECORDS with their count.
 */
export async function deleteTask(deps: Deps, actor: Actor, id: number): Promise<void> {
  const before = await readTask(deps, id);
  const [deleted] = await deps.db.batch([
    deps.db
      .prepare(
        `delete from backup_tasks where id = ?1 and not exists (${ACTIVE}) and not exists (${RESTORABLE})`,
      )
      .bind(id),
    auditIfChanged(deps, actor, {
      action: "task.delete",
      entity: "backup_task",
      entityId: id,
      before,
    }),
    tallyIfChanged(deps, "tasks", -1),
    deps.db
      .prepare(
        "delete from task_targets where task_id = ?1 and not exists (select 1 from backup_tasks where id = ?1)",
      )
      .bind(id),
    ...tagStatements(deps, id),
    countTasksStatement(deps, [before.nodeId]),
  ]);
  if (deleted?.meta.changes !== 1) throw await whyNot(deps, id, before.name);
}

async function whyNot({ db }: Deps, id: number, name: string): Promise<DomainError> {
  const found = await db
    .prepare(`select (${ACTIVE}) as recordId, (select count(*) from (${RESTORABLE})) as records`)
    .bind(id)
    .first<{ recordId: number | null; records: number }>();
  if (found && found.recordId !== null) {
    return new DomainError(
      "TASK_ALREADY_RUNNING",
      `${name} is running: record ${found.recordId}; cancel it first`,
      { details: { recordId: found.recordId } },
    );
  }
  if (found && found.records > 0) {
    return new DomainError(
      "TASK_HAS_RECORDS",
      `${name} has ${found.records} restorable ${found.records === 1 ? "record" : "records"}: delete those first, or disable the task`,
      { details: { records: found.records } },
    );
  }
  return noSuchTask(id);
}
