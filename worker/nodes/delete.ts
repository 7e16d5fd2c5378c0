import { auditIfChanged } from "../audit/entry.ts";
import { notMade } from "../copies/close.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { tallyIfChanged } from "../overview/tally.ts";
import type { Actor } from "../users/actor.ts";
import { forgetLostCopiesStatements } from "./forget-lost-copies.ts";
import { readNode } from "./read.ts";
import { noSuchNode } from "./status.ts";

const TASKS = "select 1 from backup_tasks where node_id = ?1";
/** A copy on a node's own disk: no other machine can read it. */
const RECORDS_ONLY_IT_CAN_RESTORE = `select 1 from backup_records r
  where r.node_id = ?1 and r.status = 'success' and exists (
    select 1 from record_copies c join storage_targets t on t.id = c.target_id
    where c.record_id = r.id and c.status = 'success' and t.type = 'local_disk')`;

/**
 * Removes a node that no task is bound to and that no record needs for its restore; else NODE_HAS_TASKS or
 * NODE_HAS_RECORDS with their count. What was queued for it or handed to it ends with it.
 */
export async function deleteNode(deps: Deps, actor: Actor, id: number): Promise<void> {
  const { name, hostname } = await readNode(deps, id);
  const [deleted] = await deps.db.batch([
    deps.db
      .prepare(
        `delete from nodes where id = ?1 and not exists (${TASKS})
           and not exists (${RECORDS_ONLY_IT_CAN_RESTORE})`,
      )
      .bind(id),
    auditIfChanged(deps, actor, {
      action: "node.delete",
      entity: "node",
      entityId: id,
      before: { name, hostname },
    }),
    tallyIfChanged(deps, "nodes", -1),
    ...forgetLostCopiesStatements(deps, id),
    ...endWorkStatements(deps, id),
  ]);
  if (deleted?.meta.changes !== 1) throw await whyNot(deps, id, name);
  await deps.bell.kick([id]);
}

/** Each looks whether the node is really gone, since the statement that removes it may have refused. */
function endWorkStatements({ db, now }: Deps, id: number): D1PreparedStatement[] {
  const gone = "not exists (select 1 from nodes where id = ?1)";
  const closeRuns = (table: string, column: string) =>
    db
      .prepare(
        `update ${table} set status = case status when 'queued' then 'cancelled' else 'failed' end,
           error_message = 'its node was deleted', progress = null, finished_at = ?2
         where status in ('queued', 'running') and ${gone} and id in (
           select ${column} from agent_commands where node_id = ?1 and completed_at is null)`,
      )
      .bind(id, now());
  return [
    closeRuns("backup_records", "record_id"),
    closeRuns("restore_records", "restore_id"),
    closeRuns("verifications", "verification_id"),
    db
      .prepare(
        `update record_copies set status = ${notMade}, error = 'its node was deleted', progress = null, updated_at = ?2
         where status = 'copying' and ${gone} and (record_id, command_id) in (
           select record_id, id from agent_commands where node_id = ?1 and completed_at is null
             and type = 'copy_record')`,
      )
      .bind(id, now()),
    db
      .prepare(
        `update agent_commands set status = case status when 'pending' then 'cancelled' else 'failed' end,
           error_message = 'its node was deleted', completed_at = ?2, updated_at = ?2
         where node_id = ?1 and completed_at is null and ${gone}`,
      )
      .bind(id, now()),
    db.prepare(`delete from install_codes where node_id = ?1 and ${gone}`).bind(id),
  ];
}

async function whyNot({ db }: Deps, id: number, name: string): Promise<DomainError> {
  const counts = await db
    .prepare(
      `select (select count(*) from (${TASKS})) as tasks,
         (select count(*) from (${RECORDS_ONLY_IT_CAN_RESTORE})) as records`,
    )
    .bind(id)
    .first<{ tasks: number; records: number }>();
  if (counts && counts.tasks > 0) {
    return new DomainError(
      "NODE_HAS_TASKS",
      `${name} has ${counts.tasks} ${counts.tasks === 1 ? "task" : "tasks"}: move or delete them first`,
      { details: { tasks: counts.tasks } },
    );
  }
  if (counts && counts.records > 0) {
    return new DomainError(
      "NODE_HAS_RECORDS",
      `${name} holds ${counts.records} ${counts.records === 1 ? "backup" : "backups"} on its own disk, which only it can restore: delete those records first`,
      { details: { records: counts.records } },
    );
  }
  return noSuchNode(id);
}
