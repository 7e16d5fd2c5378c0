import { agentApi } from "../../protocol/agent-api.ts";
import type { Agent, Held } from "../agent.ts";
import { MasterError } from "../client.ts";
import type { Delivery } from "../journal.ts";

/** Forbidden means: another node's row. No waiting will change that. */
const forbidden = /_FORBIDDEN$/;

/** Brings a finished command's last reports to the master, for as long as it takes, and then forgets the command. */
export async function deliverOutcome(agent: Agent, held: Held): Promise<void> {
  const { entry } = held;
  if (entry.state.name !== "finished") return;
  const { deliveries } = entry.state;
  for (let failures = 0; deliveries.length > 0 && !agent.stopped.aborted; ) {
    const [first] = deliveries as [Delivery];
    try {
      await send(agent, held, first);
      agent.link.succeeded();
      deliveries.shift();
      failures = 0;
    } catch (error) {
      if (agent.stopped.aborted) return;
      if (isFinal(error)) {
        agent.log.warn(`the master does not take the ${first.kind} of a finished command`, {
          command: entry.id,
          code: error.code,
          reason: error.message,
        });
        deliveries.shift();
        continue;
      }
      const { waitMs } = agent.link.failed(error, failures++);
      await held.changed.wait(waitMs, agent.stopped);
    }
  }
  if (deliveries.length > 0) return;
  agent.held.delete(entry.id);
  agent.journal.remove(entry.id);
  agent.log.info("result acknowledged", { command: entry.id });
}

/** Not refused for now, but for good: gone, overtaken, not ours, or not understood. */
const isFinal = (error: unknown): error is MasterError =>
  error instanceof MasterError &&
  !error.retryable &&
  error.code !== "NOT_BACKUPX" &&
  (error.status === 404 ||
    error.status === 409 ||
    error.status === 400 ||
    error.status === 413 ||
    forbidden.test(error.code));

/** Where a report goes, by what it is about. */
const reportCalls = {
  record: agentApi.updateRecord,
  restore: agentApi.updateRestore,
  copy: agentApi.updateCopy,
  verification: agentApi.updateVerification,
} as const;

function send(agent: Agent, { entry }: Held, delivery: Delivery): Promise<unknown> {
  // The lease is filled in now and not when the work ended: the command may have been handed out again since.
  const lease = entry.leaseToken === null ? {} : { leaseToken: entry.leaseToken };
  const signal = agent.stopped;
  if (delivery.kind === "result") {
    const attempt = entry.attempt === null ? {} : { attempt: entry.attempt };
    return agent.client.call(agentApi.commandResult, {
      params: { id: entry.id },
      body: { ...delivery.body, ...attempt, ...lease } as never,
      signal,
    });
  }
  return agent.client.call(reportCalls[delivery.kind], {
    params: { id: delivery.id },
    body: { ...delivery.body, ...lease },
    signal,
  });
}
