import { timing } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { noNews } from "../live/news.ts";
import type { AgentNode } from "../nodes/authenticate.ts";

/** The statement with which a run that moves keeps its command alive, for agents that know of no lease; else none. */
export function keepAliveStatements(
  { db, now }: Deps,
  node: AgentNode,
  run: { commandId: number | null; commandStatus: string | null },
): D1PreparedStatement[] {
  if (node.protocolVersion !== null || run.commandStatus !== "dispatched") return [];
  return [
    db
      .prepare(
        noNews("update agent_commands set lease_expires_at = ? where id = ? and status = 'dispatched'"),
      )
      .bind(now() + timing.leaseSeconds * 1000, run.commandId),
  ];
}
