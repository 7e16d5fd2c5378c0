import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { adminApi, type Endpoint, type Envelope, fillPath, type Params } from "../protocol/index.ts";
import { freePort, startLocalMaster } from "../scripts/local-master.ts";

type CallOptions<E extends Endpoint> = {
  params?: Params<E["path"]>;
  query?: Record<string, string>;
  body?: unknown;
};
export type Call = <E extends Endpoint>(
  e: E,
  options?: CallOptions<E>,
) => Promise<NonNullable<E["reply"]["_zod"]["output"]>>;

/** A master of the bench alone, called as an administrator; `stop` removes every trace of it. */
export type BenchMaster = { url: string; folder: string; call: Call; stop: () => Promise<void> };
export type NewNode = { id: number; name: string; token: string };

const NAMES_PER_CALL = 50;

/** Starts the real master with an empty state in a temporary folder, on a free port. */
export async function startBenchMaster(): Promise<BenchMaster> {
  if (!existsSync(path.resolve(import.meta.dirname, "../dist/assets")))
    throw new Error("run npm run build first");
  const folder = mkdtempSync(path.join(tmpdir(), "backupx-bench-"));
  const stateDir = path.join(folder, "master");
  const master = await startLocalMaster({ stateDir, port: await freePort(8900) }).catch((error: unknown) => {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  });
  const stop = async () => {
    await master.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("SIGINT", () => void stop().then(() => process.exit(130)));
  const stranger = caller(master.url, {});
  const who = { username: "bench", password: randomBytes(16).toString("hex") };
  await stranger(adminApi.setup, { body: who });
  const key = await apiKey(master.url, who);
  return { url: master.url, folder, call: caller(master.url, { Authorization: `Bearer ${key}` }), stop };
}

/** Adds that many nodes, by as many calls as it takes. */
export async function addNodes(call: Call, count: number): Promise<NewNode[]> {
  const nodes: NewNode[] = [];
  while (nodes.length < count) {
    const names = Array.from(
      { length: Math.min(NAMES_PER_CALL, count - nodes.length) },
      (_, index) => `bench-${nodes.length + index}`,
    );
    const { items } = await call(adminApi.createNodes, { body: { names } });
    nodes.push(...items.map(({ node, token }) => ({ id: node.id, name: node.name, token })));
  }
  return nodes;
}

export function caller(url: string, headers: Record<string, string>): Call {
  return async (e, { params = {}, query = {}, body } = {}) => {
    const search = new URLSearchParams(query);
    const response = await fetch(`${url}${fillPath(e.path, params as never)}?${search}`, {
      method: e.method,
      headers: { "Content-Type": "application/json", ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const envelope = (await response.json()) as Envelope<unknown>;
    if (!response.ok) throw new Error(`${e.method} ${e.path}: ${envelope.message}`);
    return e.reply.parse(envelope.data) as never;
  };
}

async function apiKey(url: string, who: { username: string; password: string }): Promise<string> {
  const signedIn = await fetch(`${url}${adminApi.login.path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(who),
  });
  const cookie = signedIn.headers.getSetCookie()[0]?.split(";")[0] ?? "";
  const { key } = await caller(url, { Cookie: cookie })(adminApi.createApiKey, {
    body: { name: "bench", role: "admin" },
  });
  return key;
}
