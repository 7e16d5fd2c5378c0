// `npm start`: the whole chain on this machine. A master, an agent that joins it, the project's own tree backed up to
// the vault, restored elsewhere and compared byte for byte; then it keeps serving.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { adminApi, type Endpoint, type Envelope, fillPath, type Params } from "../protocol/index.ts";
import { compareTrees } from "./compare-trees.ts";
import { freePort, type LocalMaster, startLocalMaster } from "./local-master.ts";

const root = path.resolve(import.meta.dirname, "..");
const home = path.resolve(process.env.BACKUPX_HOME ?? path.join(root, ".backupx"));
const AGENT = path.join(root, "agent-cli/dist/main.js");
const EXCLUDES = ["node_modules", ".git", ".backupx", ".wrangler", "dist", home];
const RUN_TIMEOUT_MS = 300_000;

const say = (text: string) => console.log(text);
const step = (text: string) => console.log(`  ${text}`);
const mebibytes = (bytes: number) => `${(bytes / 1_048_576).toFixed(1)} MiB`;

let master: LocalMaster | undefined;
let agent: ChildProcess | undefined;
let stopping = false;

for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => void stop(0));
main().catch(async (error: unknown) => {
  if (stopping) return;
  console.error(`\nnpm start failed: ${error instanceof Error ? error.message : String(error)}`);
  await stop(1);
});

async function main(): Promise<void> {
  const began = Date.now();
  mkdirSync(home, { recursive: true, mode: 0o700 });
  say("BackupX Edge");
  build();
  const port = process.env.PORT ? Number(process.env.PORT) : await freePort(8787);
  master = await startLocalMaster({ stateDir: path.join(home, "master"), port });
  step(`master     running on ${master.url} (its data: ${path.join(home, "master")})`);
  const call = await signIn(master.url);
  const nodeId = await startAgent(master.url, call);
  const taskId = await ensureTask(call, nodeId);
  const record = await backUp(call, taskId);
  await restoreAndCompare(call, record.id);
  say(
    `\nReady after ${((Date.now() - began) / 1000).toFixed(1)} s. Console: ${master.url}/  API: ${master.url}/api/openapi.json`,
  );
  say("Ctrl-C stops the master and the agent; npm start again goes on with this state.");
}

function build(): void {
  const built = spawnSync(process.execPath, [path.join(root, "scripts/build.ts")], {
    cwd: root,
    stdio: "inherit",
  });
  if (built.status !== 0) throw new Error("the agent could not be built: see above");
}

type Caller = <E extends Endpoint>(
  e: E,
  options?: { params?: Params<E["path"]>; body?: unknown },
) => Promise<NonNullable<E["reply"]["_zod"]["output"]>>;

function caller(url: string, headers: () => Record<string, string>): Caller {
  return async (e, options = {}) => {
    const response = await fetch(`${url}${fillPath(e.path, (options.params ?? {}) as never)}`, {
      method: e.method,
      headers: { "Content-Type": "application/json", ...headers() },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    });
    const envelope = (await response.json()) as Envelope<unknown>;
    if (!response.ok) throw new Error(`${e.method} ${e.path}: ${envelope.message}`);
    return e.reply.parse(envelope.data) as never;
  };
}

/** The first start makes the administrator and an API key of this script's own; later ones use that key. */
async function signIn(url: string): Promise<Caller> {
  const keyFile = path.join(home, "operator.key");
  const stranger = caller(url, () => ({}));
  const { needed } = await stranger(adminApi.setupState);
  if (!needed) {
    if (!existsSync(keyFile))
      throw new Error(`${keyFile} is missing: restore it, or remove ${home} to begin anew`);
    const key = readFileSync(keyFile, "utf8").trim();
    return caller(url, () => ({ Authorization: `Bearer ${key}` }));
  }
  const username = process.env.BACKUPX_ADMIN_USER ?? "admin";
  const given = process.env.BACKUPX_ADMIN_PASSWORD;
  const password = given ?? randomBytes(12).toString("base64url");
  await stranger(adminApi.setup, { body: { username, password } });
  const cookie = await sessionCookie(url, username, password);
  const { key } = await caller(url, () => ({ Cookie: cookie }))(adminApi.createApiKey, {
    body: { name: "npm start", role: "admin" },
  });
  writeFileSync(keyFile, `${key}\n`, { mode: 0o600 });
  step(
    given
      ? `admin      ${username}, with the password from BACKUPX_ADMIN_PASSWORD`
      : `admin      ${username}, password ${password}   <- shown this once`,
  );
  return caller(url, () => ({ Authorization: `Bearer ${key}` }));
}

