import { env, exports } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import {
  adminApi,
  agentApi,
  type Endpoint,
  type Envelope,
  endpoint,
  errorStatus,
  fillPath,
} from "../../protocol/index.ts";
import { makeApp } from "../../worker/app.ts";
import { newApp, servePublic } from "../../worker/http.ts";
import { aNode, asRole, fromNewAddress, ORIGIN } from "./master.ts";

const endpoints: [string, Endpoint][] = Object.entries<Endpoint>({ ...adminApi, ...agentApi });
const mounted = makeApp().routes;

/** A call of that endpoint with made-up ids, so that only who may call decides. */
async function knock(e: Endpoint, headers: Record<string, string>, body?: BodyInit) {
  const path = fillPath(e.path, { id: 1, targetId: 1, uploadId: "x", number: 1 });
  const response = await exports.default.fetch(`${ORIGIN}${path}${requiredQuery(e)}`, {
    method: e.method,
    headers: { ...fromNewAddress(), ...headers },
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  const envelope = text.startsWith("{")
    ? (JSON.parse(text) as Envelope<unknown>)
    : { code: "", message: text };
  return { status: response.status, ...envelope };
}

const requiredQuery = (e: Endpoint) => (e.query.safeParse({}).success ? "" : "?key=x&schedule=x&text=x");

const nonsense: Record<string, string>[] = [
  { Authorization: "Bearer bxk_0000" },
  { Authorization: "Bearer nonsense" },
  { Authorization: "Basic YTpi" },
  { "X-Agent-Token": "0".repeat(64) },
  { Cookie: "backupx_session=0000" },
];

describe.each(endpoints)("%s", (name, e) => {
  it("is mounted", () => {
    expect(mounted).toContainEqual(expect.objectContaining({ method: e.method, path: e.path }));
  });

  if (e.audience === "public") return;

  it("turns a stranger away, with or without made-up credentials", async () => {
    // A first-generation agent's heartbeat may carry its token in the body, so that one is told what is missing.
    const none = name === "heartbeat" ? 400 : 401;
    expect(await knock(e, {})).toMatchObject({ status: none, message: expect.stringMatching(/\w/) });
    for (const headers of nonsense) {
      const { status, code } = await knock(e, headers);
      const tokenSent = headers["X-Agent-Token"] ?? headers.Authorization?.startsWith("Bearer");
      expect([status, code].join(" "), JSON.stringify(headers)).toMatch(
        tokenSent ? /^401 (UNAUTHENTICATED|NODE_INVALID_TOKEN)$/ : new RegExp(`^${none} `),
      );
    }
  });
});

describe("each role", () => {
  const people = endpoints.filter(([, e]) => ["viewer", "operator", "admin"].includes(e.audience));
  let viewer: Record<string, string>;
  let operator: Record<string, string>;
  let node: { headers: Record<string, string> };
  beforeAll(async () => {
    [viewer, operator, node] = await Promise.all([asRole("viewer"), asRole("operator"), aNode()]);
  });

  it.each(people.filter(([, e]) => e.audience !== "viewer"))("viewers may not %s", async (_name, e) => {
    expect(await knock(e, viewer)).toMatchObject({ status: 403, code: "FORBIDDEN" });
  });

  it.each(people.filter(([, e]) => e.audience === "admin"))("operators may not %s", async (_name, e) => {
    expect(await knock(e, operator)).toMatchObject({ status: 403, code: "FORBIDDEN" });
  });

  it.each(people)("agents may not %s", async (_name, e) => {
    expect(await knock(e, node.headers)).toMatchObject({ status: 401, code: "UNAUTHENTICATED" });
  });

  it.each(endpoints.filter(([, e]) => e.audience === "agent"))("people may not %s", async (_name, e) => {
    expect(await knock(e, viewer)).toMatchObject({ status: 401, code: "NODE_INVALID_TOKEN" });
  });
});

describe("a body over the limit", () => {
  let admin: Record<string, string>;
  let agent: Record<string, string>;
  beforeAll(async () => {
    admin = await asRole("admin");
    agent = (await aNode({ ours: true })).headers;
  });
  const carrying = endpoints.filter(([, e]) => e.kind === "json" && e.method !== "GET");

  it.each(carrying)("is refused by %s, with its length told and without", async (_name, e) => {
    const headers = e.audience === "agent" ? agent : admin;
    const big = `{"x":"${"a".repeat(e.maxBodyBytes)}"}`;
    const tooLarge = { status: 413, code: "BODY_TOO_LARGE" };
    expect(await knock(e, headers, big)).toMatchObject(tooLarge);
    expect(await knock(e, headers, inChunks(big))).toMatchObject(tooLarge);
  });

  it.each(carrying)("is not what %s calls one within it", async (_name, e) => {
    const headers = e.audience === "agent" ? agent : admin;
    const { status } = await knock(e, headers, `[${" ".repeat(1000)}"x"]`);
    expect(status).not.toBe(413);
    expect(status).toBeLessThan(500);
  });
});

/** The text as a stream, whose length nobody knows beforehand. */
function inChunks(text: string): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  const step = 64 * 1024;
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at + step));
      at += step;
    },
  });
}

describe("answers", () => {
  it("carry nothing that the contract does not name", async () => {
    const app = newApp();
    const leaky = endpoint({
      method: "GET",
      path: "/leaky",
      audience: "public",
      summary: "Answers more than it should",
      reply: z.object({ items: z.array(z.object({ id: z.int() })) }),
    });
    const rows = { items: [{ id: 1, password_hash: "leaked" }], token: "leaked" };
    servePublic(app, leaky, async () => rows);
    const response = await app.request("/leaky", {}, env);
    expect(await response.json()).toEqual({ code: "OK", message: "success", data: { items: [{ id: 1 }] } });
  });

  it.each(endpoints.filter(([, e]) => e.kind === "json"))("of %s are closed objects", (_name, e) => {
    const schema = z.toJSONSchema(e.reply, { io: "output", unrepresentable: "any" });
    expect(openObjectsIn(schema)).toEqual([]);
  });

  it("say errors in the envelope, with a code that the contract knows and the status that goes with it", async () => {
    for (const path of ["/api/nothing-here", "/api/users/0", "/api/users", "/%E0%A4%A"]) {
      const response = await exports.default.fetch(`${ORIGIN}${path}`);
      const body = (await response.json()) as { code: keyof typeof errorStatus; requestId: string };
      expect(errorStatus[body.code]).toBe(response.status);
      expect(body.requestId).toMatch(/^[0-9a-f-]{36}$/);
    }
  });
});

/** Objects with named properties that would let others through. */
function openObjectsIn(schema: unknown, path = "$"): string[] {
  if (typeof schema !== "object" || schema === null) return [];
  const { properties, additionalProperties } = schema as Record<string, unknown>;
  const open = properties !== undefined && additionalProperties !== false ? [path] : [];
  return [
    ...open,
    ...Object.entries(schema).flatMap(([key, value]) => openObjectsIn(value, `${path}.${key}`)),
  ];
}
