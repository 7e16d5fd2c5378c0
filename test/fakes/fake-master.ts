import { createHash, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { agentApi, type Endpoint, errorStatus, type Order } from "../../protocol/index.ts";

export type CallName = keyof typeof agentApi;
export type Call = {
  name: CallName;
  params: Record<string, string>;
  query: URLSearchParams;
  body: unknown;
  at: number;
};
/** `status` with a body as it is, or the data of an OK envelope, or nothing to go on as usual. */
export type Answer =
  | { status: number; body: string | object; headers?: Record<string, string> }
  | { hangUp: true }
  | { never: true }
  | undefined;

export type FakeCommand = {
  id: number;
  type: string;
  payload: Record<string, unknown>;
  status: "pending" | "dispatched" | "succeeded" | "failed" | "cancelled";
  attempt: number;
  leaseToken: string;
  dispatchedAt: number;
  cancelRequested: boolean;
  results: {
    success: boolean;
    errorMessage?: string;
    result?: unknown;
    cancelled?: boolean;
    attempt?: number;
  }[];
};

type Options = {
  doorbell?: boolean;
  pollSeconds?: number;
  heartbeatSeconds?: number;
  leaseSeconds?: number;
  redeliverAfterMs?: number;
  prefix?: string;
  tls?: { key: string; cert: string };
};

/**
 * A master small enough to be read in one go: it checks every body against the contract, hands commands out like the
 * real one, and keeps all that it was told. `intercept` can break any call.
 */
export async function startFakeMaster(options: Options = {}) {
  const token = randomBytes(32).toString("hex");
  const state = {
    token,
    calls: [] as Call[],
    refused: [] as string[],
    commands: new Map<number, FakeCommand>(),
    specs: new Map<number, object>(),
    restoreSpecs: new Map<number, object>(),
    recordReports: new Map<number, Record<string, unknown>[]>(),
    restoreReports: new Map<number, Record<string, unknown>[]>(),
    vault: new Map<string, Buffer>(),
    uploads: new Map<string, { key: string; parts: Map<number, Buffer> }>(),
    sockets: new Set<WebSocket>(),
    doorbell: options.doorbell ?? true,
    intercept: (_call: Call): Answer => undefined,
  };

  const server = options.tls ? createTlsServer(options.tls, handle) : createServer(handle);
  const socketServer = new WebSocketServer({ noServer: true });
  server.on("upgrade", (request, socket, head) => {
    const { pathname } = new URL(request.url ?? "/", "http://master");
    const call: Call = {
      name: "doorbell",
      params: {},
      query: new URLSearchParams(),
      body: null,
      at: Date.now(),
    };
    state.calls.push(call);
    const known = pathname === `${options.prefix ?? ""}${agentApi.doorbell.path}`;
    const broken = state.intercept(call) !== undefined;
    if (!known || broken || request.headers["x-agent-token"] !== state.token) {
      socket.end("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n");
      return;
    }
    socketServer.handleUpgrade(request, socket, head, (webSocket) => {
      state.sockets.add(webSocket);
      webSocket.on("close", () => state.sockets.delete(webSocket));
      webSocket.on("message", (data) => `${data}` === "ping" && webSocket.send("pong"));
    });
  });

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readAll(request);
    const url = new URL(request.url ?? "/", "http://master");
    const found = match(request.method ?? "", url.pathname, options.prefix ?? "");
    if (found === null) return error(response, "NOT_FOUND", `no ${request.method} ${url.pathname}`);
    const { name, endpoint, params } = found;
    const parsed = readBody(endpoint, body);
    const call: Call = { name, params, query: url.searchParams, body: parsed.value, at: Date.now() };
    state.calls.push(call);
    const answer = state.intercept(call);
    if (answer !== undefined) return respond(request, response, answer);
    if (endpoint.audience === "agent" && request.headers["x-agent-token"] !== state.token) {
      return error(response, "NODE_INVALID_TOKEN", "the node token is unknown or no longer valid");
    }
    if (parsed.problem !== null) {
      state.refused.push(`${name}: ${parsed.problem}`);
      return error(response, "INVALID_INPUT", parsed.problem);
    }
    await serve(call, request, response, body);
  }

  async function serve(
    call: Call,
    request: IncomingMessage,
    response: ServerResponse,
    bytes: Buffer,
  ): Promise<void> {
    const id = Number(call.params.id);
    const body = call.body as never;
    switch (call.name) {
      case "enroll":
        if ((body as { code: string }).code !== "good-code") {
          return error(response, "ENROLLMENT_CODE_INVALID", "the code is unknown, used or expired");
        }
        return ok(response, { nodeId: 7, name: "web-7", token: state.token });
      case "self":
        return ok(response, { id: 7, name: "web-7", status: "online", lastSeen: new Date().toISOString() });
      case "heartbeat":
        return ok(response, {
          status: "ok",
          nodeId: 7,
          name: "web-7",
          heartbeatSeconds: options.heartbeatSeconds ?? 15,
          pollSeconds: options.pollSeconds ?? 5,
          doorbell: state.doorbell ? agentApi.doorbell.path : null,
          orders: cancelOrders(),
        });
      case "poll":
        return ok(response, { command: null, ...poll(body) });
      case "renewLease": {
        const command = state.commands.get(id);
        if (command === undefined) return error(response, "AGENT_COMMAND_NOT_FOUND", "no such command");
        if (
          command.leaseToken !== (body as { leaseToken: string }).leaseToken ||
          command.status !== "dispatched"
        ) {
          return error(response, "AGENT_COMMAND_SUPERSEDED", "handed out again");
        }
        return ok(response, { leaseSeconds: options.leaseSeconds ?? 120, orders: cancelOrders() });
      }
      case "commandResult":
        return finish(id, body, response);
      case "taskSpec":
        return fromMap(state.specs, id, response, "BACKUP_TASK_NOT_FOUND");
      case "restoreSpec":
        return fromMap(state.restoreSpecs, id, response, "RESTORE_RECORD_NOT_FOUND");
      case "updateRecord":
        state.recordReports.set(id, [...(state.recordReports.get(id) ?? []), body]);
        return ok(response, { status: "ok" });
      case "updateRestore":
        state.restoreReports.set(id, [...(state.restoreReports.get(id) ?? []), body]);
        return ok(response, { status: "ok" });
      default:
        return serveVault(call, request, response, bytes);
    }
  }

  function poll({ running, max }: { running: { id: number }[]; max: number }) {
    const held = new Set(running.map(({ id }) => id));
    const ready = [...state.commands.values()].filter(({ id, status, dispatchedAt }) => {
      const lost = Date.now() - dispatchedAt > (options.redeliverAfterMs ?? 300);
      return status === "pending" || (status === "dispatched" && !held.has(id) && lost);
    });
    const control = ready.filter(({ type }) => type === "list_dir" || type === "test_target");
    const work = ready.filter((command) => !control.includes(command)).slice(0, max);
    return { commands: [...control, ...work].map(dispatch), orders: cancelOrders() };
  }

  function dispatch(command: FakeCommand) {
    command.status = "dispatched";
    command.attempt += 1;
    command.dispatchedAt = Date.now();
    command.leaseToken = randomBytes(16).toString("hex");
    const { id, type, payload, attempt, leaseToken } = command;
    return { id, type, payload, attempt, leaseToken, leaseSeconds: options.leaseSeconds ?? 120 };
  }

  const cancelOrders = (): Order[] =>
    [...state.commands.values()]
      .filter(({ cancelRequested, status }) => cancelRequested && status === "dispatched")
      .map(({ id }) => ({ type: "cancel", commandId: id }));

  function finish(
    id: number,
    result: FakeCommand["results"][number] & { leaseToken?: string },
    response: ServerResponse,
  ) {
    const command = state.commands.get(id);
    if (command === undefined) return error(response, "AGENT_COMMAND_NOT_FOUND", "no such command");
    if (result.leaseToken !== command.leaseToken) {
      return error(response, "AGENT_COMMAND_SUPERSEDED", "handed out again");
    }
    command.results.push(result);
    command.status = result.success ? "succeeded" : result.cancelled ? "cancelled" : "failed";
    return ok(response, { status: "ok" });
  }

  function serveVault(call: Call, request: IncomingMessage, response: ServerResponse, bytes: Buffer): void {
    const { uploadId = "", number } = call.params;
    const upload = state.uploads.get(uploadId);
    switch (call.name) {
      case "beginUpload": {
        const fresh = randomBytes(8).toString("hex");
        state.uploads.set(fresh, { key: (call.body as { key: string }).key, parts: new Map() });
        return ok(response, { uploadId: fresh, partSizeBytes: 64 * 1024 });
      }
      case "uploadPart": {
        const sha256 = createHash("sha256").update(bytes).digest("hex");
        if (upload === undefined) return error(response, "ARTIFACT_NOT_FOUND", "no such upload");
        if (sha256 !== request.headers["x-backupx-sha256"]) {
          return error(response, "AGENT_ARTIFACT_MISMATCH", "the part's SHA-256 differs");
        }
        upload.parts.set(Number(number), bytes);
        return ok(response, { etag: sha256 });
      }
      case "completeUpload": {
        if (upload === undefined) return error(response, "ARTIFACT_NOT_FOUND", "no such upload");
        const { parts } = call.body as { parts: { number: number }[] };
        const whole = Buffer.concat(parts.map((part) => upload.parts.get(part.number) ?? Buffer.alloc(0)));
        state.vault.set(upload.key, whole);
        state.uploads.delete(uploadId);
        return ok(response, { sizeBytes: whole.length });
      }
      case "abortUpload":
        state.uploads.delete(uploadId);
        return ok(response, { status: "ok" });
      case "restoreArtifact": {
        const spec = state.restoreSpecs.get(Number(call.params.id)) as { storagePath: string } | undefined;
        const whole = state.vault.get(spec?.storagePath ?? "");
        if (whole === undefined) return error(response, "ARTIFACT_NOT_FOUND", "no such artifact");
        const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
        const part = from === undefined ? whole : whole.subarray(Number(from), Number(to) + 1);
        response.writeHead(from === undefined ? 200 : 206, { "content-length": part.length });
        response.end(part);
        return;
      }
      default:
        return error(response, "NOT_FOUND", `the fake has no ${call.name}`);
    }
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  let nextId = 40;
  return Object.assign(state, {
    port,
    url: `${options.tls ? "https" : "http"}://127.0.0.1:${port}${options.prefix ?? ""}`,
    /** Queues a command; it is handed out by the next poll. */
    enqueue(type: string, payload: Record<string, unknown>): FakeCommand {
      const command: FakeCommand = {
        id: ++nextId,
        type,
        payload,
        status: "pending",
        attempt: 0,
        leaseToken: "",
        dispatchedAt: 0,
        cancelRequested: false,
        results: [],
      };
      state.commands.set(command.id, command);
      return command;
    },
    ring() {
      for (const socket of state.sockets) socket.send("ring");
    },
    callsTo: (name: CallName) => state.calls.filter((call) => call.name === name),
    async close() {
      for (const socket of state.sockets) socket.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

export type FakeMaster = Awaited<ReturnType<typeof startFakeMaster>>;

function match(method: string, path: string, prefix: string) {
  for (const [name, endpoint] of Object.entries(agentApi) as [CallName, Endpoint][]) {
    const pattern = new RegExp(`^${prefix}${endpoint.path.replace(/:(\w+)/g, "(?<$1>[^/]+)")}$`);
    const found = pattern.exec(path);
    if (endpoint.method === method && found) return { name, endpoint, params: { ...found.groups } };
  }
  return null;
}

function readBody(endpoint: Endpoint, bytes: Buffer): { value: unknown; problem: string | null } {
  if (endpoint.kind !== "json") return { value: bytes.length, problem: null };
  if (bytes.length > endpoint.maxBodyBytes) return { value: null, problem: "the body is too large" };
  const parsed = endpoint.body.safeParse(bytes.length === 0 ? undefined : JSON.parse(bytes.toString()));
  if (parsed.success) return { value: parsed.data, problem: null };
  const [issue] = parsed.error.issues;
  return { value: null, problem: `${issue?.path.join(".")}: ${issue?.message}` };
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function ok(response: ServerResponse, data: object): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify({ code: "OK", message: "success", data }));
}

function error(response: ServerResponse, code: keyof typeof errorStatus, message: string): void {
  response.writeHead(errorStatus[code], { "content-type": "application/json" });
  response.end(JSON.stringify({ code, message }));
}

function fromMap(
  map: Map<number, object>,
  id: number,
  response: ServerResponse,
  code: keyof typeof errorStatus,
): void {
  const found = map.get(id);
  if (found === undefined) return error(response, code, `there is no ${id}`);
  ok(response, found);
}

function respond(request: IncomingMessage, response: ServerResponse, answer: NonNullable<Answer>): void {
  if ("never" in answer) return;
  if ("hangUp" in answer) return void request.socket.destroy();
  const isText = typeof answer.body === "string";
  response.writeHead(answer.status, {
    "content-type": isText ? "text/html" : "application/json",
    ...answer.headers,
  });
  response.end(isText ? (answer.body as string) : JSON.stringify(answer.body));
}
