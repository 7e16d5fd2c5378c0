import { writeFileSync } from "node:fs";
import path from "node:path";
import { adminApi } from "../../protocol/index.ts";
import type { Machine, RunningAgent } from "./machine.ts";
import { until } from "./until.ts";
import type { World } from "./world.ts";

/** Starts a machine's agent with what its own configuration allows, and waits until the master knows that. */
export async function startConfigured(
  world: World,
  machine: Machine,
  allowed: object,
): Promise<RunningAgent> {
  const config = path.join(machine.folder, "agent.yaml");
  writeFileSync(config, JSON.stringify(allowed));
  const agent = machine.start(["--config", config]);
  await until(
    "the master to know what the node can do",
    async () =>
      (await world.call(adminApi.getNode, { params: { id: machine.nodeId } })).capabilities !== null,
    { seen: agent.output },
  );
  return agent;
}
