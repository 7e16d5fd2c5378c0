import { doorbellClose } from "../../protocol/doorbell.ts";
import { timing } from "../../protocol/states.ts";
import type { Agent } from "../agent.ts";

export type SocketEnd = { opened: boolean; code: number; reason: string };

const OPEN_TIMEOUT_MS = 15_000;
const PONG_TIMEOUT_MS = 10_000;

/** Opens the socket and keeps it until it ends, for whatever reason. Rings only mean: poll now. */
export function holdSocket(agent: Agent, path: string, onSocket: (up: boolean) => void): Promise<SocketEnd> {
  return new Promise((resolve) => {
    const socket = agent.client.openSocket(path);
    let opened = false;
    let pongTimer: NodeJS.Timeout | undefined;
    const openTimer = setTimeout(() => end(1006, "it did not open in time"), OPEN_TIMEOUT_MS);
    const pingTimer = setInterval(ping, timing.socketPingSeconds * 1000);
    const onStop = () => end(1001, "the agent stops");
    agent.stopped.addEventListener("abort", onStop, { once: true });

    socket.addEventListener("open", () => {
      opened = true;
      clearTimeout(openTimer);
      agent.log.info("socket open");
      onSocket(true);
      ping();
    });
    socket.addEventListener("message", ({ data }) => {
      if (data === "pong") clearTimeout(pongTimer);
      else if (data === "ring") agent.workBell.ring();
    });
    socket.addEventListener("error", ({ message }) => end(1006, message || "the connection broke"));
    socket.addEventListener("close", ({ code, reason }) => end(code, reason || "closed"));

    function ping(): void {
      if (socket.readyState !== socket.OPEN) return;
      socket.send("ping");
      clearTimeout(pongTimer);
      pongTimer = setTimeout(() => end(1006, "no pong came back"), PONG_TIMEOUT_MS);
    }

    let ended = false;
    function end(code: number, reason: string): void {
      if (ended) return;
      ended = true;
      for (const timer of [openTimer, pongTimer, pingTimer]) clearTimeout(timer);
      agent.stopped.removeEventListener("abort", onStop);
      closeQuietly(socket);
      if (opened) {
        onSocket(false);
        if (!agent.stopped.aborted) tell(agent, code, reason);
      }
      resolve({ opened, code, reason: reason.slice(0, 200) });
    }
  });
}

function tell(agent: Agent, code: number, reason: string): void {
  if (code === doorbellClose.replaced) {
    agent.log.warn("socket taken over by another agent with this node's token: is this machine a clone?");
  } else agent.log.info("socket closed", { code, reason: reason.slice(0, 200) });
}

function closeQuietly(socket: { close(code?: number): void }): void {
  try {
    socket.close(1000);
  } catch {
    // It was closed already, or never opened; both are what is wanted.
  }
}
