import { type Dispatcher, request, WebSocket } from "undici";
import type { z } from "zod";
import type { Endpoint } from "../protocol/endpoint.ts";
import { fillPath, type Params } from "../protocol/path.ts";
import { agentVersion } from "./version.ts";

/** A call that did not succeed, in words for people, and whether the same call can succeed later. */
export class MasterError extends Error {
  /** The master's code, or UNREACHABLE, MASTER_UNAVAILABLE, REDIRECTED, NOT_BACKUPX, UNEXPECTED_ANSWER. */
  readonly code: string;
  /** Zero when there was no answer at all. */
  readonly status: number;
  readonly retryAfterMs: number | null;
  readonly retryable: boolean;
  constructor(code: string, status: number, message: string, more: { retryAfterMs?: number | null } = {}) {
    super(message);
    this.name = "MasterError";
    this.code = code;
    this.status = status;
    this.retryAfterMs = more.retryAfterMs ?? null;
    this.retryable =
      code === "MASTER_UNAVAILABLE" ||
      (status === 0 ? code === "UNREACHABLE" : retryableStatuses.has(status));
  }
}

const retryableStatuses = new Set([408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 530]);

export type ClientOptions = {
  master: URL;
  token: string | null;
  dispatcher: Dispatcher;
  /** Where a socket needs another way than calls do. */
  socketDispatcher?: Dispatcher;
};

export type CallOptions<E extends Endpoint> = {
  params?: Params<E["path"]>;
  query?: z.input<E["query"]>;
  body?: z.input<E["body"]>;
  signal?: AbortSignal;
  /** For the whole call; 0 is no limit. */
  timeoutMs?: number;
};

export type RawOptions<E extends Endpoint> = Omit<CallOptions<E>, "body"> & {
  headers?: Record<string, string>;
  bytes?: Uint8Array;
};

export type MasterClient = {
  readonly master: URL;
  /** One JSON call; its answer is checked against what the contract promises. */
  call<E extends Endpoint>(endpoint: E, options?: CallOptions<E>): Promise<z.output<E["reply"]>>;
  /** A call that carries bytes and answers JSON. */
  sendBytes<E extends Endpoint>(endpoint: E, options: RawOptions<E>): Promise<z.output<E["reply"]>>;
  /** A call that answers bytes, which the caller reads to the end or destroys. */
  fetchBytes<E extends Endpoint>(endpoint: E, options: RawOptions<E>): Promise<AsyncIterable<Uint8Array>>;
  openSocket(path: string): WebSocket;
  /** The master's clock as its last answer had it, with the time here at which it was read. */
  lastDate(): { master: number; here: number } | null;
  close(): Promise<void>;
};

const MAX_ANSWER_BYTES = 8 * 1_048_576;
const CALL_TIMEOUT_MS = 30_000;

