import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { stop } from "./strict-s3.ts";

/** What goes wrong with one request. */
export type Fault =
  /** The connection is cut once that many bytes of the request's body have passed. */
  | { kind: "cut"; afterBytes: number }
  /** One bit of the request's body arrives wrong. */
  | { kind: "flip" }
  /** The server does its work, and its answer is lost. */
  | { kind: "lose-answer" }
  /** Nothing of the request is read, and nothing is answered. */
  | { kind: "stall" }
  /** That many bytes of the answer's body come, then no more, with the connection left open. */
  | { kind: "stall-answer"; afterBytes: number }
  /** That many bytes of the answer's body come, then the connection is cut. */
  | { kind: "cut-answer"; afterBytes: number }
  /** The request is read at about this speed. */
  | { kind: "slow"; bytesPerSecond: number }
  /** The server is not asked at all. */
  | { kind: "answer"; status: number; headers?: Record<string, string>; body: string };

export type FaultyProxy = {
  endpoint: string;
  /** Decides for each request; undefined lets it pass. */
  plan: (request: IncomingMessage) => Fault | undefined;
  /** Requests that a fault was applied to. */
  hits: number;
  close(): Promise<void>;
};

/** An HTTP proxy before one server that does to requests what networks do. */
export async function startFaultyProxy(upstreamPort: number): Promise<FaultyProxy> {
  const proxy: FaultyProxy = { endpoint: "", plan: () => undefined, hits: 0, close: () => stop(server) };
  const server = createServer(async (request, response) => {
    const fault = proxy.plan(request);
    if (fault) proxy.hits += 1;
    request.on("error", () => {});
    response.on("error", () => {});
    if (fault?.kind === "stall") return;
    if (fault?.kind === "answer") {
      request.resume();
      return void response.writeHead(fault.status, fault.headers).end(fault.body);
    }
    await pass(upstreamPort, request, response, fault).catch(() => request.socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  proxy.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return proxy;
}

async function pass(
  port: number,
  request: IncomingMessage,
  response: ServerResponse,
  fault: Fault | undefined,
): Promise<void> {
  const { method, url: path, headers } = request;
  const upstream = httpRequest({ host: "127.0.0.1", port, method, path, headers, agent: false });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    upstream.once("response", resolve);
    upstream.once("error", reject);
  });
  answered.catch(() => {});
  request.once("close", () => !request.complete && upstream.destroy());
  let sentBytes = 0;
  for await (const chunk of request) {
    if (fault?.kind === "cut" && sentBytes + chunk.length > fault.afterBytes) return cut(request, upstream);
    sentBytes += chunk.length;
    if (fault?.kind === "flip") chunk[chunk.length - 1] ^= 1;
    if (fault?.kind === "slow") await delay((chunk.length / fault.bytesPerSecond) * 1000);
    if (!upstream.write(chunk)) await new Promise((resolve) => upstream.once("drain", resolve));
  }
  if (fault?.kind === "cut") return cut(request, upstream);
  upstream.end();
  const answer = await answered;
  if (fault?.kind === "lose-answer") {
    answer.resume();
    return void request.socket.destroy();
  }
  response.writeHead(answer.statusCode ?? 500, answer.headers);
  await passAnswer(answer, request, response, fault);
}

async function passAnswer(
  answer: IncomingMessage,
  request: IncomingMessage,
  response: ServerResponse,
  fault: Fault | undefined,
): Promise<void> {
  const limit = fault?.kind === "cut-answer" || fault?.kind === "stall-answer" ? fault.afterBytes : Infinity;
  let seenBytes = 0;
  for await (const chunk of answer) {
    const allowed = chunk.subarray(0, Math.max(0, limit - seenBytes));
    seenBytes += chunk.length;
    if (!response.write(allowed) && !response.destroyed) {
      await new Promise((resolve) => response.once("drain", resolve).once("close", resolve));
    }
    if (seenBytes < limit) continue;
    // The bytes before the cut are given time to arrive.
    if (fault?.kind === "cut-answer") await delay(20);
    if (fault?.kind === "cut-answer") request.socket.destroy();
    return;
  }
  response.end();
}

function cut(request: IncomingMessage, upstream: { destroy(): void }): void {
  upstream.destroy();
  request.socket.destroy();
}
