import { timing } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { noNews } from "../live/news.ts";
import { cameOnlineStatement } from "../notify/came-online.ts";
import type { AgentNode } from "./authenticate.ts";

const HOUR_MS = 3_600_000;
const SEEN = `update nodes set last_seen = ?1, status = 'online',
    connection = case connection when 'never' then 'poll' else connection end
  where id = ?2`;

/**
 * Notes a poll as a sign of life. A polling node is written at most once per heartbeat interval, so that a poll
 * between two heartbeats writes nothing; one whose socket is open at most once an hour, since the Doorbell knows
 * more recent signs of it.
 */
export async function markPolled(deps: Deps, node: AgentNode): Promise<void> {
  const onSocket = node.connection === "socket" && node.status === "online";
  // A little more than a heartbeat: of the two, the heartbeat is the one that writes.
  const enoughMs = onSocket ? HOUR_MS : (timing.heartbeatSeconds + timing.pollSeconds) * 1000;
  const now = deps.now();
  if (node.status === "online" && now - (node.lastSeen ?? 0) < enoughMs) return;
  await deps.db.batch([
    ...(node.status === "online" ? [] : [cameOnlineStatement(deps, node.id)]),
    deps.db.prepare(noNews(SEEN, node.status === "online")).bind(now, node.id),
  ]);
}
