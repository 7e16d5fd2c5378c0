import type { Deps } from "../deps.ts";
import type { Actor } from "../users/actor.ts";
import { isNoBase } from "./base.ts";
import { dropEmptyStatements } from "./settle-deletion.ts";

/** A record that is to go, and in whose words; the audit log tells them. */
export type Doomed = { id: number; reason: string | null };

/** Those of the ids ?1 (JSON) that stand in nobody's way. */
const REMOVABLE = `doomed.id in (select value from json_each(?1)) and status not in ('queued', 'running') and locked = 0
  and not exists (select 1 from restore_records
    where record_id = doomed.id and status in ('queued', 'running'))
  and not exists (select 1 from verifications where record_id = doomed.id and status in ('queued', 'running'))
  and not exists (select 1 from record_copies where record_id = doomed.id and status = 'copying')
  and ${isNoBase("doomed.id")}`;

const ASKED = "(select value from json_each(?1))";
/** Of the records asked for, those that this call has marked. */
const MARKED = `(select id from backup_records where id in ${ASKED} and deleted_at = ?2)`;

/**
 * Marks records as being removed and removes their copies: those in the vault at once, the rest by commands to a node
 * that reaches them. A record goes with its last copy. Set by set, so that fifty cost as many calls as one. Returns the
 * ids that were marked; what is locked, busy, or the base of a differential backup stays.
 */
export async function removeAll(
  deps: Deps,
  actor: Actor,
  action: "record.delete" | "record.expire",
  doomed: Doomed[],
): Promise<number[]> {
  if (doomed.length === 0) return [];
  const ids = JSON.stringify(doomed.map(({ id }) => id));
  const at = deps.now();
  const results = await deps.db.batch<{ id: number; nodeId: number }>([
    deps.db
      .prepare(`update backup_records as doomed set deleted_at = ?2 where ${REMOVABLE} returning id`)
      .bind(ids, at),
    auditStatement(deps, actor, action, doomed, at),
    // Also what an interrupted copy may have left behind.
    deps.db
      .prepare(
        `update record_copies set status = 'deleting', updated_at = ?2, error = coalesce(
           (select 'waits for ' || n.name || ' to remove it' from backup_records r join nodes n on n.id = r.node_id
            where r.id = record_copies.record_id), 'waits for a node to remove it')
         where record_id in ${MARKED} and (status in ('success', 'damaged', 'deleting', 'delete_failed')
           or (status = 'failed' and command_id is not null and storage_path <> ''))`,
      )
      .bind(ids, at),
    // A copy that was to be tried again.
    deps.db
      .prepare(
        `update agent_commands set status = 'cancelled', error_message = 'its record was removed', completed_at = ?2,
           updated_at = ?2
         where status = 'pending' and type = 'copy_record' and id in (
           select command_id from record_copies where record_id in ${MARKED} and command_id is not null)`,
      )
      .bind(ids, at),
    ...askNodesStatements(deps, ids, at),
  ]);
  const marked = (results[0]?.results ?? []).map(({ id }) => id);
  const nodeIds = new Set((results.at(-1)?.results ?? []).map(({ nodeId }) => nodeId));
  await deleteFromVault(deps, marked);
  if (nodeIds.size > 0) await deps.bell.ring([...nodeIds]);
  return marked;
}

function auditStatement(
  { db }: Deps,
  actor: Actor,
  action: string,
  doomed: Doomed[],
  at: number,
): D1PreparedStatement {
  return db
    .prepare(
      `insert into audit_logs (at, actor, action, entity, entity_id, before, after, ip_address)
       select ?2, ?3, ?4, 'backup_record', r.id,
         json_object('task', r.task_name, 'status', r.status, 'finishedAt', r.finished_at, 'sizeBytes', r.size_bytes,
           'copies', (select count(*) from record_copies where record_id = r.id and status <> 'failed')),
         case when d.value ->> 'reason' is null then null else json_object('reason', d.value ->> 'reason') end, ?5
       from json_each(?1) d join backup_records r on r.id = d.value ->> 'id' where r.deleted_at = ?2`,
    )
    .bind(JSON.stringify(doomed), at, actor.name, action, actor.ipAddress);
}

/**
 * The node that made the record removes its copies; once it is gone, one of ours that was seen last, for what is left
 * then lies in storages that every node reaches (a node's own disk is forgotten with it). A removal that is waiting for
 * its next attempt is made at once instead of being asked for twice.
 */
export function askNodesStatements({ db }: Deps, ids: string, at: number): D1PreparedStatement[] {
  const node = `coalesce((select id from nodes where id = r.node_id), case when t.type <> 'local_disk' then
    (select id from nodes where protocol_version is not null order by last_seen desc limit 1) end)`;
  const open = (nodeId: string, recordId: string) =>
    `a.completed_at is null and a.type = 'delete_storage_object' and a.node_id = ${nodeId} and a.record_id = ${recordId}`;
  return [
    db
      .prepare(
        `update agent_commands set not_before = null, updated_at = ?2 where id in (
           select a.id from backup_records r join agent_commands a on ${open("r.node_id", "r.id")}
           where r.id in ${ASKED} and a.status = 'pending' and a.not_before is not null)`,
      )
      .bind(ids, at),
    db
      .prepare(
        `insert into agent_commands (node_id, type, lane, payload, record_id, created_at, updated_at)
         select node_id, 'delete_storage_object', 'work', payload, record_id, ?2, ?2 from (
           select ${node} as node_id, r.id as record_id, c.target_id,
             json_object('targetId', c.target_id, 'storagePath', c.storage_path) as payload
           from backup_records r join record_copies c on c.record_id = r.id and c.status = 'deleting'
             and c.updated_at = ?2
           join storage_targets t on t.id = c.target_id and t.type <> 'vault'
           where r.id in ${ASKED}) wanted
         where node_id is not null and not exists (select 1 from agent_commands a
           where ${open("wanted.node_id", "wanted.record_id")} and a.payload ->> 'targetId' = wanted.target_id)
         returning node_id as nodeId`,
      )
      .bind(ids, at),
  ];
}

/** The vault's objects go first, then the rows that name them: what dies in between is asked for again. */
export async function deleteFromVault(deps: Deps, recordIds: number[]): Promise<void> {
  if (recordIds.length === 0) return;
  const ids = JSON.stringify(recordIds);
  const inVault = `from record_copies where record_id in ${ASKED} and status in ('deleting', 'delete_failed')
    and target_id in (select id from storage_targets where type = 'vault')`;
  const { results } = await deps.db
    .prepare(`select storage_path as storagePath ${inVault}`)
    .bind(ids)
    .all<{ storagePath: string }>();
  if (results.length > 0) await deps.vault.delete(results.map(({ storagePath }) => storagePath));
  await deps.db.batch([
    deps.db
      .prepare(
        `update storage_targets set used_bytes = max(0, used_bytes - (
           select coalesce(sum(size_bytes), 0) ${inVault} and target_id = storage_targets.id))
         where type = 'vault' and id in (select target_id ${inVault})`,
      )
      .bind(ids),
    deps.db.prepare(`delete ${inVault}`).bind(ids),
    ...dropEmptyStatements(deps, recordIds),
  ]);
}
