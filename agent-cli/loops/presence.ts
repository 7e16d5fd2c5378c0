import { doorbellClose } from "../../protocol/doorbell.ts";
import { timing } from "../../protocol/states.ts";
import type { Agent } from "../agent.ts";
import { backoffMs, fullJitter, pause } from "../backoff.ts";
import { holdSocket } from "./doorbell.ts";
import { firstHeartbeat, heartbeatMs, sendHeartbeat, type Told } from "./heartbeat.ts";

/** How this node is connected right now, and what the master last told it. */
export type Presence = { socketUp: boolean; told: Told | null };

type Change = (presence: Presence) => void;

const SOCKET_TRIES = 3;
const SOCKET_RETRY_MS = 5 * 60_000;
const LOOK_AGAIN_MS = 5 * 60_000;

/** Keeps the master knowing that this node lives: by a socket where one can be had, else by heartbeats. */
export async function keepPresence(agent: Agent, presence: Presence, onChange: Change): Promise<void> {
  let capabilities = await agent.findCapabilities();
  presence.told = await firstHeartbeat(agent, capabilities);
  if (presence.told === null) return;
  agent.log.info("connected to the master", { node: presence.told.name, nodeId: presence.told.nodeId });
  let beatAt = performance.now();
  onChange(presence);
  const beat = async () => {
    presence.told = await sendHeartbeat(agent, capabilities);
    beatAt = performance.now();
  };
  /** Tells the master when a program was installed or removed, so that it knows before a task is saved. */
  const lookAgain = async () => {
    const found = await agent.findCapabilities();
    if (JSON.stringify(found) === JSON.stringify(capabilities)) return;
    capabilities = found;
    agent.log.info("what this machine can do has changed", { sources: found.sources.join(", ") });
    await beat();
  };
  await Promise.all([
    keepBeating(agent, presence, beat),
    keepSocket(agent, presence, onSocket),
    keepLooking(agent, lookAgain),
  ]);

  function onSocket(up: boolean): void {
    presence.socketUp = up;
    onChange(presence);
    agent.workBell.ring();
    const stale = performance.now() - beatAt > timing.heartbeatSeconds * 1000;
    if (up && stale) beat().catch((error) => agent.link.failed(error, 0));
  }
}

async function keepBeating(agent: Agent, presence: Presence, beat: () => Promise<void>): Promise<void> {
  let failures = 0;
  let waitMs = heartbeatMs(agent, presence.told as Told);
  while (!agent.stopped.aborted) {
    await pause(waitMs, agent.stopped);
    waitMs = heartbeatMs(agent, presence.told as Told);
    if (agent.stopped.aborted || presence.socketUp) continue;
    try {
      await beat();
      failures = 0;
    } catch (error) {
      if (agent.stopped.aborted) return;
      waitMs = Math.max(waitMs, agent.link.failed(error, failures++).waitMs);
    }
  }
}

async function keepLooking(agent: Agent, lookAgain: () => Promise<void>): Promise<void> {
  while (!agent.stopped.aborted) {
    await pause(LOOK_AGAIN_MS, agent.stopped);
    // A heartbeat that does not get through is repeated by the next look, or by the usual ones.
    if (!agent.stopped.aborted) await lookAgain().catch((error) => agent.link.failed(error, 0));
  }
}

async function keepSocket(agent: Agent, presence: Presence, onSocket: (up: boolean) => void): Promise<void> {
  let failures = 0;
  while (!agent.stopped.aborted) {
    const path = presence.told?.doorbell ?? null;
    if (path === null || !/^\/(?!\/)/.test(path)) {
      await pause(heartbeatMs(agent, presence.told as Told), agent.stopped);
      continue;
    }
    const ended = await holdSocket(agent, path, onSocket);
    if (agent.stopped.aborted) return;
    failures = ended.opened ? 0 : failures + 1;
    if (failures === SOCKET_TRIES) {
      agent.log.warn("no socket to the master can be had: polling instead", { reason: ended.reason });
    }
    await pause(reconnectMs(ended, failures), agent.stopped);
  }
}

/**
 * After 1006 and 1012 a whole fleet may come back at once, so it spreads over half a minute. Whoever was replaced by
 * another agent polls for a while: two clones that took the socket from each other at once would never end.
 */
function reconnectMs({ opened, code }: { opened: boolean; code: number }, failures: number): number {
  if (code === doorbellClose.replaced) return SOCKET_RETRY_MS * (0.8 + Math.random() * 0.4);
  if (opened) return code === 1006 || code === 1012 ? Math.random() * 30_000 : fullJitter(0, 1000, 1000);
  return failures >= SOCKET_TRIES ? SOCKET_RETRY_MS * (0.8 + Math.random() * 0.4) : backoffMs(failures);
}
