import { commandOfNode } from "../commands/explain.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import type { AgentNode } from "../nodes/authenticate.ts";

export type HeldCopy = {
  commandId: number;
  commandStatus: string;
  leaseToken: string | null;
  recordId: number;
  targetId: number;
  fromTargetId: number | null;
  /** What the command was to make; null when the row is gone or another command makes it by now. */
  status: string | null;
  targetKey: string;
};

/** `toTargetId` and not `targetId`: what has that name is completed with secrets when it is handed out. */
type Payload = { recordId: number; toTargetId: number; fromTargetId: number | null; targetKey: string };

/** This node's copy command and what became of its copy; AGENT_COMMAND_NOT_FOUND or _FORBIDDEN when it is not. */
export async function copyOfNode(deps: Deps, node: AgentNode, commandId: number): Promise<HeldCopy> {
  const command = await commandOfNode(deps, node, commandId);
  if (command.type !== "copy_record") {
    throw new DomainError("AGENT_COMMAND_NOT_FOUND", `there is no copy with the command ${commandId}`);
  }
  const { recordId, toTargetId, fromTargetId, targetKey } = JSON.parse(command.payload) as Payload;
  const row = await deps.db
    .prepare("select status from record_copies where record_id = ? and target_id = ? and command_id = ?")
    .bind(recordId, toTargetId, commandId)
    .first<{ status: string }>();
  return {
    commandId,
    commandStatus: command.status,
    leaseToken: command.leaseToken,
    recordId,
    targetId: toTargetId,
    fromTargetId,
    status: row?.status ?? null,
    targetKey,
  };
}

/** The same, but only while its command is in hand: what it may read holds secrets. */
export async function copyInHand(deps: Deps, node: AgentNode, commandId: number): Promise<HeldCopy> {
  const held = await copyOfNode(deps, node, commandId);
  if (held.commandStatus !== "dispatched") {
    throw new DomainError("AGENT_COMMAND_FORBIDDEN", `this node has no command ${commandId} in hand`);
  }
  if (held.status === null) {
    throw new DomainError("ARTIFACT_NOT_FOUND", "this copy was started anew or its record has been removed");
  }
  return held;
}

/**
 * Whether this node may write that key into that target because it is copying a record there. Also after the command
 * was given up for silence, for the copy may come late.
 */
export async function isCopying(
  { db }: Deps,
  node: AgentNode,
  place: { recordId: number; targetId: number; key: string },
): Promise<boolean> {
  const row = await db
    .prepare(
      `select 1 from record_copies c join agent_commands a on a.id = c.command_id
       where c.record_id = ? and c.target_id = ? and a.payload ->> 'targetKey' = ? and c.status in ('copying', 'failed')
         and a.node_id = ? and a.type = 'copy_record' and a.status in ('dispatched', 'timeout')`,
    )
    .bind(place.recordId, place.targetId, place.key, node.id)
    .first();
  return row !== null;
}
