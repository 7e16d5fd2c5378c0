import type { Deps } from "../deps.ts";
import { noNews } from "../live/news.ts";
import type { AgentNode } from "../nodes/authenticate.ts";
import { cameOnlineStatement } from "../notify/came-online.ts";

const CONNECTED = "update nodes set connection = 'socket', status = 'online', last_seen = ? where id = ?";

/**
 * Notes that a node's socket is open. Only after the Doorbell has accepted it: from then on the Doorbell tells when it
 * is gone, and a failure here is made good by its next census.
 */
export async function markConnected(deps: Deps, node: AgentNode): Promise<void> {
  await deps.db.batch([
    ...(node.status === "offline" ? [cameOnlineStatement(deps, node.id)] : []),
    deps.db
      // After a deploy every agent connects again: nothing has changed by that.
      .prepare(noNews(CONNECTED, node.status === "online"))
      .bind(deps.now(), node.id),
  ]);
}
