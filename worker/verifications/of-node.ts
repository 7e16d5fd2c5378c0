import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import type { AgentNode } from "../nodes/authenticate.ts";

export type HeldVerification = {
  id: number;
  recordId: number;
  nodeId: number;
  targetId: number;
  grade: number;
  status: string;
  commandId: number | null;
  commandStatus: string | null;
  leaseToken: string | null;
};

/** This node's verification with its command's state; VERIFICATION_NOT_FOUND or _FORBIDDEN when it is not. */
export async function verificationOfNode(
  { db }: Deps,
  node: AgentNode,
  id: number,
): Promise<HeldVerification> {
  const row = await db
    .prepare(
      `select v.id, v.record_id as recordId, v.node_id as nodeId, v.target_id as targetId, v.grade, v.status,
         v.command_id as commandId, c.status as commandStatus, c.lease_token as leaseToken
       from verifications v left join agent_commands c on c.id = v.command_id where v.id = ?`,
    )
    .bind(id)
    .first<HeldVerification>();
  if (!row) throw new DomainError("VERIFICATION_NOT_FOUND", `there is no verification ${id}`);
  if (row.nodeId !== node.id) {
    throw new DomainError("VERIFICATION_FORBIDDEN", `verification ${id} is not a verification of this node`);
  }
  return row;
}

/** The same, but only while this node has its command in hand: what it may read holds secrets. */
export async function verificationInHand(deps: Deps, node: AgentNode, id: number): Promise<HeldVerification> {
  const held = await verificationOfNode(deps, node, id);
  if (held.commandStatus === "dispatched") return held;
  throw new DomainError("VERIFICATION_FORBIDDEN", `this node has no command for verification ${id} in hand`);
}
