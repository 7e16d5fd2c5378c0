import { auditIfChanged } from "../audit/entry.ts";
import { cancelCommand } from "../commands/cancel.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { forgetUnreachable } from "../records/forget.ts";
import { recordLocked } from "../records/remove.ts";
import { askNodesStatements, deleteFromVault } from "../records/remove-all.ts";
import type { Actor } from "../users/actor.ts";
import { notMade } from "./close.ts";

type Copy = {
  status: string;
  targetName: string;
  storagePath: string;
  commandId: number | null;
  nodeId: number | null;
};

/**
 * Removes one copy of a record: never its last good one, and none while the record is locked or something reads or
 * copies it. A copy that is being made is stopped instead; with `forget`, one that an earlier call could not remove is
 * given up.
 */
export async function removeCopy(
  deps: Deps,
  actor: Actor,
  recordId: number,
  targetId: number,
  { forget = false }: { forget?: boolean } = {},
): Promise<void> {
  const copy = await readCopy(deps, recordId, targetId);
  if (copy.status === "copying") return cancelCopy(deps, actor, recordId, targetId, copy);
  const asked = copy.status === "deleting" || copy.status === "delete_failed";
  if (forget && asked) return forgetUnreachable(deps, actor, recordId, targetId);
  const at = deps.now();
  const ids = JSON.stringify([recordId]);
  const [marked] = await deps.db.batch([
    markStatement(deps, recordId, targetId, at),
    auditIfChanged(deps, actor, {
      action: "record.remove_copy",
      entity: "backup_record",
      entityId: recordId,
      before: { target: copy.targetName, status: copy.status, storagePath: copy.storagePath },
    }),
    // One that failed and left nothing is only a line.
    deps.db
      .prepare(
        `delete from record_copies where record_id = ? and target_id = ? and status = 'deleting' and updated_at = ?
           and storage_path = ''`,
      )
      .bind(recordId, targetId, at),
    ...askNodesStatements(deps, ids, at),
  ]);
  if (marked?.meta.changes !== 1) throw await whyNot(deps, recordId, copy.targetName);
  await deleteFromVault(deps, [recordId]);
  if (copy.nodeId !== null) await deps.bell.ring([copy.nodeId]);
}

async function readCopy({ db }: Deps, recordId: number, targetId: number): Promise<Copy> {
  const known = await db.prepare("select 1 from backup_records where id = ?").bind(recordId).first();
  if (!known) throw new DomainError("BACKUP_RECORD_NOT_FOUND", `there is no record ${recordId}`);
  const copy = await db
    .prepare(
      `select c.status, c.target_name as targetName, c.storage_path as storagePath, c.command_id as commandId,
         coalesce((select node_id from agent_commands where id = c.command_id), r.node_id) as nodeId
       from record_copies c join backup_records r on r.id = c.record_id
       where c.record_id = ? and c.target_id = ?`,
    )
    .bind(recordId, targetId)
    .first<Copy>();
  if (!copy) throw new DomainError("COPY_NOT_FOUND", `record ${recordId} has no copy in target ${targetId}`);
  return copy;
}

function cancelCopy(
  deps: Deps,
  actor: Actor,
  recordId: number,
  targetId: number,
  { commandId, nodeId, status, targetName }: Copy,
): Promise<void> {
  return cancelCommand(
    deps,
    { id: recordId, commandId, nodeId, status },
    {
      closing: deps.db
        .prepare(
          `update record_copies set status = ${notMade}, error = ?1, progress = null, updated_at = ?2,
             storage_path = case when size_bytes > 0 then storage_path else '' end
           where changes() > 0 and record_id = ?3 and target_id = ?4 and command_id = ?5 and status = 'copying'`,
        )
        .bind(`cancelled by ${actor.name} before it started`, deps.now(), recordId, targetId, commandId),
      audit: auditIfChanged(deps, actor, {
        action: "record.cancel_copy",
        entity: "backup_record",
        entityId: recordId,
        before: { target: targetName },
      }),
    },
  );
}

/** A good copy goes only if another good one stays, and only if nobody may be reading it. */
function markStatement({ db }: Deps, recordId: number, targetId: number, at: number): D1PreparedStatement {
  return db
    .prepare(
      `update record_copies set status = 'deleting', updated_at = ?3, error = coalesce(
         (select 'waits for ' || n.name || ' to remove it' from backup_records r join nodes n on n.id = r.node_id
          where r.id = ?1), 'waits for a node to remove it')
       where record_id = ?1 and target_id = ?2 and status <> 'copying'
         and (status not in ('success', 'damaged') or (
         (select locked from backup_records where id = ?1) = 0
         and exists (select 1 from record_copies where record_id = ?1 and target_id <> ?2 and status = 'success')
         and not exists (select 1 from record_copies where record_id = ?1 and status = 'copying')
         and not exists (select 1 from restore_records
           where record_id = ?1 and target_id = ?2 and status in ('queued', 'running'))
         and not exists (select 1 from backup_records d join restore_records s on s.record_id = d.id
           where d.base_record_id = ?1 and s.status in ('queued', 'running'))
         and not exists (select 1 from verifications
           where record_id = ?1 and target_id = ?2 and status in ('queued', 'running'))))`,
    )
    .bind(recordId, targetId, at);
}

async function whyNot({ db }: Deps, recordId: number, targetName: string): Promise<DomainError> {
  const row = await db
    .prepare(
      `select locked, (select count(*) from record_copies where record_id = ?1 and status = 'success') as good
       from backup_records where id = ?1`,
    )
    .bind(recordId)
    .first<{ locked: number; good: number }>();
  if (row?.locked === 1) return recordLocked(recordId);
  if (row && row.good < 2) {
    return new DomainError(
      "LAST_COPY",
      `the copy in ${targetName} is the last good one of record ${recordId}: delete the record, or copy it elsewhere first`,
    );
  }
  return new DomainError(
    "RECORD_BUSY",
    `record ${recordId} is being restored, verified or copied; cancel that first`,
  );
}
