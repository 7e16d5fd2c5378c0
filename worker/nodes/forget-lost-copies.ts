import type { Deps } from "../deps.ts";

/** Copies that this node still had to remove from its own disk: with the node, they are out of everybody's reach. */
const LOST = `select c.record_id, t.id from agent_commands c join storage_targets t on t.id = c.payload ->> 'targetId'
  where c.node_id = ?1 and c.completed_at is null and c.type = 'delete_storage_object' and t.type = 'local_disk'`;
const REMOVING = "status in ('deleting', 'delete_failed')";
/** Records whose removal waited for this node and for nobody else any more. */
const EMPTIED = `select r.id from backup_records r where r.deleted_at is not null
  and r.id in (select record_id from agent_commands
    where node_id = ?1 and completed_at is null and type = 'delete_storage_object')
  and not exists (select 1 from record_copies
    where record_id = r.id and (status in ('success', 'damaged') or ${REMOVING}))`;

/**
 * Statements that forget those copies, and the records that waited only for them; without them, records of a machine
 * that died would be "being removed" for ever. They go after the one that removes the node and before the one that
 * ends its commands, and do nothing while the node is there.
 */
export function forgetLostCopiesStatements({ db }: Deps, nodeId: number): D1PreparedStatement[] {
  const gone = "not exists (select 1 from nodes where id = ?1)";
  return [
    `update storage_targets set used_bytes = max(0, used_bytes - (select coalesce(sum(size_bytes), 0)
       from record_copies where target_id = storage_targets.id and ${REMOVING} and (record_id, target_id) in (${LOST})))
     where id in (select id from (${LOST})) and ${gone}`,
    `delete from record_copies where (record_id, target_id) in (${LOST}) and ${REMOVING} and ${gone}`,
    `delete from record_logs where kind = 'backup' and record_id in (${EMPTIED}) and ${gone}`,
    `delete from restore_records where record_id in (${EMPTIED}) and ${gone}`,
    `delete from verifications where record_id in (${EMPTIED}) and ${gone}`,
    `delete from record_copies where record_id in (${EMPTIED}) and ${gone}`,
    `delete from backup_records where id in (${EMPTIED}) and ${gone}`,
  ].map((statement) => db.prepare(statement).bind(nodeId));
}
