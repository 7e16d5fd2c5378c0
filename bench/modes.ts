/**
 * Three ways to bring a command to an agent, side by side in one run: asking every 5 s (as BackupX agents do), waiting
 * in a held request, and the Doorbell. Each with the same number of agents, first idle, then with commands one every
 * 250 ms. Polling and the Doorbell are this master's own; the long poll is a small peer, run in the same way.
 *
 *     node scripts/with-node.mjs bench/modes.ts [--agents 200] [--dispatches 120] [--idle-seconds 25] [--json] [--quick]
 */
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { adminApi } from "../protocol/index.ts";
import { dispatch } from "./dispatches.ts";
import { type Mode, startFleet } from "./fleet.ts";
import { addNodes, type BenchMaster, type NewNode, startBenchMaster } from "./master.ts";
import { startLongPolling } from "./peers/long-poll.ts";
import { workerdCpuMs } from "./processes.ts";
import { machine, type Spread, spreadOf, table } from "./statistics.ts";

const { values } = parseArgs({
  options: {
    agents: { type: "string" },
    dispatches: { type: "string" },
    "idle-seconds": { type: "string" },
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
  },
});
const agents = Number(values.agents ?? (values.quick ? 50 : 200));
const dispatches = Number(values.dispatches ?? (values.quick ? 30 : 120));
const idleSeconds = Number(values["idle-seconds"] ?? (values.quick ? 5 : 25));
/** Slow enough that even the polling fleet, the dearest to serve, is not measured at the limit of a small machine. */
const GAP_MS = 250;
const GIVE_UP_MS = 16_000;
/** What a long poll is held: counting requests for less than that says nothing. */
const HOLD_SECONDS = 25;

type Fleet = {
  readonly requests: number;
  nextCommand: (nodeId: number) => Promise<number>;
  stop: () => Promise<void>;
};
type Result = Spread & { mode: string; lost: number; requestsPerAgentHour: number; cpuMsPerSecond: number };

const master = await startBenchMaster();
try {
  const nodes = await addNodes(master.call, agents);
  const results = [
    await measureOwn(master, nodes, "polling"),
    await measurePeer(master, nodes),
    await measureOwn(master, nodes, "doorbell"),
  ];
  if (values.json) console.log(JSON.stringify({ agents, idleSeconds, results, machine: machine() }));
  else report(results);
} finally {
  await master.stop();
}
process.exit(0);

async function measureOwn({ url, call }: BenchMaster, nodes: NewNode[], mode: Mode): Promise<Result> {
  const click = (id: number) =>
    call(adminApi.browseNode, { params: { id: String(id) }, query: { path: "/" } });
  return measure(mode, nodes, await startFleet(url, nodes, mode), click);
}

/** While the peer is measured, the master beside it has no agents and does nothing. */
async function measurePeer({ folder }: BenchMaster, nodes: NewNode[]): Promise<Result> {
  const peer = await startLongPolling(nodes, path.join(folder, "long-poll"));
  return measure("long poll", nodes, peer, peer.click);
}

async function measure(
  mode: string,
  nodes: NewNode[],
  fleet: Fleet,
  click: (nodeId: number) => Promise<unknown>,
): Promise<Result> {
  await delay(values.quick ? 4000 : 15_000);
  const before = { requests: fleet.requests, cpuMs: workerdCpuMs() };
  await delay(idleSeconds * 1000);
  const cpuMsPerSecond = (workerdCpuMs() - before.cpuMs) / idleSeconds;
  const requestsPerAgentHour = ((fleet.requests - before.requests) / nodes.length / idleSeconds) * 3600;
  const nodeIds = nodes.map(({ id }) => id);
  const options = { nodeIds, dispatches, giveUpAfterMs: GIVE_UP_MS, everyMs: GAP_MS };
  const { latencies, lost } = await dispatch(options, click, fleet.nextCommand);
  await fleet.stop();
  return { mode, ...spreadOf(latencies), lost, requestsPerAgentHour, cpuMsPerSecond };
}

function report(results: Result[]): void {
  const bell = results.at(-1) as Result;
  const times = (value: number, own: number) =>
    `${value.toFixed(1)} (${own > 0 ? (value / own).toFixed(1) : "-"}x)`;
  console.log(machine());
  console.log(`${agents} agents; in brackets: compared with the Doorbell`);
  console.log(
    table([
      ["", "p50 ms", "p99 ms", "slowest ms", "lost", "CPU ms/s, idle", "requests per idle agent-hour"],
      ...results.map((r) => [
        r.mode,
        times(r.p50, bell.p50),
        times(r.p99, bell.p99),
        r.max.toFixed(0),
        r.lost,
        times(r.cpuMsPerSecond, bell.cpuMsPerSecond),
        r === bell ? "see below" : idleSeconds < HOLD_SECONDS ? "-" : r.requestsPerAgentHour.toFixed(0),
      ]),
    ]),
  );
  console.log(
    `The Doorbell's agents made ${bell.requestsPerAgentHour.toFixed(1)} requests per hour in these ${idleSeconds} s; in a whole day they make about 131, which is 5.5 per hour (test/agent/idle-day.test.ts).`,
  );
}
