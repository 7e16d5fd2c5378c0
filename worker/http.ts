import { type Context, Hono } from "hono";
import { getCookie } from "hono/cookie";
import type { z } from "zod";
import {
  type Audience,
  type Endpoint,
  errorStatus,
  mayAs,
  type ParsedParams,
  type states,
} from "../protocol/index.ts";
import { type Deps, makeDeps } from "./deps.ts";
import { asKnownError, DomainError } from "./errors.ts";
import { type AgentNode, authenticateAgent } from "./nodes/authenticate.ts";
import type { Actor } from "./users/actor.ts";
import { API_KEY_PREFIX, type Identity, identityOfApiKey, userOfSession } from "./users/authenticate.ts";

export type HonoEnv = { Bindings: Env; Variables: { requestId: string } };
export type App = Hono<HonoEnv>;

export const SESSION_COOKIE = "backupx_session";

/** The answer of a call that has nothing to tell but that it is done. */
export const DONE = { status: "ok" } as const;

/** What a route's handler gets: everything parsed, nobody unknown. */
export type Call<E extends Endpoint> = {
  deps: Deps;
  params: ParsedParams<E["path"]>;
  query: z.output<E["query"]>;
  body: z.output<E["body"]>;
  ipAddress: string;
  c: Context<HonoEnv>;
};
type Answer<E extends Endpoint> = Promise<z.input<E["reply"]> | Response>;

/** Mounts a call that anybody may make. */
export function servePublic<E extends Endpoint>(app: App, e: E, handler: (call: Call<E>) => Answer<E>): void {
  mount(app, e, ["public"], async (c, deps) => {
    // Another site must not set up a master that only this browser can reach, nor sign its user in as somebody else.
    refuseCrossSite(c);
    return handler(await parseCall(c, deps, e));
  });
}

/** Mounts a call of a node's agent. */
export function serveAgent<E extends Endpoint>(
  app: App,
  e: E,
  handler: (call: Call<E> & { node: AgentNode }) => Answer<E>,
): void {
  mount(app, e, ["agent"], async (c, deps) => {
    const token = tokenOf(c);
    if (token === null) throw new DomainError("NODE_INVALID_TOKEN", "missing agent token");
    const node = await authenticateAgent(deps, token);
    return handler({ ...(await parseCall(c, deps, e)), node });
  });
}

/** Mounts a call of a person or an API key; the endpoint's audience is the least role. */
export function serveUser<E extends Endpoint>(
  app: App,
  e: E,
  handler: (call: Call<E> & { actor: Actor; identity: Identity }) => Answer<E>,
): void {
  mount(app, e, ["viewer", "operator", "admin"], async (c, deps) => {
    const identity = await identify(c, deps);
    requireRole(identity.role, e.audience as states.Role);
    const call = await parseCall(c, deps, e);
    const actor: Actor = { ...identity, ipAddress: call.ipAddress };
    return handler({ ...call, actor, identity });
  });
}

/**
 * Mounts a call whose token may also stand in its body, as first-generation agents send it with a heartbeat: the
 * handler authenticates by `token` when `headerToken` is null.
 */
export function serveHandshake<E extends Endpoint>(
  app: App,
  e: E,
  handler: (call: Call<E> & { headerToken: string | null }) => Answer<E>,
): void {
  mount(app, e, ["agent"], async (c, deps) =>
    handler({ ...(await parseCall(c, deps, e)), headerToken: tokenOf(c) }),
  );
}

/** Turns every error into the envelope; what is unexpected is logged and told by its request id alone. */
function onError(error: Error, c: Context<HonoEnv>): Response {
  const known = asKnownError(error, Date.now());
  const requestId = c.var.requestId;
  if (!known) {
    console.error(JSON.stringify({ requestId, path: c.req.path, error: error.message, stack: error.stack }));
    return c.json(
      { code: "INTERNAL_ERROR", message: `internal error, request ${requestId}`, requestId },
      500,
    );
  }
  if (known.retryAfterSeconds !== undefined) c.header("Retry-After", String(known.retryAfterSeconds));
  const { code, message, details } = known;
  return c.json({ code, message, requestId, ...(details && { details }) }, errorStatus[code]);
}

export function newApp(): App {
  const app = new Hono<HonoEnv>();
  app.use(async (c, next) => {
    c.set("requestId", crypto.randomUUID());
    await next();
    // Answers hold states and, once, tokens: no cache may keep one, and no browser may guess what it is.
    if (c.res.status !== 101) {
      if (!c.res.headers.has("Cache-Control")) c.res.headers.set("Cache-Control", "no-store");
      c.res.headers.set("X-Content-Type-Options", "nosniff");
    }
  });
  app.onError(onError);
  app.notFound((c) => {
    throw new DomainError("NOT_FOUND", `there is no ${c.req.method} ${c.req.path.slice(0, 200)}`);
  });
  return app;
}

