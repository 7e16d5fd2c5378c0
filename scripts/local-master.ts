import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const root = path.resolve(import.meta.dirname, "..");
const WRANGLER = path.join(root, "node_modules/wrangler/bin/wrangler.js");
const READY_TIMEOUT_MS = 60_000;

/** wrangler must neither phone home, nor ask, nor log beside what matters; see its own documentation for each. */
export const quiet = {
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_WRITE_LOGS: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  X_LOCAL_OBSERVABILITY: "false",
  X_LOCAL_EXPLORER: "false",
  CI: "true",
};

export type LocalMaster = { url: string; stop: () => Promise<void> };

/** The master on this machine: D1, R2 and the Doorbell in `stateDir`, its crons fired by a ticker. */
export async function startLocalMaster(options: {
  stateDir: string;
  port: number;
  /** A Worker that stands in for the master's own. */
  script?: string;
}): Promise<LocalMaster> {
  mkdirSync(options.stateDir, { recursive: true, mode: 0o700 });
  const envFile = masterEnvFile(options.stateDir);
  const persist = path.join(options.stateDir, "cloudflare");
  await runWrangler(["d1", "migrations", "apply", "backupx-edge", "--local", "--persist-to", persist]);
  const worker = spawnWrangler([
    "dev",
    ...(options.script ? [options.script] : []),
    ...["--ip", "127.0.0.1", "--port", String(options.port)],
    ...["--persist-to", persist, "--env-file", envFile],
    ...["--log-level", "error", "--show-interactive-dev-session=false"],
  ]);
  const url = `http://127.0.0.1:${options.port}`;
  await untilReady(url, worker);
  const stopTicker = startTicker(url);
  return {
    url,
    stop: async () => {
      stopTicker();
      if (worker.exitCode !== null || worker.signalCode !== null) return;
      const exited = once(worker, "exit");
      worker.kill("SIGTERM");
      await Promise.race([exited, delay(10_000).then(() => worker.kill("SIGKILL"))]);
    },
  };
}

/** The first free port from `preferred` on. */
export async function freePort(preferred: number): Promise<number> {
  for (let port = preferred; port < preferred + 100; port++) if (await isFree(port)) return port;
  throw new Error(`no free port between ${preferred} and ${preferred + 99}`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** The master's own secret, made once and kept beside its state: without it that state cannot be read. */
function masterEnvFile(stateDir: string): string {
  const file = path.join(stateDir, "master.env");
  if (!existsSync(file)) {
    const key = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64");
    writeFileSync(file, `MASTER_KEY=${key}\n`, { mode: 0o600 });
  }
  if (!readFileSync(file, "utf8").includes("MASTER_KEY=")) throw new Error(`${file} holds no MASTER_KEY`);
  return file;
}

function spawnWrangler(args: string[]): ChildProcess {
  return spawn(process.execPath, [WRANGLER, ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...quiet },
    // A Ctrl-C in the terminal is for the caller, who stops what it started in the right order.
    detached: true,
  });
}

async function runWrangler(args: string[]): Promise<void> {
  const child = spawnWrangler(args);
  let output = "";
  child.stdout?.on("data", (chunk) => {
    output += chunk;
  });
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`wrangler ${args.slice(0, 3).join(" ")} failed:\n${output}`);
}

async function untilReady(url: string, worker: ChildProcess): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  while (Date.now() < deadline) {
    if (worker.exitCode !== null) throw new Error(`the local master ended with code ${worker.exitCode}`);
    const answer = await fetch(`${url}/api/health`).catch(() => null);
    if (answer?.ok) return;
    await delay(200);
  }
  worker.kill("SIGKILL");
  throw new Error(`the local master did not answer within ${READY_TIMEOUT_MS / 1000} s`);
}

/** Nobody fires crons locally: this does, on the minute, as Cloudflare would. Returns what stops it. */
function startTicker(url: string): () => void {
  const stopped = new AbortController();
  const tick = async () => {
    while (!stopped.signal.aborted) {
      await delay(60_000 - (Date.now() % 60_000), undefined, { signal: stopped.signal });
      void fetch(`${url}/cdn-cgi/handler/scheduled?format=json`, { signal: stopped.signal }).catch(() => {});
    }
  };
  tick().catch(() => {});
  return () => stopped.abort();
}
