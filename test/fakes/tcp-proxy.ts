import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** What happens to one connection. */
export type TcpFault =
  /** Once the client has sent so much, both sides are cut, or nothing passes any more with the connection left open. */
  | { kind: "cut" | "stall"; afterBytes: number }
  /** Both sides are cut in place of passing on what `when` is true of: a request of the client's, or the server's answer. */
  | { kind: "cut-before"; from: "client" | "server"; when: (said: Buffer) => boolean };

export type TcpProxy = {
  port: number;
  /** Decides for each connection, the first of number 1; undefined lets it pass. */
  plan: (number: number) => TcpFault | undefined;
  connections: number;
  /** Connections that a fault has struck. */
  hits: number;
  cutAll(): void;
  close(): Promise<void>;
};

/** Rewrites what the server says, for protocols that name further ports. */
export type Rewrite = (text: Buffer) => Promise<Buffer> | Buffer;

/** A proxy before one TCP server that does to connections what networks do. */
export async function startTcpProxy(upstreamPort: number, rewrite?: Rewrite): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const proxy: TcpProxy = {
    port: 0,
    plan: () => undefined,
    connections: 0,
    hits: 0,
    cutAll: () => {
      for (const socket of sockets) socket.destroy();
    },
    async close() {
      server.close();
      proxy.cutAll();
      await once(server, "close");
    },
  };
  const server = createServer((client) => {
    proxy.connections += 1;
    const fault = proxy.plan(proxy.connections);
    const upstream = connect(upstreamPort, "127.0.0.1");
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket
        .on("error", () => {})
        .on("close", () => {
          sockets.delete(socket);
          // The bytes before the end are given time to arrive.
          other.end();
        });
    }
    const strike = () => {
      proxy.hits += 1;
      if (fault?.kind !== "stall") return [client, upstream].map((socket) => socket.destroy());
      return [client, upstream].map((socket) => socket.pause().removeAllListeners("data"));
    };
    let sentBytes = 0;
    const isStruckBy = (from: "client" | "server", chunk: Buffer): boolean => {
      if (fault?.kind === "cut-before") return fault.from === from && fault.when(chunk);
      return from === "client" && fault !== undefined && sentBytes > fault.afterBytes;
    };
    client.on("data", (chunk) => {
      sentBytes += chunk.length;
      if (isStruckBy("client", chunk)) return void strike();
      if (upstream.write(chunk)) return;
      client.pause();
      upstream.once("drain", () => client.resume());
    });
    client.on("end", () => upstream.end());
    upstream.on("end", () => client.end());
    const mustLook = fault?.kind === "cut-before" && fault.from === "server";
    if (!rewrite && !mustLook) return void upstream.pipe(client, { end: false });
    upstream.on("data", async (chunk) => {
      if (isStruckBy("server", chunk)) strike();
      else client.write(rewrite ? await rewrite(chunk) : chunk);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  proxy.port = (server.address() as AddressInfo).port;
  return proxy;
}
