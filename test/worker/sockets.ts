import { exports } from "cloudflare:workers";
import { agentApi } from "../../protocol/index.ts";
import { ORIGIN } from "./master.ts";

/** An agent's end of a doorbell socket: what it was told, in order, and how it was closed. */
export type Socket = {
  heard: string[];
  closed: Promise<{ code: number }>;
  send(text: string): void;
  close(): void;
};

/** Asks for the doorbell by the front door. */
export const askForSocket = (headers: Record<string, string>, upgrade = true) =>
  exports.default.fetch(`${ORIGIN}${agentApi.doorbell.path}`, {
    headers: { ...headers, ...(upgrade && { Upgrade: "websocket" }) },
  });

/** Opens a node's doorbell as its agent does. */
export async function openSocket(headers: Record<string, string>): Promise<Socket> {
  const response = await askForSocket(headers);
  const socket = response.webSocket;
  if (!socket) throw new Error(`no socket: ${response.status} ${await response.text()}`);
  const heard: string[] = [];
  const closed = new Promise<{ code: number }>((resolve) =>
    socket.addEventListener("close", ({ code }) => resolve({ code })),
  );
  socket.addEventListener("message", ({ data }) => {
    heard.push(String(data));
  });
  socket.accept();
  return { heard, closed, send: (text) => socket.send(text), close: () => socket.close(1000) };
}
