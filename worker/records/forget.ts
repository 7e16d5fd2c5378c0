import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import type { Actor } from "../users/actor.ts";
import { dropEmptyStatements, forgetCopyStatements } from "./settle-deletion.ts";

type Copy = { targetId: number; targetName: string; storagePath: string; error: string };

/**
 * Gives up the copies of a record that were asked to be removed and are still there, for a target or a node that is
 * gone for good; of one target only when that is named. Their objects stay where they are: the audit log keeps their
 * paths. Commands that still wait for their removal are withdrawn.
 */
export async function forgetUnreachable(
  deps: Deps,
  actor: Actor,
  recordId: number,
  targetId: number | null = null,
): Promise<void> {
  const { db, now } = deps;
  const known = await db.prepare("select 1 from backup_records where id = ?").bind(recordId).first();
  if (!known) throw new DomainError("BACKUP_RECORD_NOT_FOUND", `there is no record ${recordId}`);
  const { results: copies } = await db
    .prepare(
      `select target_id as targetId, target_name as targetName, storage_path as storagePath, error from record_copies
       where record_id = ?1 and status in ('deleting', 'delete_failed') and (?2 is null or target_id = ?2)`,
    )
    .bind(recordId, targetId)
    .all<Copy>();
  if (copies.length === 0) return;
  await db.batch([
    ...copies.flatMap((copy) => [
      ...forgetCopyStatements(deps, recordId, copy.targetId),
      auditIfChanged(deps, actor, {
        action: "record.forget_copy",
        entity: "backup_record",
        entityId: recordId,
        before: copy,
      }),
    ]),
    db
      .prepare(
        `update agent_commands set status = 'cancelled', error_message = 'this copy was given up', completed_at = ?1,
           updated_at = ?1
         where completed_at is null and status = 'pending' and type = 'delete_storage_object' and record_id = ?2
           and node_id in (select id from nodes) and (?3 is null or payload ->> 'targetId' = ?3)`,
      )
      .bind(now(), recordId, targetId),
    ...dropEmptyStatements(deps, [recordId]),
  ]);
}