/** Speaks the contract to one master, with this node's token. Never follows a redirect: it would carry the token away. */
export function makeClient(options: ClientOptions): MasterClient {
  const { master, token, dispatcher, socketDispatcher = dispatcher } = options;
  const headers: Record<string, string> = { "user-agent": `backupx-agent/${agentVersion}` };
  if (token !== null) headers["x-agent-token"] = token;
  let date: { master: number; here: number } | null = null;

  async function exchange(
    endpoint: Endpoint,
    options: RawOptions<Endpoint>,
  ): Promise<Dispatcher.ResponseData> {
    const target = urlOf(master, endpoint, options);
    const signal = withTimeout(options.signal, options.timeoutMs ?? CALL_TIMEOUT_MS);
    try {
      const answer = await request(target, {
        method: endpoint.method,
        headers: { ...headers, ...options.headers },
        body: options.bytes ?? null,
        dispatcher,
        ...(signal ? { signal } : {}),
      });
      const told = Date.parse(one(answer.headers.date) ?? "");
      if (!Number.isNaN(told)) date = { master: told, here: Date.now() };
      return answer;
    } catch (error) {
      if (options.signal?.aborted) throw options.signal.reason;
      throw unreachable(master, error);
    }
  }

  async function answerOf<E extends Endpoint>(
    endpoint: E,
    answer: Dispatcher.ResponseData,
    signal: AbortSignal | undefined,
  ): Promise<z.output<E["reply"]>> {
    const text = await readBounded(answer, master, signal);
    throwUnlessOk(answer, text, master);
    const envelope = parseEnvelope(text);
    const parsed = endpoint.reply.safeParse(envelope?.data);
    if (envelope === null) throw notBackupX(answer, text, master);
    if (parsed.success) return parsed.data as z.output<E["reply"]>;
    const [issue] = parsed.error.issues;
    throw new MasterError(
      "UNEXPECTED_ANSWER",
      0,
      `the master's answer to ${endpoint.method} ${endpoint.path} is not understood: ` +
        `${issue?.path.join(".") || "it"}: ${issue?.message}; is the agent as new as the master?`,
    );
  }

  return {
    master,
    async call(endpoint, { body, ...options } = {}) {
      const json = body === undefined ? {} : jsonBody(body);
      const answer = await exchange(endpoint, { ...options, ...json } as RawOptions<Endpoint>);
      return answerOf(endpoint, answer, options.signal);
    },
    async sendBytes(endpoint, options) {
      const answer = await exchange(endpoint, options as RawOptions<Endpoint>);
      return answerOf(endpoint, answer, options.signal);
    },
    async fetchBytes(endpoint, options) {
      // A stream may take hours; the dispatcher's own limits end one that stands still.
      const answer = await exchange(endpoint, { ...options, timeoutMs: 0 } as RawOptions<Endpoint>);
      if (answer.statusCode !== 200 && answer.statusCode !== 206) {
        throwUnlessOk(answer, await readBounded(answer, master, options.signal), master);
      }
      if (options.headers?.range !== undefined && answer.statusCode !== 206) {
        answer.body.destroy();
        throw new MasterError("UNEXPECTED_ANSWER", 0, "the master ignored the asked range of the artifact");
      }
      return answer.body;
    },
    openSocket(path) {
      const target = join(master, path);
      target.protocol = target.protocol === "https:" ? "wss:" : "ws:";
      return new WebSocket(target, { headers, dispatcher: socketDispatcher });
    },
    lastDate: () => date,
    async close() {
      await Promise.all([dispatcher.destroy(), socketDispatcher.destroy()]);
    },
  };
}

function withTimeout(signal: AbortSignal | undefined, timeoutMs: number): AbortSignal | undefined {
  if (timeoutMs === 0) return signal;
  const timeout = AbortSignal.timeout(timeoutMs);
  return signal ? AbortSignal.any([signal, timeout]) : timeout;
}

const jsonBody = (body: unknown) => ({
  bytes: Buffer.from(JSON.stringify(body)),
  headers: { "content-type": "application/json" },
});

function urlOf(master: URL, endpoint: Endpoint, { params, query }: RawOptions<Endpoint>): URL {
  const target = join(master, fillPath(endpoint.path, (params ?? {}) as Params<`/${string}`>));
  for (const [key, value] of Object.entries((query ?? {}) as Record<string, unknown>)) {
    if (value !== undefined) target.searchParams.set(key, String(value));
  }
  return target;
}

/** The master may live below a path prefix, which every call keeps. */
function join(master: URL, path: string): URL {
  const target = new URL(master);
  target.pathname = `${master.pathname.replace(/\/+$/, "")}${path}`;
  return target;
}

function throwUnlessOk(answer: Dispatcher.ResponseData, text: string, master: URL): void {
  const { statusCode: status } = answer;
  if (status >= 200 && status < 300) return;
  if (status >= 300 && status < 400) throw redirected(answer, master);
  const envelope = parseEnvelope(text);
  if (envelope === null) throw notBackupX(answer, text, master);
  throw new MasterError(envelope.code, status, readable(envelope.message, 2000), {
    retryAfterMs: retryAfterMs(one(answer.headers["retry-after"])),
  });
}

