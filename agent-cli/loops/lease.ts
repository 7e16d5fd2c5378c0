import { agentApi } from "../../protocol/agent-api.ts";
import { type Agent, cancelledByMaster, type Held } from "../agent.ts";
import { MasterError } from "../client.ts";
import { obeyOrders } from "./obey-orders.ts";

/** Renews a command's lease while it is worked on, and takes orders on the way. */
export async function keepLease(agent: Agent, held: Held): Promise<void> {
  /** The lease that the master has refused: silence until it hands out another. */
  let lost: string | null = null;
  while (true) {
    await held.changed.wait((held.leaseSeconds * 1000) / 3, agent.stopped);
    const { leaseToken, state, id } = held.entry;
    if (agent.stopped.aborted || state.name === "finished") return;
    if (leaseToken === null || leaseToken === lost) continue;
    try {
      const progress = held.progress === null ? {} : { progress: held.progress };
      const reply = await agent.client.call(agentApi.renewLease, {
        params: { id },
        body: { leaseToken, ...progress },
        signal: agent.stopped,
      });
      held.leaseSeconds = reply.leaseSeconds;
      obeyOrders(agent, reply.orders);
    } catch (error) {
      if (!(error instanceof MasterError) || error.retryable) continue;
      if (error.code === "AGENT_COMMAND_NOT_FOUND") held.abort.abort(cancelledByMaster());
      if (error.status === 409 || error.status === 404) {
        lost = leaseToken;
        agent.log.warn("lease lost: the work goes on, its result may come late", { command: id });
      }
    }
  }
}
