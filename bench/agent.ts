/**
 * What the agent itself costs: its start, its memory while it idles on its socket, and the memory of the process that
 * runs a job while it streams far more than fits in it, to a local disk and to the vault and back.
 *
 *     node scripts/with-node.mjs bench/agent.ts [--gib 2] [--idle-seconds 60] [--starts 20] [--json] [--quick]
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, createReadStream, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { adminApi } from "../protocol/index.ts";
import { agentFile, buildAgent } from "./built-agent.ts";
import { addNodes, type BenchMaster, startBenchMaster } from "./master.ts";
import { descendantsOf, pssMib, statusMib } from "./processes.ts";
import { machine, median, percentile, table } from "./statistics.ts";

const { values } = parseArgs({
  options: {
    gib: { type: "string" },
    "idle-seconds": { type: "string" },
    starts: { type: "string" },
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
  },
});
const gib = Number(values.gib ?? (values.quick ? 0.25 : 2));
const idleSeconds = Number(values["idle-seconds"] ?? (values.quick ? 10 : 60));
const starts = Number(values.starts ?? (values.quick ? 7 : 20));
const AGENT = agentFile("dist/main.js");
const BLOCK = 8 * 1_048_576;
const SAMPLE_MS = 100;
const RUN_TIMEOUT_MS = 1_800_000;

type Streamed = { what: string; seconds: number; mibPerSecond: number; peakMib: number };

buildAgent();
const start = measureStart();
const master = await startBenchMaster();
try {
  const [node] = await addNodes(master.call, 1);
  if (!node) throw new Error("no node was made");
  const agent = startAgent(master, node.token);
  try {
    await until("the agent to come online", 30_000, async () => {
      const { status, connection } = await master.call(adminApi.getNode, { params: { id: String(node.id) } });
      return status === "online" && connection === "socket";
    });
    await delay(idleSeconds * 1000);
    const pid = agent.pid ?? 0;
    const idle = { rssMib: statusMib(pid, "VmRSS"), pssMib: pssMib(pid) };
    const streamed = await measureStreaming(master, node.id, pid);
    const after = statusMib(pid, "VmRSS");
    if (values.json) console.log(JSON.stringify({ start, idle, streamed, machine: machine() }));
    else report(start, { ...idle, after }, streamed);
  } finally {
    agent.kill("SIGTERM");
    await once(agent, "exit");
  }
} finally {
  await master.stop();
}
process.exit(0);

/** In turns, so that whatever else the machine does meets both alike. */
function measureStart() {
  const version: number[] = [];
  const empty: number[] = [];
  const run = (args: string[], into: number[]) => {
    const from = performance.now();
    const { status } = spawnSync(process.execPath, args, { stdio: "ignore" });
    if (status !== 0) throw new Error(`${args[0]} ended with ${status}`);
    into.push(performance.now() - from);
  };
  for (let turn = 0; turn < starts; turn++) {
    run([AGENT, "--version"], version);
    run(["-e", "0"], empty);
  }
  return { medianMs: median(version), fastestMs: percentile(version, 0), emptyNodeMs: median(empty) };
}

function startAgent({ url, folder }: BenchMaster, token: string): ChildProcess {
  const tokenFile = path.join(folder, "token");
  writeFileSync(tokenFile, token, { mode: 0o600 });
  const stateDir = path.join(folder, "agent");
  const args = [
    "run",
    "--master",
    url,
    "--token-file",
    tokenFile,
    "--state-dir",
    stateDir,
    "--log-format",
    "json",
  ];
  const agent = spawn(process.execPath, [AGENT, ...args], { stdio: ["ignore", "ignore", "ignore"] });
  process.once("exit", () => agent.kill("SIGKILL"));
  return agent;
}

