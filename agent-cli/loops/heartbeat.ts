import { hostname, networkInterfaces } from "node:os";
import type { z } from "zod";
import { agentApi } from "../../protocol/agent-api.ts";
import { type Agent, heldLeases } from "../agent.ts";
import { around, pause } from "../backoff.ts";
import { type Capabilities, freeDiskBytes } from "../capabilities.ts";
import { agentVersion, protocolVersion } from "../version.ts";
import { obeyOrders } from "./obey-orders.ts";

export type Told = z.output<typeof agentApi.heartbeat.reply>;

/** Says who this node is, and what it can do. Throws what the client throws. */
export async function sendHeartbeat(agent: Agent, capabilities: Capabilities): Promise<Told> {
  const free = freeDiskBytes(agent.workRoot);
  const told = await agent.client.call(agentApi.heartbeat, {
    body: {
      hostname: hostname().slice(0, 255),
      ipAddress: ownAddress(),
      agentVersion,
      os: process.platform,
      arch: process.arch,
      bootId: agent.bootId,
      protocolVersion,
      capabilities,
      ...(free === null ? {} : { freeDiskBytes: free }),
      running: heldLeases(agent),
    },
    signal: agent.stopped,
  });
  agent.link.succeeded();
  obeyOrders(agent, told.orders);
  return told;
}

/** Keeps beating until it has got through; the agent never gives up on a master that is away. */
export async function firstHeartbeat(agent: Agent, capabilities: Capabilities): Promise<Told | null> {
  for (let failures = 0; !agent.stopped.aborted && !agent.draining.aborted; failures++) {
    try {
      return await sendHeartbeat(agent, capabilities);
    } catch (error) {
      if (agent.stopped.aborted) return null;
      await pause(
        agent.link.failed(error, failures).waitMs,
        AbortSignal.any([agent.stopped, agent.draining]),
      );
    }
  }
  return null;
}

/** The usual wait between two heartbeats: what the configuration says, else what the master says. */
export const heartbeatMs = (agent: Agent, told: Told): number =>
  around(agent.config.heartbeatIntervalMs ?? told.heartbeatSeconds * 1000, 0.1);

function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const outward = all.filter(({ internal }) => !internal);
  return (outward.find(({ family }) => family === "IPv4") ?? outward[0])?.address ?? "";
}
