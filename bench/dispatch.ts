/**
 * How long a command takes from the click to the agent's hands while many agents are connected, and what the idle
 * fleet costs the master. Starts a master of its own; asks through the front door; nothing is left behind.
 *
 *     node scripts/with-node.mjs bench/dispatch.ts [--agents 1000] [--dispatches 500] [--idle-seconds 30] [--json] [--quick]
 */
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { adminApi } from "../protocol/index.ts";
import { dispatch } from "./dispatches.ts";
import { startFleet } from "./fleet.ts";
import { addNodes, startBenchMaster } from "./master.ts";
import { workerdCpuMs } from "./processes.ts";
import { machine, median, spreadOf, table } from "./statistics.ts";

const { values } = parseArgs({
  options: {
    agents: { type: "string" },
    dispatches: { type: "string" },
    "idle-seconds": { type: "string" },
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
  },
});
const agents = Number(values.agents ?? (values.quick ? 200 : 1000));
const dispatches = Number(values.dispatches ?? (values.quick ? 100 : 500));
const idleSeconds = Number(values["idle-seconds"] ?? (values.quick ? 5 : 30));
const WARM_UP = 20;
const say = (text: string) => void (values.json ? 0 : console.log(text));

const master = await startBenchMaster();
try {
  say(machine());
  const nodes = await addNodes(master.call, agents);
  const connectedFrom = performance.now();
  const fleet = await startFleet(master.url, nodes, "doorbell");
  const connectMs = performance.now() - connectedFrom;
  say(`${agents} agents connected in ${(connectMs / 1000).toFixed(1)} s; idle for ${idleSeconds} s ...`);
  // What connecting left to be done, the next sweep included, is not idleness.
  await delay(values.quick ? 2000 : 20_000);
  const idle = { requests: fleet.requests, cpuMs: workerdCpuMs() };
  await delay(idleSeconds * 1000);
  const cpuMsPerSecond = (workerdCpuMs() - idle.cpuMs) / idleSeconds;
  const idleRequests = fleet.requests - idle.requests;

  const nodeIds = nodes.map(({ id }) => id);
  const click = (id: number) =>
    master.call(adminApi.browseNode, { params: { id: String(id) }, query: { path: "/" } });
  const options = { nodeIds, giveUpAfterMs: 16_000, everyMs: null };
  await dispatch({ ...options, dispatches: WARM_UP }, click, fleet.nextCommand);
  const ringsBefore = fleet.rings;
  const { latencies, lost } = await dispatch({ ...options, dispatches }, click, fleet.nextCommand);
  const fifth = Math.max(1, Math.floor(latencies.length / 5));
  const result = {
    agents,
    ...spreadOf(latencies),
    lost,
    rings: fleet.rings - ringsBefore,
    firstFifthP50: median(latencies.slice(0, fifth)),
    lastFifthP50: median(latencies.slice(-fifth)),
    idle: { requests: idleRequests, cpuMsPerSecond },
    machine: machine(),
  };
  await fleet.stop();
  if (values.json) console.log(JSON.stringify(result));
  else report(result);
} finally {
  await master.stop();
}
process.exit(0);

function report(r: {
  agents: number;
  count: number;
  p50: number;
  p90: number;
  p99: number;
  max: number;
  lost: number;
  firstFifthP50: number;
  lastFifthP50: number;
  idle: { requests: number; cpuMsPerSecond: number };
}): void {
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  console.log(
    table([
      ["click to command in hand", "measured", "must", "aim"],
      ["p50", ms(r.p50), "100 ms", "25 ms"],
      ["p90", ms(r.p90), "", ""],
      ["p99", ms(r.p99), "500 ms", "75 ms"],
      ["slowest", ms(r.max), "", ""],
      [`lost, of ${r.count + r.lost}`, r.lost, "0", ""],
      [
        "p50 of the first and the last fifth",
        `${ms(r.firstFifthP50)}, ${ms(r.lastFifthP50)}`,
        "the same",
        "",
      ],
      [`master's CPU, ${r.agents} idle agents`, `${r.idle.cpuMsPerSecond.toFixed(1)} ms/s`, "", ""],
      [`requests while idle`, r.idle.requests, "", ""],
    ]),
  );
}
