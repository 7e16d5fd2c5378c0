import { env, exports } from "cloudflare:workers";
import { adminApi, type Endpoint, type Envelope, fillPath, type Params } from "../../protocol/index.ts";
import { makeDeps } from "../../worker/deps.ts";
import { hashToken, randomHex } from "../../worker/secrets/hash.ts";

export const ORIGIN = "https://master.test";

type CallOptions<E extends Endpoint> = {
  params?: Params<E["path"]>;
  query?: Record<string, string | number>;
  body?: unknown;
  headers?: Record<string, string>;
};
export type Answer<T> = { status: number; code: string; message: string; data: T; headers: Headers };

/** Calls the Worker by its front door, as `credentials` (headers), and opens the envelope. */
export async function call<E extends Endpoint>(
  credentials: Record<string, string>,
  e: E,
  options: CallOptions<E> = {},
): Promise<Answer<NonNullable<E["reply"]["_zod"]["output"]>>> {
  const path = fillPath(e.path, (options.params ?? {}) as Params<E["path"]>);
  const query = new URLSearchParams(Object.entries(options.query ?? {}).map(([k, v]) => [k, String(v)]));
  const response = await exports.default.fetch(`${ORIGIN}${path}${query.size > 0 ? `?${query}` : ""}`, {
    method: e.method,
    headers: { "Content-Type": "application/json", ...credentials, ...options.headers },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
  });
  const envelope = (await response.json()) as Envelope<never>;
  return {
    status: response.status,
    code: envelope.code,
    message: envelope.message,
    data: envelope.data as never,
    headers: response.headers,
  };
}

/** The same deps that the Worker assembles for itself, for arranging and looking, not for proving. */
export const deps = makeDeps(env);

/** Headers of a new API key with this role: each test its own. */
export async function asRole(role: "viewer" | "operator" | "admin"): Promise<Record<string, string>> {
  const key = `bxk_${randomHex(32)}`;
  await env.DB.prepare("insert into api_keys (name, key_sha256, role, created_at) values (?, ?, ?, ?)")
    .bind(`${role} ${randomHex(8)}`, await hashToken(key), role, Date.now())
    .run();
  return { Authorization: `Bearer ${key}` };
}

/** A new node and the headers of its agent. `ours` has spoken our protocol; otherwise it is a Go agent to the master. */
export async function aNode(options: { ours?: boolean; name?: string } = {}) {
  const token = randomHex(32);
  const name = options.name ?? `node-${randomHex(6)}`;
  const row = await env.DB.prepare(
    `insert into nodes (name, token_sha256, status, connection, last_seen, protocol_version, created_at, updated_at)
     values (?, ?, 'online', 'poll', ?, ?, ?, ?) returning id`,
  )
    .bind(name, await hashToken(token), Date.now(), options.ours ? 1 : null, Date.now(), Date.now())
    .first<{ id: number }>();
  if (!row) throw new Error("no node was made");
  return { id: row.id, name, token, headers: { "X-Agent-Token": token } };
}

/** Headers of an address that nobody else in the tests has. */
export const fromNewAddress = () => ({ "CF-Connecting-IP": `2001:db8:${randomHex(2)}:${randomHex(2)}::1` });

/** A new user, made through the front door by an administrator's key. */
export async function aUser(role: "viewer" | "operator" | "admin") {
  const username = `${role}-${randomHex(6)}`;
  const password = `right ${randomHex(8)}`;
  const made = await call(await asRole("admin"), adminApi.createUser, { body: { username, password, role } });
  return { id: made.data.user.id, username, password };
}

/** Signs a user in and returns the headers that a browser would send from then on. */
export async function signedIn(user: { username: string; password: string }) {
  const { username, password } = user;
  const answer = await call(fromNewAddress(), adminApi.login, { body: { username, password } });
  const cookie = answer.headers.get("Set-Cookie")?.split(";")[0];
  if (!cookie) throw new Error(`could not sign in: ${answer.message}`);
  return { Cookie: cookie };
}

/** Every table's rows, as text to compare; those that merely being asked may change are left out. */
export async function everyRow(): Promise<Record<string, string>> {
  const { results: tables } = await env.DB.prepare(
    "select name from sqlite_master where type = 'table' and name not like '\\_%' escape '\\' and name not like 'sqlite\\_%' escape '\\' and name <> 'd1_migrations'",
  ).all<{ name: string }>();
  const dump: Record<string, string> = {};
  for (const { name } of tables) {
    if (name === "login_failures") continue;
    const { results } = await env.DB.prepare(`select * from "${name}"`).all();
    dump[name] = JSON.stringify(results.map((row) => ({ ...row, last_used_at: 0, last_seen: 0 })));
  }
  return dump;
}

/** A new task of a node that backs up /etc into a vault of its own. */
export async function aTask(node: { id: number }, options: { compression?: "zstd" | "gzip" } = {}) {
  const admin = await asRole("admin");
  const target = await call(admin, adminApi.createTarget, {
    body: { name: `vault ${randomHex(6)}`, type: "vault" },
  });
  const task = await call(admin, adminApi.createTask, {
    body: {
      name: `task ${randomHex(6)}`,
      nodeId: node.id,
      source: { type: "file", paths: ["/etc"] },
      pipeline: { compression: options.compression ?? "zstd" },
      targetIds: [target.data.id],
    },
  });
  if (task.status !== 200) throw new Error(`no task was made: ${task.message}`);
  return { id: task.data.id, targetId: target.data.id, name: task.data.name };
}
