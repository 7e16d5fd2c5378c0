import { randomBytes } from "node:crypto";
import type { z } from "zod";
import { adminApi, type Endpoint, type Envelope, fillPath, type Params } from "../../protocol/index.ts";

type Options<E extends Endpoint> = {
  params?: Params<E["path"]>;
  query?: Record<string, string | number>;
  body?: z.input<E["body"]>;
};
export type ReplyOf<E extends Endpoint> = z.output<E["reply"]>;
type Answer<T> = { status: number; code: string; message: string; data: T };
/** An administrator's way in, without a browser. */
export type Administrator = {
  /** Asks the master; what it refuses is an error. */
  call<E extends Endpoint>(endpoint: E, options?: Options<E>): Promise<ReplyOf<E>>;
  /** The same, with the answer as it is. */
  ask<E extends Endpoint>(endpoint: E, options?: Options<E>): Promise<Answer<ReplyOf<E>>>;
};

/** The front door of a new master, for its administrator, who is made first. */
export async function administrator(url: URL): Promise<Administrator> {
  const key = await adminKey(url);
  const ask: Administrator["ask"] = async (endpoint, { params, query, body } = {}) => {
    const target = new URL(fillPath(endpoint.path, (params ?? {}) as Params<`/${string}`>), url);
    for (const [name, value] of Object.entries(query ?? {})) target.searchParams.set(name, String(value));
    const response = await fetch(target, {
      method: endpoint.method,
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${key}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const { code, message, data } = (await response.json()) as Envelope<unknown>;
    const parsed = response.ok ? endpoint.reply.parse(data) : data;
    return { status: response.status, code, message, data: parsed as never };
  };
  return {
    ask,
    async call(endpoint, options) {
      const answer = await ask(endpoint, options);
      if (answer.status >= 400) throw new Error(`${endpoint.method} ${endpoint.path}: ${answer.message}`);
      return answer.data;
    },
  };
}

/** The way a person goes: set up, sign in, make an API key. */
async function adminKey(url: URL): Promise<string> {
  const post = (endpoint: Endpoint, body: object, headers: Record<string, string> = {}) =>
    fetch(new URL(endpoint.path, url), {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
  const credentials = { username: "admin", password: randomBytes(12).toString("base64url") };
  await post(adminApi.setup, credentials);
  const session = await post(adminApi.login, credentials);
  const cookie = session.headers.getSetCookie()[0]?.split(";")[0] ?? "";
  const made = await post(adminApi.createApiKey, { name: "tests", role: "admin" }, { Cookie: cookie });
  const { data } = (await made.json()) as Envelope<{ key: string }>;
  if (!data) throw new Error(`no API key could be made: ${made.status}`);
  return data.key;
}
