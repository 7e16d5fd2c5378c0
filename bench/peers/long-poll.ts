import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort, quiet } from "../../scripts/local-master.ts";
import type { NewNode } from "../master.ts";

const root = path.resolve(import.meta.dirname, "../..");

/** The peer's master and its agents, running. */
export type LongPolling = {
  readonly requests: number;
  click: (nodeId: number) => Promise<unknown>;
  nextCommand: (nodeId: number) => Promise<number>;
  stop: () => Promise<void>;
};

/** Starts a master whose agents wait for commands in held requests, and these nodes' agents. */
export async function startLongPolling(nodes: NewNode[], stateDir: string): Promise<LongPolling> {
  const port = await freePort(9000);
  const url = `http://127.0.0.1:${port}`;
  const worker = spawnPeer(port, stateDir);
  process.once("exit", () => worker.kill("SIGTERM"));
  await untilReady(url, worker);
  const stopped = new AbortController();
  const waiting = new Map<number, (at: number) => void>();
  const post = async (name: string, body: object) =>
    (
      await fetch(`${url}/${name}`, { method: "POST", body: JSON.stringify(body), signal: stopped.signal })
    ).json();
  await post("setup", { nodes });
  const peer = {
    requests: 0,
    click: (nodeId: number) => post("enqueue", { nodeId }),
    nextCommand: (nodeId: number) => new Promise<number>((resolve) => waiting.set(nodeId, resolve)),
    async stop() {
      stopped.abort();
      const exited = once(worker, "exit");
      worker.kill("SIGTERM");
      await Promise.race([exited, delay(10_000).then(() => worker.kill("SIGKILL"))]);
    },
  };

  async function live(node: NewNode): Promise<void> {
    // Not all at once: the fleet's requests would end all at once too, ever after.
    await delay(Math.random() * 5000);
    while (!stopped.signal.aborted) {
      peer.requests++;
      const { command } = (await post("poll", { token: node.token })) as { command: object | null };
      if (command) waiting.get(node.id)?.(performance.now());
    }
  }
  for (const node of nodes) {
    live(node).catch((error: unknown) => {
      if (!stopped.signal.aborted) console.error(`long poll: ${String(error)}`);
    });
  }
  return peer;
}

function spawnPeer(port: number, stateDir: string): ChildProcess {
  const config = path.join(import.meta.dirname, "long-poll/wrangler.toml");
  const args = [
    "dev",
    "--config",
    config,
    "--ip",
    "127.0.0.1",
    "--port",
    String(port),
    "--persist-to",
    stateDir,
  ];
  return spawn(
    process.execPath,
    [path.join(root, "node_modules/wrangler/bin/wrangler.js"), ...args, "--log-level", "error"],
    {
      cwd: root,
      stdio: ["ignore", "ignore", "inherit"],
      detached: true,
      env: { ...process.env, ...quiet },
    },
  );
}

async function untilReady(url: string, worker: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (worker.exitCode !== null) throw new Error(`the peer ended with code ${worker.exitCode}`);
    const answer = await fetch(url, { method: "POST", body: "{}" }).catch(() => null);
    if (answer?.ok) return;
    await delay(200);
  }
  worker.kill("SIGKILL");
  throw new Error("the peer did not answer within a minute");
}
