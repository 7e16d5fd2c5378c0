import { createServer, request, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from "node:net";

export type FakeProxy = { url: string; seen: string[]; close(): Promise<void> };

/** An HTTP proxy, plain or over TLS: CONNECT tunnels and absolute-form requests. */
export async function startHttpProxy(tls?: { key: string; cert: string }): Promise<FakeProxy> {
  const seen: string[] = [];
  const server = tls ? createTlsServer(tls) : createServer();
  server.on("connect", (asked, client: Socket, head) => {
    seen.push(`CONNECT ${asked.url}`);
    const [host, port] = (asked.url ?? "").split(":");
    tunnel(client, host as string, Number(port), () => client.write("HTTP/1.1 200 OK\r\n\r\n"), head);
  });
  server.on("request", (asked, answer) => {
    seen.push(`${asked.method} ${asked.url}`);
    const onward = request(asked.url ?? "", { method: asked.method, headers: asked.headers }, (got) => {
      answer.writeHead(got.statusCode ?? 502, got.headers);
      got.pipe(answer);
    });
    onward.on("error", () => answer.writeHead(502).end());
    asked.pipe(onward);
  });
  const port = await listening(server);
  return { url: `${tls ? "https" : "http"}://127.0.0.1:${port}`, seen, close: () => closed(server) };
}

/** A SOCKS5 proxy with no or with user/password authentication; just enough of RFC 1928 and 1929. */
export async function startSocksProxy(login?: { user: string; password: string }): Promise<FakeProxy> {
  const seen: string[] = [];
  const server = createTcpServer((client) => {
    client.on("error", () => {});
    client.once("data", () => {
      client.write(Buffer.from([5, login ? 2 : 0]));
      if (login) client.once("data", (given) => authenticate(client, given));
      else client.once("data", (asked) => open(client, asked));
    });
  });

  function authenticate(client: Socket, given: Buffer): void {
    const userLength = given[1] ?? 0;
    const user = given.subarray(2, 2 + userLength).toString();
    const password = given.subarray(3 + userLength).toString();
    const right = user === login?.user && password === login?.password;
    client.write(Buffer.from([1, right ? 0 : 1]));
    if (right) client.once("data", (asked) => open(client, asked));
    else client.end();
  }

  function open(client: Socket, asked: Buffer): void {
    const named = asked[3] === 3;
    const length = named ? 1 + (asked[4] ?? 0) : 4;
    const host = named ? asked.subarray(5, 4 + length).toString() : [...asked.subarray(4, 8)].join(".");
    const port = asked.readUInt16BE(4 + length);
    seen.push(`SOCKS ${host}:${port}`);
    tunnel(client, host, port, () => client.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0])));
  }

  const port = await listening(server);
  const userinfo = login ? `${login.user}:${login.password}@` : "";
  return { url: `socks5://${userinfo}127.0.0.1:${port}`, seen, close: () => closed(server) };
}

function tunnel(client: Socket, host: string, port: number, ready: () => void, head?: Buffer): void {
  const onward = connect(port, host, () => {
    ready();
    if (head?.length) onward.write(head);
    client.pipe(onward).pipe(client);
  });
  for (const [one, other] of [
    [client, onward],
    [onward, client],
  ] as const) {
    one.on("error", () => other.destroy());
    one.on("close", () => other.destroy());
  }
}

async function listening(server: Server | TcpServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

async function closed(server: Server | TcpServer): Promise<void> {
  if ("closeAllConnections" in server) server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}
