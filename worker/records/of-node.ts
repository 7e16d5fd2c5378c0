import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import type { AgentNode } from "../nodes/authenticate.ts";

export type HeldRecord = {
  id: number;
  taskId: number;
  nodeId: number | null;
  status: string;
  sourceType: string;
  engine: string;
  targetIds: number[];
  commandId: number | null;
  commandStatus: string | null;
  leaseToken: string | null;
  fileName: string;
};

/** This node's record with the state of its command; BACKUP_RECORD_NOT_FOUND or _FORBIDDEN when it is not. */
export async function recordOfNode({ db }: Deps, node: AgentNode, id: number): Promise<HeldRecord> {
  const row = await db
    .prepare(
      `select r.id, r.task_id as taskId, r.node_id as nodeId, r.status, r.source_type as sourceType,
         coalesce(r.pipeline ->> 'engine', 'archive') as engine,
         r.target_ids as targetIds, r.command_id as commandId, c.status as commandStatus,
         c.lease_token as leaseToken, r.file_name as fileName
       from backup_records r left join agent_commands c on c.id = r.command_id where r.id = ?`,
    )
    .bind(id)
    .first<Omit<HeldRecord, "targetIds"> & { targetIds: string }>();
  if (!row) throw new DomainError("BACKUP_RECORD_NOT_FOUND", `there is no record ${id}`);
  if (row.nodeId !== node.id) {
    throw new DomainError("BACKUP_RECORD_FORBIDDEN", `record ${id} is not a record of this node`);
  }
  return { ...row, targetIds: JSON.parse(row.targetIds) };
}

/** AGENT_COMMAND_SUPERSEDED when the caller's attempt is not the one that counts. */
export function requireLease(held: { leaseToken: string | null }, leaseToken: string | undefined): void {
  if (leaseToken !== undefined && held.leaseToken !== null && leaseToken !== held.leaseToken) {
    throw new DomainError("AGENT_COMMAND_SUPERSEDED", "this was handed out again; a newer attempt counts");
  }
}

/**
 * Whether what the agent sends may still change the record: while it is open, and after it was given up for silence
 * (only then the command says "timeout"), because the truth may come late.
 */
export const isOpen = (held: HeldRecord): boolean =>
  held.status === "queued" || held.status === "running" || cameTooLate(held);

export const cameTooLate = (held: HeldRecord): boolean =>
  held.status === "failed" && held.commandStatus === "timeout";
