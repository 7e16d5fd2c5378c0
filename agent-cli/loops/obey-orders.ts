import type { Order } from "../../protocol/agent-api.ts";
import { type Agent, cancelledByMaster } from "../agent.ts";

/** Does what the master asked for on the way back of a call. */
export function obeyOrders(agent: Agent, orders: Order[] = []): void {
  for (const order of orders) {
    // A paused node is handed nothing by its master, so there is nothing to stop here.
    if (order.type !== "cancel") continue;
    const held = agent.held.get(order.commandId);
    if (held === undefined || held.entry.state.name === "finished" || held.abort.signal.aborted) continue;
    agent.log.info("command cancelled by the master", { command: order.commandId });
    held.abort.abort(cancelledByMaster());
  }
}