function redirected(answer: Dispatcher.ResponseData, master: URL): MasterError {
  const to = URL.parse(one(answer.headers.location) ?? "", master.href);
  const host = to === null ? "somewhere else" : to.host === master.host ? to.origin : to.host;
  return new MasterError(
    "REDIRECTED",
    answer.statusCode,
    `the master answered with a redirect to ${host}: set --master to the final address`,
  );
}

function notBackupX(answer: Dispatcher.ResponseData, text: string, master: URL): MasterError {
  const kind = readable(one(answer.headers["content-type"]) ?? "no content type", 100);
  const title = /<title[^>]*>([^<]{1,200})/i.exec(text)?.[1];
  const what = title ? `a web page, "${readable(title, 100)}"` : `something that is not BackupX (${kind})`;
  // A page with a 5xx is what stands before the master (a proxy, a CDN) when the master itself is in trouble.
  const passing = answer.statusCode >= 500;
  return new MasterError(
    passing ? "MASTER_UNAVAILABLE" : "NOT_BACKUPX",
    answer.statusCode,
    `${master.host} answered ${answer.statusCode} with ${what}${passing ? "" : ": is --master the right address?"}`,
    { retryAfterMs: retryAfterMs(one(answer.headers["retry-after"])) },
  );
}

type ReadEnvelope = { code: string; message: string; data: unknown };

function parseEnvelope(text: string): ReadEnvelope | null {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== "object" || parsed === null || !("code" in parsed)) return null;
    const { code, message, data } = parsed as Record<string, unknown>;
    return typeof code === "string" ? { code, message: String(message ?? code), data } : null;
  } catch {
    return null;
  }
}

async function readBounded(
  answer: Dispatcher.ResponseData,
  master: URL,
  signal: AbortSignal | undefined,
): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_ANSWER_BYTES) break;
      chunks.push(chunk);
    }
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw unreachable(master, error);
  }
  if (size > MAX_ANSWER_BYTES) {
    throw new MasterError("UNEXPECTED_ANSWER", 0, `${master.host} answered with more than 8 MiB`);
  }
  return Buffer.concat(chunks).toString("utf8");
}

const reasons: Record<string, string> = {
  ECONNREFUSED: "the connection was refused",
  ECONNRESET: "the connection was reset",
  ENOTFOUND: "its name is not known",
  EAI_AGAIN: "its name could not be looked up",
  EHOSTUNREACH: "there is no route to it",
  ENETUNREACH: "there is no network",
  UND_ERR_CONNECT_TIMEOUT: "it did not answer in time",
  UND_ERR_HEADERS_TIMEOUT: "it did not answer in time",
  UND_ERR_BODY_TIMEOUT: "it stopped in the middle of its answer",
  UND_ERR_SOCKET: "the connection was closed",
  CERT_HAS_EXPIRED: "its certificate has expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is from an unknown authority; set --ca-cert",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is self-signed; set --ca-cert",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is from an unknown authority; set --ca-cert",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its certificate is from an unknown authority; set --ca-cert",
};

function unreachable(master: URL, error: unknown): MasterError {
  const codes = [error, (error as Error).cause].map((e) => (e as NodeJS.ErrnoException | undefined)?.code);
  const code = codes.find((known) => known !== undefined && known in reasons);
  const timedOut = (error as Error).name === "TimeoutError";
  const reason = code
    ? reasons[code]
    : timedOut
      ? "it did not answer in time"
      : readable((error as Error).message || "no reason was given", 200);
  return new MasterError("UNREACHABLE", 0, `cannot reach ${master.host}: ${reason}`);
}

const MAX_RETRY_AFTER_MS = 3_600_000;

function retryAfterMs(header: string | undefined): number | null {
  if (header === undefined) return null;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? null : Math.min(MAX_RETRY_AFTER_MS, Math.max(0, ms));
}

const one = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value[0] : value;

const readable = (text: string, max: number): string =>
  text
    .replace(/[\p{Cc}\s]+/gu, " ")
    .trim()
    .slice(0, max);