async function measureStreaming(
  { call, folder }: BenchMaster,
  nodeId: number,
  pid: number,
): Promise<Streamed[]> {
  const source = path.join(folder, "source");
  mkdirSync(source);
  const file = path.join(source, "large");
  writeLarge(file, Math.round(gib * 2 ** 30));
  const hash = await hashOf(file);
  const disk = path.join(folder, "disk");
  mkdirSync(disk);
  const targets = [
    await call(adminApi.createTarget, { body: { name: "disk", type: "local_disk", config: { path: disk } } }),
    await call(adminApi.createTarget, { body: { name: "vault", type: "vault" } }),
  ];
  const results: Streamed[] = [];
  for (const target of targets) {
    const task = await call(adminApi.createTask, {
      body: { name: target.name, nodeId, source: { type: "file", paths: [source] }, targetIds: [target.id] },
    });
    const { recordId } = await call(adminApi.runTask, { params: { id: String(task.id) } });
    const recordState = () => call(adminApi.getRecord, { params: { id: String(recordId) } });
    results.push(await watch(`backup to ${target.type}`, pid, recordState));

    const destination = path.join(folder, "restored");
    mkdirSync(destination);
    const { restoreId } = await call(adminApi.restoreRecord, {
      params: { id: String(recordId) },
      body: { destination },
    });
    const restoreState = () => call(adminApi.getRestore, { params: { id: String(restoreId) } });
    results.push(await watch(`restore from ${target.type}`, pid, restoreState));
    if ((await hashOf(path.join(destination, file))) !== hash) throw new Error("what was restored differs");
    rmSync(destination, { recursive: true });
  }
  return results;
}

/** Follows a run to its end, and the memory of the agent's child processes on the way. */
async function watch(
  what: string,
  pid: number,
  stateOf: () => Promise<{ status: string; errorMessage: string }>,
): Promise<Streamed> {
  let peakMib = 0;
  const sampler = setInterval(() => {
    for (const child of descendantsOf(pid)) peakMib = Math.max(peakMib, statusMib(child.pid, "VmHWM") ?? 0);
  }, SAMPLE_MS);
  const from = performance.now();
  try {
    await until(what, RUN_TIMEOUT_MS, async () => {
      const { status, errorMessage } = await stateOf();
      if (status === "failed" || status === "cancelled") throw new Error(`${what}: ${errorMessage}`);
      return status === "success";
    });
  } finally {
    clearInterval(sampler);
  }
  const seconds = (performance.now() - from) / 1000;
  return { what, seconds, mibPerSecond: (gib * 1024) / seconds, peakMib };
}

/** Half noise and half text, a block of each in turn: what neither compresses to nothing nor not at all. */
function writeLarge(file: string, bytes: number): void {
  const out = openSync(file, "w");
  let line = 0;
  for (let written = 0; written < bytes; written += 2 * BLOCK) {
    writeSync(out, randomBytes(BLOCK));
    let text = "";
    while (text.length < BLOCK)
      text += `2026-11-23 12:00:00 request ${line++} took ${line % 977} ms and was fine\n`;
    writeSync(out, text.slice(0, BLOCK));
  }
  closeSync(out);
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file, { highWaterMark: 1_048_576 })) hash.update(chunk);
  return hash.digest("hex");
}

async function until(what: string, timeoutMs: number, reached: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await reached())) {
    if (performance.now() > deadline) throw new Error(`gave up waiting for ${what}`);
    await delay(200);
  }
}

function report(
  { medianMs, fastestMs, emptyNodeMs }: ReturnType<typeof measureStart>,
  idle: { rssMib: number | null; pssMib: number | null; after: number | null },
  streamed: Streamed[],
): void {
  const mib = (value: number | null) => (value === null ? "?" : `${value.toFixed(0)} MiB`);
  console.log(machine());
  console.log(
    table([
      ["the agent", "measured", "must", "aim"],
      [
        "--version",
        `${medianMs.toFixed(0)} ms, fastest ${fastestMs.toFixed(0)}; ${(medianMs / emptyNodeMs).toFixed(2)}x node -e 0 (${emptyNodeMs.toFixed(0)} ms)`,
        "150 ms",
        "80 ms",
      ],
      [
        `idle on its socket, after ${idleSeconds} s`,
        `${mib(idle.rssMib)} RSS, ${mib(idle.pssMib)} PSS`,
        "90 MiB",
        "60 MiB",
      ],
      ["the same, after the runs below", `${mib(idle.after)} RSS`, "90 MiB", "60 MiB"],
      ...streamed.map(({ what, seconds, mibPerSecond, peakMib }) => [
        `${what}, ${gib} GiB`,
        `peak ${mib(peakMib)}; ${seconds.toFixed(1)} s, ${mibPerSecond.toFixed(0)} MiB/s`,
        "250 MiB",
        "",
      ]),
    ]),
  );
}
