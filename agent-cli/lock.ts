import { randomUUID } from "node:crypto";
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ExitError } from "./exit-codes.ts";
import { hasProcess, processIdentity } from "./process-identity.ts";

export type Holder = { pid: number; process: string | null; since: number };

const fileIn = (stateDir: string) => join(stateDir, "agent.lock");

/** Takes the state directory for this process alone; the returned function gives it back. */
export function takeLock(stateDir: string): () => void {
  const mine: Holder = { pid: process.pid, process: processIdentity(process.pid), since: Date.now() };
  const draft = `${fileIn(stateDir)}.${randomUUID()}`;
  writeFileSync(draft, JSON.stringify(mine), { mode: 0o600, flag: "wx" });
  try {
    // A second try is enough: whoever wins in between is alive, and then it is not ours.
    if (!linked(draft, fileIn(stateDir))) {
      dropIfStale(stateDir);
      if (!linked(draft, fileIn(stateDir))) throw alreadyRunning(stateDir);
    }
  } finally {
    rmSync(draft, { force: true });
  }
  return () => {
    if (readHolder(fileIn(stateDir))?.pid === process.pid) rmSync(fileIn(stateDir), { force: true });
  };
}

/** The live process that holds the state directory, if there is one. */
export function currentHolder(stateDir: string): Holder | null {
  const holder = readHolder(fileIn(stateDir));
  return holder !== null && isAlive(holder) ? holder : null;
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function dropIfStale(stateDir: string): void {
  if (currentHolder(stateDir) !== null) throw alreadyRunning(stateDir);
  const aside = `${fileIn(stateDir)}.${randomUUID()}`;
  try {
    renameSync(fileIn(stateDir), aside);
  } catch {
    return;
  }
  // Between the look and the rename another agent may have replaced the stale lock by its own: give it back.
  const moved = readHolder(aside);
  if (moved !== null && isAlive(moved)) linked(aside, fileIn(stateDir));
  rmSync(aside, { force: true });
}

const alreadyRunning = (stateDir: string) => {
  const pid = readHolder(fileIn(stateDir))?.pid;
  return new ExitError("busy", `another agent (pid ${pid ?? "unknown"}) already uses ${stateDir}`);
};

function readHolder(file: string): Holder | null {
  try {
    const parsed: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (typeof parsed !== "object" || parsed === null) return null;
    const { pid, process: identity, since } = parsed as Record<string, unknown>;
    if (typeof pid !== "number" || typeof since !== "number") return null;
    return { pid, process: typeof identity === "string" ? identity : null, since };
  } catch {
    return null;
  }
}

const isAlive = ({ pid, process }: Holder): boolean =>
  process === null ? hasProcess(pid) : processIdentity(pid) === process;