function mount<E extends Endpoint>(
  app: App,
  e: E,
  audiences: Audience[],
  run: (c: Context<HonoEnv>, deps: Deps) => Answer<E>,
): void {
  if (!audiences.includes(e.audience))
    throw new Error(`${e.path} is for ${e.audience}, not ${audiences.join("/")}`);
  app.on(e.method, e.path, async (c) => {
    const answer = await run(c, makeDeps(c.env));
    if (answer instanceof Response) return answer;
    return c.json({ code: "OK", message: "success", data: e.reply.parse(answer) });
  });
}

async function parseCall<E extends Endpoint>(c: Context<HonoEnv>, deps: Deps, e: E): Promise<Call<E>> {
  const params = parseParams(c.req.param()) as ParsedParams<E["path"]>;
  const query = parseWith(e.query, c.req.query(), "query") as z.output<E["query"]>;
  const body = (e.kind === "json" ? parseWith(e.body, await readJson(c, e), "body") : undefined) as z.output<
    E["body"]
  >;
  return { deps, params, query, body, ipAddress: ipAddressOf(c), c };
}

/** Ids in paths are positive integers; an upload's own id is the storage's text. */
function parseParams(raw: Record<string, string>): Record<string, string | number> {
  return Object.fromEntries(
    Object.entries(raw).map(([key, value]) => [
      key,
      key === "uploadId" ? value : positiveInteger(key, value),
    ]),
  );
}

function positiveInteger(key: string, value: string): number {
  if (/^[1-9]\d{0,15}$/.test(value)) {
    const number = Number(value);
    if (Number.isSafeInteger(number)) return number;
  }
  throw new DomainError("INVALID_INPUT", `${key}: must be a positive integer`);
}

function parseWith(schema: z.ZodType, value: unknown, what: string): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.map(String).join(".") || what}: ${inWords(issue.message)}`);
  throw new DomainError("INVALID_INPUT", problems.join("; ").slice(0, 1000));
}

const inWords = (message: string) => (message.endsWith("received undefined") ? "is missing" : message);

async function readJson(c: Context<HonoEnv>, e: Endpoint): Promise<unknown> {
  const text = new TextDecoder().decode(await readBounded(c.req.raw, e.maxBodyBytes));
  if (text.trim() === "") return e.method === "GET" || e.method === "DELETE" ? undefined : emptyBody(e);
  try {
    return JSON.parse(text);
  } catch {
    throw new DomainError("INVALID_INPUT", "body: is not JSON");
  }
}

/** An empty body means "nothing said": for calls whose body is an object, an empty object. */
const emptyBody = (e: Endpoint) => (e.body.safeParse(undefined).success ? undefined : {});

/** The request's body, or BODY_TOO_LARGE as soon as it exceeds `maxBytes`, whatever its length header says. */
async function readBounded(request: Request, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = () => new DomainError("BODY_TOO_LARGE", `body: is larger than ${maxBytes} bytes`);
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge();
  if (request.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body as ReadableStream<Uint8Array>) {
    size += chunk.byteLength;
    if (size > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  const whole = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return whole;
}

/** The agent's token: its own header, or a bearer that is not an API key. Null when there is none. */
function tokenOf(c: Context<HonoEnv>): string | null {
  return c.req.header("X-Agent-Token")?.trim() || bearerOf(c) || null;
}

const bearerOf = (c: Context<HonoEnv>) => /^Bearer\s+(\S+)$/i.exec(c.req.header("Authorization") ?? "")?.[1];

async function identify(c: Context<HonoEnv>, deps: Deps): Promise<Identity> {
  const bearer = bearerOf(c);
  const identity = bearer?.startsWith(API_KEY_PREFIX)
    ? await identityOfApiKey(deps, bearer)
    : await identifyByCookie(c, deps);
  if (!identity) throw new DomainError("UNAUTHENTICATED", "sign in, or send an API key as a bearer token");
  return identity;
}

async function identifyByCookie(c: Context<HonoEnv>, deps: Deps): Promise<Identity | null> {
  const token = getCookie(c, SESSION_COOKIE);
  if (!token) return null;
  refuseCrossSite(c);
  return userOfSession(deps, token);
}

/** A cookie travels with requests that other sites make; browsers tell of those by Origin and Sec-Fetch-Site. */
function refuseCrossSite(c: Context<HonoEnv>): void {
  if (c.req.method === "GET" || c.req.method === "HEAD") return;
  refuseForeignOrigin(c);
  const site = c.req.header("Sec-Fetch-Site");
  if (site !== undefined && site !== "same-origin" && site !== "none") throw crossSite();
}

/** A browser says of itself from which site it was sent, for sockets too. */
export function refuseForeignOrigin(c: Context<HonoEnv>): void {
  const origin = c.req.header("Origin");
  if (origin !== undefined && origin !== new URL(c.req.url).origin) throw crossSite();
}

const crossSite = () => new DomainError("CROSS_SITE_REQUEST", "requests from other sites are refused");

/** FORBIDDEN unless the caller has at least that role: for what an endpoint does only for some of its callers. */
export function requireRole(has: states.Role, needs: states.Role): void {
  if (!mayAs(has, needs)) throw new DomainError("FORBIDDEN", `this needs the role ${needs}; you are ${has}`);
}

const ipAddressOf = (c: Context<HonoEnv>) => c.req.header("CF-Connecting-IP") ?? "";
