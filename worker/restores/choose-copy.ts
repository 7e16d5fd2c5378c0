import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";

export type Copy = { targetId: number; targetName: string; type: string; storagePath: string };

type Wanted = {
  recordId: number;
  /** The record's node: what lies on its own disk can be read by it alone. */
  recordNodeId: number | null;
  node: { id: number; name: string };
  /** Only this target's copy will do. */
  targetId?: number | undefined;
  /** Preferred if it can be had. */
  besides?: number | undefined;
};

/** The copy that this node reaches best. Throws RECORD_NOT_RESTORABLE when there is none that it reaches. */
export async function chooseCopy({ db }: Deps, wanted: Wanted): Promise<Copy> {
  const { recordId, recordNodeId, node, targetId, besides } = wanted;
  const { results } = await db
    .prepare(
      `select c.target_id as targetId, t.name as targetName, t.type, c.storage_path as storagePath
       from record_copies c join storage_targets t on t.id = c.target_id
       where c.record_id = ?1 and c.status = 'success' and (?2 is null or c.target_id = ?2)
       order by c.target_id is ?3 desc, t.type = 'local_disk' desc, t.type = 'vault', c.target_id`,
    )
    .bind(recordId, targetId ?? null, besides ?? null)
    .all<Copy>();
  const reachable = results.find((copy) => copy.type !== "local_disk" || node.id === recordNodeId);
  if (reachable) return reachable;
  throw new DomainError(
    "RECORD_NOT_RESTORABLE",
    results.length === 0
      ? `record ${recordId} has no sound copy${targetId === undefined ? "" : ` in target ${targetId}`}`
      : `the only copy of record ${recordId} lies on the disk of node ${recordNodeId}; ${node.name} cannot reach it`,
  );
}
