import { setTimeout as delay } from "node:timers/promises";
import { WebSocket } from "ws";
import { agentApi, doorbellWords, type Envelope, timing } from "../protocol/index.ts";
import type { NewNode } from "./master.ts";

/** How a fake agent learns of its commands. */
export type Mode = "doorbell" | "polling";

/** Agents as the master sees them: they say the same, as often, and run nothing. */
export type Fleet = {
  /** Resolves with the time at which the node's agent next has a command in hand. */
  nextCommand: (nodeId: number) => Promise<number>;
  readonly requests: number;
  readonly rings: number;
  stop: () => Promise<void>;
};

type Command = { id: number; leaseToken: string };

const CONNECT_AT_ONCE = 50;

/** Brings these nodes online and keeps them so. */
export async function startFleet(url: string, nodes: NewNode[], mode: Mode): Promise<Fleet> {
  const stopped = new AbortController();
  const waiting = new Map<number, (at: number) => void>();
  const ends: (() => void)[] = [];
  const fleet = {
    requests: 0,
    rings: 0,
    nextCommand: (nodeId: number) => new Promise<number>((resolve) => waiting.set(nodeId, resolve)),
    async stop() {
      stopped.abort();
      for (const end of ends) end();
      await delay(500);
    },
  };

  async function post(node: NewNode, path: string, body: object): Promise<unknown> {
    fleet.requests++;
    const response = await fetch(`${url}${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Agent-Token": node.token },
      body: JSON.stringify(body),
      signal: stopped.signal,
    });
    const envelope = (await response.json()) as Envelope<unknown>;
    if (!response.ok) throw new Error(`${path}: ${envelope.message}`);
    return envelope.data;
  }
  const beat = (node: NewNode) =>
    post(node, agentApi.heartbeat.path, { protocolVersion: 1, hostname: node.name });

  async function poll(node: NewNode): Promise<void> {
    const { commands } = (await post(node, agentApi.poll.path, { running: [], max: 4 })) as {
      commands: Command[];
    };
    if (commands.length > 0) waiting.get(node.id)?.(performance.now());
    for (const { id, leaseToken } of commands) {
      const path = agentApi.commandResult.path.replace(":id", String(id));
      await post(node, path, { success: true, result: { entries: [] }, leaseToken });
    }
  }
  const tolerated = (work: Promise<unknown>) =>
    work.catch((error: unknown) => {
      if (!stopped.signal.aborted) console.error(String(error));
    });

  /** An agent waits for one answer before it asks again: a master that is slow is not asked ever more. */
  function unlessBusy(act: () => Promise<unknown>): () => void {
    let busy = false;
    return () => {
      if (busy) return;
      busy = true;
      void tolerated(act()).finally(() => {
        busy = false;
      });
    };
  }

  /** Every agent at its own moment of the interval, as they are in life. */
  function every(seconds: number, act: () => void): void {
    let timer: NodeJS.Timeout | undefined;
    const start = setTimeout(
      () => {
        act();
        timer = setInterval(act, seconds * 1000);
      },
      Math.random() * seconds * 1000,
    );
    ends.push(() => {
      clearTimeout(start);
      clearInterval(timer);
    });
  }

  async function connect(node: NewNode): Promise<void> {
    const socket = new WebSocket(`${url.replace("http", "ws")}${agentApi.doorbell.path}`, {
      headers: { "X-Agent-Token": node.token },
    });
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
    socket.on("message", (data) => {
      if (String(data) !== doorbellWords.ring) return;
      fleet.rings++;
      void tolerated(poll(node));
    });
    socket.on("error", () => {});
    every(
      timing.socketPingSeconds,
      () => socket.readyState === WebSocket.OPEN && socket.send(doorbellWords.ping),
    );
    ends.push(() => socket.terminate());
  }

  async function start(node: NewNode): Promise<void> {
    await beat(node);
    if (mode === "doorbell") return connect(node);
    every(
      timing.heartbeatSeconds,
      unlessBusy(() => beat(node)),
    );
    every(
      timing.pollSeconds,
      unlessBusy(() => poll(node)),
    );
  }

  for (let first = 0; first < nodes.length; first += CONNECT_AT_ONCE) {
    await Promise.all(nodes.slice(first, first + CONNECT_AT_ONCE).map(start));
  }
  return fleet;
}
