import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import type { Endpoint } from "../../protocol/endpoint.ts";

/** What happens to one request of the agent. */
export type Trouble =
  /** The connection is cut, and the master never hears of the request. */
  | { kind: "lose-request" }
  /** The master does what it was asked, and its answer is lost. */
  | { kind: "lose-answer" }
  /** The request waits on its way until it is let go. */
  | { kind: "hold"; letGo: Promise<unknown> };

/** One request as it passed; `status` is zero while and when no answer has come back. */
export type Passed = { method: string; path: string; body: string; status: number };

export type Plan = {
  on: Pick<Endpoint, "method" | "path">;
  trouble: Trouble;
  /** How many requests it happens to; all, if not given. */
  times?: number;
  /** Which of the requests are meant, by their body; all of them, if not given. */
  when?: (body: string) => boolean;
};

type Active = Plan & { matches: RegExp; left: number };

export type NetworkProxy = {
  url: string;
  passed: Passed[];
  /** Makes trouble from now on; the returned value counts how often. */
  plan(plan: Plan): { hits: number };
  /** No more trouble of any kind. */
  endPlans(): void;
  /** Refuses sockets while this is set; calls still pass. */
  refuseSockets: boolean;
  /** Breaks every open socket, as a network that went away does. */
  cutSockets(): void;
  /** Nobody listens any more: new connections are refused and open ones break. */
  down(): Promise<void>;
  up(): Promise<void>;
  close(): Promise<void>;
};

/** The network between one agent and its master, with all that can go wrong in it, told call by call. */
export async function startNetworkProxy(master: URL): Promise<NetworkProxy> {
  const plans: (Active & { counter: { hits: number } })[] = [];
  const sockets = new Set<Socket>();
  let connections = new Set<Socket>();

  const server = createServer((request, response) => {
    pass(request, response).catch(() => request.socket.destroy());
  });
  server.on("connection", (socket) => {
    connections.add(socket);
    socket.on("close", () => connections.delete(socket));
  });
  server.on("upgrade", (request: IncomingMessage, client: Socket, head: Buffer) => {
    note(request, "");
    client.on("error", () => client.destroy());
    if (proxy.refuseSockets) return void client.end("HTTP/1.1 503 Service Unavailable\r\n\r\n");
    join(client, request, head);
  });

  function note(request: IncomingMessage, body: string): Passed {
    const { pathname } = new URL(request.url ?? "/", master);
    const passed = { method: request.method ?? "", path: pathname, body, status: 0 };
    proxy.passed.push(passed);
    return passed;
  }

  async function pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const bytes = await buffer(request);
    const text = bytes.length < 1_000_000 ? bytes.toString("utf8") : "";
    const passed = note(request, text);
    const trouble = troubleFor(passed);
    if (trouble?.kind === "lose-request") return void request.socket.destroy();
    if (trouble?.kind === "hold") await trouble.letGo;
    if (request.socket.destroyed) return;
    const { method, url: path, headers } = request;
    const onward = httpRequest({ host: master.hostname, port: master.port, method, path, headers });
    onward.end(bytes);
    const [answer] = (await once(onward, "response")) as [IncomingMessage];
    const body = await buffer(answer);
    passed.status = answer.statusCode ?? 0;
    if (trouble?.kind === "lose-answer") return void request.socket.destroy();
    const { "transfer-encoding": _chunked, ...kept } = answer.headers;
    response.writeHead(answer.statusCode ?? 502, { ...kept, "content-length": body.length });
    response.end(body);
  }

  function troubleFor({ method, path, body }: Passed): Trouble | null {
    const found = plans.find(
      (plan) =>
        plan.left > 0 &&
        plan.on.method === method &&
        plan.matches.test(path) &&
        (plan.when === undefined || plan.when(body)),
    );
    if (!found) return null;
    found.left--;
    found.counter.hits++;
    return found.trouble;
  }

  function join(client: Socket, request: IncomingMessage, head: Buffer): void {
    const onward = connect(Number(master.port), master.hostname, () => {
      const lines = [`${request.method} ${request.url} HTTP/1.1`];
      for (let at = 0; at < request.rawHeaders.length; at += 2) {
        lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
      }
      onward.write(`${lines.join("\r\n")}\r\n\r\n`);
      onward.write(head);
      client.pipe(onward).pipe(client);
    });
    const ends: [Socket, Socket][] = [
      [client, onward],
      [onward, client],
    ];
    for (const [one, other] of ends) {
      sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  }

  const listen = async (port: number) => {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  };

  const proxy: NetworkProxy = {
    url: "",
    passed: [],
    refuseSockets: false,
    plan(plan) {
      const counter = { hits: 0 };
      plans.push({ ...plan, matches: patternOf(plan.on.path), left: plan.times ?? Infinity, counter });
      return counter;
    },
    endPlans() {
      plans.length = 0;
    },
    cutSockets() {
      for (const socket of sockets) socket.destroy();
    },
    async down() {
      const closed = server.listening ? once(server, "close") : null;
      server.close();
      for (const socket of [...connections, ...sockets]) socket.destroy();
      connections = new Set();
      await closed;
    },
    async up() {
      if (!server.listening) await listen(port);
    },
    close: () => proxy.down(),
  };
  const port = await listen(0);
  proxy.url = `http://127.0.0.1:${port}`;
  return proxy;
}

const patternOf = (path: string) => new RegExp(`^${path.replace(/:\w+/g, "[^/]+")}$`);
