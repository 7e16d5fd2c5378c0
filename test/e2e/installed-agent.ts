import { spawnSync } from "node:child_process";
import { closeSync, copyFileSync, cpSync, globSync, mkdirSync, openSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const root = path.resolve(import.meta.dirname, "../..");
const agent = path.join(root, "agent-cli");
const built = path.join(agent, "dist/main.js");
const lock = path.join(tmpdir(), `backupx-edge-build-${Buffer.from(root).toString("hex").slice(-40)}.lock`);
const LOCK_LIMIT_MS = 60_000;

/** The agent's program as a machine has it, built from the sources as they are now; returns its entry. */
export async function installAgent(folder: string): Promise<string> {
  await alone(() => {
    if (isStale()) build();
    mkdirSync(folder, { recursive: true });
    cpSync(path.join(agent, "dist"), path.join(folder, "dist"), { recursive: true });
    copyFileSync(path.join(agent, "package.json"), path.join(folder, "package.json"));
  });
  return path.join(folder, "dist/main.js");
}

function isStale(): boolean {
  const builtAt = statSync(built, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = globSync("{agent-cli,protocol}/**/*.ts", { cwd: root, exclude: ["**/node_modules/**"] });
  return sources.some((file) => statSync(path.join(root, file)).mtimeMs > builtAt);
}

function build(): void {
  const done = spawnSync(process.execPath, [path.join(agent, "build.ts")], { cwd: root, encoding: "utf8" });
  if (done.status !== 0) throw new Error(`the agent could not be built:\n${done.stderr}${done.stdout}`);
}

/** Test files run beside each other, and a build replaces what another one copies. */
async function alone(work: () => void): Promise<void> {
  const deadline = Date.now() + LOCK_LIMIT_MS;
  while (true) {
    try {
      closeSync(openSync(lock, "wx"));
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      // Left behind by a run that was killed.
      if (Date.now() > deadline) rmSync(lock, { force: true });
      await delay(100);
    }
  }
  try {
    work();
  } finally {
    rmSync(lock, { force: true });
  }
}
