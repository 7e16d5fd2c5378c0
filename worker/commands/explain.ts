import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import type { AgentNode } from "../nodes/authenticate.ts";

export type CommandRow = {
  id: number;
  nodeId: number;
  type: string;
  status: string;
  attempt: number;
  leaseToken: string | null;
  payload: string;
  recordId: number | null;
  restoreId: number | null;
  verificationId: number | null;
};

/** This node's command; AGENT_COMMAND_NOT_FOUND or AGENT_COMMAND_FORBIDDEN when it is not. */
export async function commandOfNode({ db }: Deps, node: AgentNode, id: number): Promise<CommandRow> {
  const row = await db
    .prepare(
      `select id, node_id as nodeId, type, status, attempt, lease_token as leaseToken, payload,
         record_id as recordId, restore_id as restoreId, verification_id as verificationId
       from agent_commands where id = ?`,
    )
    .bind(id)
    .first<CommandRow>();
  if (!row) throw new DomainError("AGENT_COMMAND_NOT_FOUND", `there is no command ${id}`);
  if (row.nodeId !== node.id) {
    throw new DomainError("AGENT_COMMAND_FORBIDDEN", `command ${id} is not a command of this node`);
  }
  return row;
}

/** Why a write that was fenced by a lease did not happen. */
export async function explainLostLease(
  deps: Deps,
  node: AgentNode,
  id: number,
  leaseToken: string,
): Promise<DomainError> {
  const row = await commandOfNode(deps, node, id);
  if (row.leaseToken !== leaseToken) {
    return new DomainError(
      "AGENT_COMMAND_SUPERSEDED",
      `command ${id} was handed out again: attempt ${row.attempt}`,
    );
  }
  return new DomainError("ALREADY_ENDED", `command ${id} has already ended: ${row.status}`);
}
