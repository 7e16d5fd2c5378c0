import { auditIfChanged } from "../audit/entry.ts";
import { enqueueStatement } from "../commands/enqueue.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import type { Actor } from "../users/actor.ts";
import { countDifferentials, isNoBase } from "./base.ts";
import { readRecord } from "./read.ts";
import { dropIfEmptyStatements, forgetCopyStatements } from "./settle-deletion.ts";

type Copy = { targetId: number; type: string; storagePath: string };

/**
 * Removes a record and every copy of it. What lies in the vault goes at once; for the rest the record's node is told,
 * and the record stays, marked, until the last copy is gone. RECORD_BUSY while it runs, or is being restored or
 * verified, RECORD_HAS_DIFFERENTIALS, with their count, while others cannot be restored without it.
 */
export async function removeRecord(deps: Deps, actor: Actor, id: number): Promise<{ pendingCopies: number }> {
  const record = await readRecord(deps, id);
  const copies = await liveCopies(deps, id);
  const elsewhere = copies.filter((copy) => copy.type !== "vault");
  const at = deps.now();
  const [marked] = await deps.db.batch([
    markStatement(deps, id, at),
    auditIfChanged(deps, actor, {
      action: "record.delete",
      entity: "backup_record",
      entityId: id,
      before: {
        task: record.taskName,
        status: record.status,
        sizeBytes: record.sizeBytes,
        copies: copies.length,
      },
    }),
    deps.db
      .prepare(
        `update record_copies set status = 'deleting', updated_at = ?1
         where record_id = ?2 and status in ('success', 'damaged', 'delete_failed') and exists (
           select 1 from backup_records where id = ?2 and deleted_at = ?1)`,
      )
      .bind(at, id),
  ]);
  if (marked?.meta.changes !== 1) throw await whyNot(deps, id);
  await deleteFromVault(deps, id, copies);
  await askForTheRest(deps, id, record.nodeId, elsewhere);
  return { pendingCopies: elsewhere.length };
}

async function liveCopies({ db }: Deps, recordId: number): Promise<Copy[]> {
  const { results } = await db
    .prepare(
      `select c.target_id as targetId, t.type, c.storage_path as storagePath from record_copies c
       join storage_targets t on t.id = c.target_id
       where c.record_id = ? and c.status in ('success', 'damaged', 'deleting', 'delete_failed')`,
    )
    .bind(recordId)
    .all<Copy>();
  return results;
}

/** Marked again when asked again: what could not be reached before is then tried once more. */
function markStatement({ db }: Deps, id: number, at: number): D1PreparedStatement {
  return db
    .prepare(
      `update backup_records set deleted_at = ?1
       where id = ?2 and status not in ('queued', 'running') and not exists (
         select 1 from restore_records where record_id = ?2 and status in ('queued', 'running'))
         and not exists (select 1 from verifications where record_id = ?2 and status in ('queued', 'running'))
         and ${isNoBase("?2")}`,
    )
    .bind(at, id);
}

async function whyNot(deps: Deps, id: number): Promise<DomainError> {
  const differentials = await countDifferentials(deps, id);
  if (differentials === 0) {
    return new DomainError(
      "RECORD_BUSY",
      `record ${id} is running, being restored or being verified; cancel that first`,
    );
  }
  const them =
    differentials === 1 ? "a differential backup builds" : `${differentials} differential backups build`;
  return new DomainError(
    "RECORD_HAS_DIFFERENTIALS",
    `${them} on record ${id}: remove what builds on it first`,
    {
      details: { differentials },
    },
  );
}

async function deleteFromVault(deps: Deps, recordId: number, copies: Copy[]): Promise<void> {
  const inVault = copies.filter((copy) => copy.type === "vault");
  if (inVault.length > 0) await deps.vault.delete(inVault.map((copy) => copy.storagePath));
  await deps.db.batch([
    ...inVault.flatMap((copy) => forgetCopyStatements(deps, recordId, copy.targetId)),
    ...dropIfEmptyStatements(deps, recordId),
  ]);
}

async function askForTheRest(
  deps: Deps,
  recordId: number,
  recordNodeId: number | null,
  copies: Copy[],
): Promise<void> {
  if (copies.length === 0) return;
  const nodeId = await deletingNode(deps, recordNodeId);
  if (nodeId === null) return;
  await deps.db.batch(
    copies.map((copy) =>
      enqueueStatement(deps, {
        nodeId,
        type: "delete_storage_object",
        payload: { targetId: copy.targetId, storagePath: copy.storagePath },
        recordId,
      }),
    ),
  );
  await deps.bell.ring([nodeId]);
}

/**
 * The node that made the record; once it is gone, one of ours that has been seen last, for what is left then lies in
 * storages that every node reaches (a node's own disk is forgotten with it). Null while there is none: asking again
 * later tries again.
 */
async function deletingNode({ db }: Deps, recordNodeId: number | null): Promise<number | null> {
  const node = await db
    .prepare(
      `select id from nodes where id = ?1 or (protocol_version is not null and not exists (
         select 1 from nodes where id = ?1)) order by last_seen desc limit 1`,
    )
    .bind(recordNodeId)
    .first<{ id: number }>();
  return node?.id ?? null;
}