async function sessionCookie(url: string, username: string, password: string): Promise<string> {
  const response = await fetch(`${url}${adminApi.login.path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ username, password }),
  });
  const cookie = response.headers.getSetCookie()[0]?.split(";")[0];
  if (!response.ok || !cookie) throw new Error("signing in as the new administrator failed");
  return cookie;
}

async function startAgent(url: string, call: Caller): Promise<number> {
  const dir = path.join(home, "agent");
  const config = path.join(dir, "agent.yaml");
  const flags = ["--config", config, "--state-dir", path.join(dir, "state")];
  const idFile = path.join(dir, "node-id");
  if (!existsSync(idFile)) {
    const { node } = await call(adminApi.createNode, {
      body: { name: await freeName(call), labels: ["local"] },
    });
    const { code } = await call(adminApi.createNodeCode, { params: { id: node.id } });
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const enrolled = spawnSync(process.execPath, [AGENT, "enroll", "--master", url, ...flags, "--force"], {
      env: { ...process.env, BACKUPX_AGENT_CODE: code },
      encoding: "utf8",
    });
    if (enrolled.status !== 0)
      throw new Error(`the agent could not be enrolled: ${enrolled.stderr}${enrolled.stdout}`);
    writeFileSync(idFile, `${node.id}\n`);
  }
  const nodeId = Number(readFileSync(idFile, "utf8"));
  agent = spawn(process.execPath, [AGENT, "run", "--master", url, ...flags, "--log-format", "json"], {
    stdio: ["ignore", "ignore", "pipe"],
    detached: true,
  });
  const log = path.join(dir, "agent.log");
  agent.stderr?.on("data", (chunk) => writeFileSync(log, chunk, { flag: "a", mode: 0o600 }));
  agent.on("exit", (code) => {
    if (!stopping) console.error(`the agent ended with code ${code}; its log: ${log}`);
  });
  await until("the agent to come online", 60_000, async () => {
    const node = await call(adminApi.getNode, { params: { id: nodeId } });
    return node.status === "online" ? node : null;
  });
  const node = await call(adminApi.getNode, { params: { id: nodeId } });
  step(
    `agent      ${node.name} is online (${node.os} ${node.arch}, agent ${node.agentVersion}); its log: ${log}`,
  );
  return nodeId;
}

async function freeName(call: Caller): Promise<string> {
  const taken = new Set((await call(adminApi.listNodes)).items.map((node) => node.name));
  const hostname = os.hostname() || "this-machine";
  return taken.has(hostname) ? `${hostname}-${randomBytes(3).toString("hex")}` : hostname;
}

async function ensureTask(call: Caller, nodeId: number): Promise<number> {
  const tasks = (await call(adminApi.listTasks)).items;
  const known = tasks.find((task) => task.name === "project tree");
  if (known) return known.id;
  const targets = (await call(adminApi.listTargets)).items;
  const vault =
    targets.find((target) => target.type === "vault") ??
    (await call(adminApi.createTarget, { body: { name: "vault", type: "vault" } }));
  const task = await call(adminApi.createTask, {
    body: {
      name: "project tree",
      nodeId,
      source: { type: "file", paths: [root], excludes: EXCLUDES },
      targetIds: [vault.id],
      schedule: "0 3 * * *",
      timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    },
  });
  return task.id;
}

async function backUp(call: Caller, taskId: number) {
  const { recordId } = await call(adminApi.runTask, { params: { id: taskId } });
  const record = await until("the backup", RUN_TIMEOUT_MS, async () => {
    const now = await call(adminApi.getRecord, { params: { id: recordId } });
    return now.status === "queued" || now.status === "running" ? null : now;
  });
  if (record.status !== "success")
    throw new Error(`backup ${recordId} ${record.status}: ${record.errorMessage}`);
  const copy = record.copies[0];
  step(
    `backup     record ${record.id}: ${record.entries} entries, ${mebibytes(record.sourceBytes ?? 0)} -> ${mebibytes(record.sizeBytes)} in ${record.copies.length} copy (${copy?.targetName}: ${copy?.storagePath})`,
  );
  if (record.warningCount > 0)
    step(
      `           with ${record.warningCount} warnings, e.g. ${record.warnings[0]?.path}: ${record.warnings[0]?.reason}`,
    );
  return record;
}

async function restoreAndCompare(call: Caller, recordId: number): Promise<void> {
  const destination = path.join(home, "restored");
  rmSync(destination, { recursive: true, force: true });
  mkdirSync(destination, { recursive: true, mode: 0o700 });
  const { restoreId } = await call(adminApi.restoreRecord, {
    params: { id: recordId },
    body: { destination },
  });
  const restore = await until("the restore", RUN_TIMEOUT_MS, async () => {
    const now = await call(adminApi.getRestore, { params: { id: restoreId } });
    return now.status === "queued" || now.status === "running" ? null : now;
  });
  if (restore.status !== "success")
    throw new Error(`restore ${restoreId} ${restore.status}: ${restore.errorMessage}`);
  const restored = path.join(destination, root);
  const { files, bytes, differences } = compareTrees(root, restored, EXCLUDES);
  if (differences.length > 0) {
    throw new Error(`the restored tree differs from its source:\n  ${differences.slice(0, 10).join("\n  ")}`);
  }
  step(`restore    to ${restored}`);
  step(`compare    ${files} files, ${mebibytes(bytes)}: restored, identical`);
}

async function until<T>(what: string, timeoutMs: number, look: () => Promise<T | null>): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    const found = await look();
    if (found !== null) return found;
    await delay(200);
  }
  throw new Error(`gave up waiting for ${what} after ${timeoutMs / 1000} s`);
}

async function stop(code: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  say("\nStopping ...");
  if (agent && agent.exitCode === null && agent.signalCode === null) {
    const exited = once(agent, "exit");
    agent.kill("SIGTERM");
    await Promise.race([exited, delay(15_000).then(() => agent?.kill("SIGKILL"))]);
  }
  await master?.stop();
  process.exit(code);
}
