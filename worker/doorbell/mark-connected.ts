import type { Deps } from "../deps.ts";
import type { AgentNode } from "../nodes/authenticate.ts";
import { cameOnlineStatement } from "../notify/came-online.ts";

/**
 * Notes that a node's socket is open. Only after the Doorbell has accepted it: from then on the Doorbell tells when it
 * is gone, and a failure here is made good by its next census.
 */
export async function markConnected(deps: Deps, node: AgentNode): Promise<void> {
  await deps.db.batch([
    ...(node.status === "offline" ? [cameOnlineStatement(deps, node.id)] : []),
    deps.db
      .prepare("update nodes set connection = 'socket', status = 'online', last_seen = ? where id = ?")
      .bind(deps.now(), node.id),
  ]);
}
