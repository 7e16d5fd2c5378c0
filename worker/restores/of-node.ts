import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import type { AgentNode } from "../nodes/authenticate.ts";

export type HeldRestore = {
  id: number;
  recordId: number;
  nodeId: number;
  targetId: number;
  status: string;
  commandId: number | null;
  commandStatus: string | null;
  leaseToken: string | null;
};

/** This node's restore with its command's state; RESTORE_RECORD_NOT_FOUND or _FORBIDDEN when it is not. */
export async function restoreOfNode({ db }: Deps, node: AgentNode, id: number): Promise<HeldRestore> {
  const row = await db
    .prepare(
      `select s.id, s.record_id as recordId, s.node_id as nodeId, s.target_id as targetId, s.status,
         s.command_id as commandId, c.status as commandStatus, c.lease_token as leaseToken
       from restore_records s left join agent_commands c on c.id = s.command_id where s.id = ?`,
    )
    .bind(id)
    .first<HeldRestore>();
  if (!row) throw new DomainError("RESTORE_RECORD_NOT_FOUND", `there is no restore ${id}`);
  if (row.nodeId !== node.id) {
    throw new DomainError("RESTORE_RECORD_FORBIDDEN", `restore ${id} is not a restore of this node`);
  }
  return row;
}

/** The same, but only while this node has its command in hand: what it may read holds secrets. */
export async function restoreInHand(deps: Deps, node: AgentNode, id: number): Promise<HeldRestore> {
  const held = await restoreOfNode(deps, node, id);
  if (held.commandStatus === "dispatched") return held;
  throw new DomainError("RESTORE_RECORD_FORBIDDEN", `this node has no command for restore ${id} in hand`);
}
