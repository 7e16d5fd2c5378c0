import { timing } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";

/** What of a node's row tells whether it lives. */
export type Signs = { id: number; connection: string; lastSeen: number | null };
export type Presence = { status: "online" | "offline" | "pending"; lastSeen: number | null };

/**
 * Who is online now, by node id. Derived from the last sign of life on every call, so that no decision waits for a
 * sweep: a socket's signs are with the Doorbell, asked once for all of them, all others in the row.
 */
export async function presenceOf(deps: Deps, nodes: Signs[]): Promise<Map<number, Presence>> {
  const bySocket = nodes.filter(({ connection }) => connection === "socket").map(({ id }) => id);
  const rung = bySocket.length === 0 ? new Map<number, number>() : await deps.bell.lastSeen(bySocket);
  const now = deps.now();
  return new Map(
    nodes.map(({ id, lastSeen }) => {
      const newest = Math.max(lastSeen ?? 0, rung.get(id) ?? 0) || null;
      return [id, { status: statusAt(now, newest), lastSeen: newest }];
    }),
  );
}

/** Throws NODE_NOT_FOUND or NODE_OFFLINE unless the node is online now. */
export async function requireOnline(deps: Deps, nodeId: number): Promise<void> {
  const node = await deps.db
    .prepare("select id, name, connection, last_seen as lastSeen from nodes where id = ?")
    .bind(nodeId)
    .first<Signs & { name: string }>();
  if (!node) throw noSuchNode(nodeId);
  const presence = (await presenceOf(deps, [node])).get(nodeId);
  if (presence?.status === "online") return;
  throw new DomainError(
    "NODE_OFFLINE",
    `${node.name} ${lifeInWords(deps.now(), presence?.lastSeen ?? null)}`,
  );
}

export const noSuchNode = (id: number) => new DomainError("NODE_NOT_FOUND", `there is no node ${id}`);

function statusAt(now: number, lastSeen: number | null): Presence["status"] {
  if (lastSeen === null) return "pending";
  return now - lastSeen <= timing.offlineAfterSeconds * 1000 ? "online" : "offline";
}

function lifeInWords(now: number, lastSeen: number | null): string {
  if (lastSeen === null) return "is not online: its agent has never been seen";
  return `is offline: its agent was last seen ${Math.round((now - lastSeen) / 1000)} seconds ago`;
}
