import { enqueueStatement } from "../commands/enqueue.ts";
import type { Deps } from "../deps.ts";

type DeletionCommand = { nodeId: number; payload: string; recordId: number | null };

/** A copy that could not be removed is tried again this often, until it is. */
const RETRY_MS = 6 * 3_600_000;

/** Takes a node's answer to "delete this object": the copy is gone, or its reason is kept and it is tried again. */
export async function settleDeletion(
  deps: Deps,
  command: DeletionCommand,
  error: string | null,
): Promise<void> {
  const payload = JSON.parse(command.payload) as { targetId: number; storagePath: string };
  if (command.recordId === null) return;
  if (error === null) {
    await deps.db.batch([
      ...forgetCopyStatements(deps, command.recordId, payload.targetId),
      ...dropEmptyStatements(deps, [command.recordId]),
    ]);
    return;
  }
  const [kept] = await deps.db.batch([
    deps.db
      .prepare(
        `update record_copies set status = 'delete_failed', error = ?
         where record_id = ? and target_id = ? and status in ('deleting', 'delete_failed')`,
      )
      .bind(error, command.recordId, payload.targetId),
  ]);
  // Somebody gave this copy up meanwhile: nobody waits for its removal any more.
  if (kept?.meta.changes !== 1) return;
  await enqueueStatement(deps, {
    nodeId: command.nodeId,
    type: "delete_storage_object",
    payload,
    recordId: command.recordId,
    notBefore: deps.now() + RETRY_MS,
  }).run();
}

/** Forgets a copy whose object is gone, or was given up, and gives its bytes back to its target. */
export function forgetCopyStatements(
  { db }: Deps,
  recordId: number,
  targetId: number,
): D1PreparedStatement[] {
  return [
    db
      .prepare(
        `update storage_targets set used_bytes = max(0, used_bytes - (
           select size_bytes from record_copies where record_id = ?1 and target_id = ?2))
         where id = ?2 and exists (select 1 from record_copies
           where record_id = ?1 and target_id = ?2 and status in ('deleting', 'delete_failed'))`,
      )
      .bind(recordId, targetId),
    db
      .prepare(
        "delete from record_copies where record_id = ? and target_id = ? and status in ('deleting', 'delete_failed')",
      )
      .bind(recordId, targetId),
  ];
}

/** Removes those of these records that are marked for it and have no live copy left, with all that belongs to them. */
export function dropEmptyStatements({ db }: Deps, recordIds: number[]): D1PreparedStatement[] {
  const asked = "(select value from json_each(?1))";
  const empty = `(select r.id from backup_records r where r.id in ${asked} and r.deleted_at is not null
    and not exists (select 1 from record_copies
      where record_id = r.id and status in ('success', 'copying', 'damaged', 'deleting', 'delete_failed')))`;
  return [
    `delete from record_logs where kind = 'backup' and record_id in ${empty}`,
    `delete from restore_records where record_id in ${empty}`,
    `delete from verifications where record_id in ${empty}`,
    `delete from backup_records where id in ${empty}`,
    `delete from record_copies where record_id in ${asked} and not exists (
       select 1 from backup_records where id = record_copies.record_id)`,
  ].map((statement) => db.prepare(statement).bind(JSON.stringify(recordIds)));
}
