import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { FakeMaster } from "../fakes/fake-master.ts";

export const agentEntry = join(import.meta.dirname, "../../agent-cli/dist/main.js");
if (!existsSync(agentEntry)) throw new Error("build the agent first: npm run build");

export type LogLine = { level: string; msg: string; [field: string]: unknown };

/** A directory of one test alone, gone with it. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), "agent-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The environment without anything that could configure an agent or a proxy. */
function cleanEnv(extra: Record<string, string> = {}): Record<string, string> {
  const kept = ["PATH", "TMPDIR", "LANG"].map((name) => [name, process.env[name] ?? ""]);
  return { ...Object.fromEntries(kept), HOME: "/nonexistent", ...extra };
}

type StartOptions = { stateDir: string; args?: string[]; env?: Record<string, string> };

/** The real agent, as a process, with its log read line by line. */
export function startAgent(master: Pick<FakeMaster, "url" | "token">, options: StartOptions) {
  const tokenFile = join(options.stateDir, "..", "token");
  writeFileSync(tokenFile, master.token, { mode: 0o600 });
  const args = ["run", "--master", master.url, "--token-file", tokenFile, "--state-dir", options.stateDir];
  const child = spawn(process.execPath, [agentEntry, ...args, ...(options.args ?? [])], {
    env: cleanEnv(options.env),
    stdio: ["ignore", "pipe", "pipe"],
  });
  return follow(child, options.stateDir);
}

function follow(child: ChildProcess, stateDir: string) {
  const lines: LogLine[] = [];
  let raw = "";
  let rest = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    raw += text;
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts)
      lines.push(part.startsWith("{") ? JSON.parse(part) : { level: "raw", msg: part });
  });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return {
    child,
    lines,
    stateDir,
    output: () => raw,
    ended,
    logged: (msg: string, more: (line: LogLine) => boolean = () => true) =>
      until(
        () => lines.find((line) => line.msg.includes(msg) && more(line)),
        `log line "${msg}"`,
        () => raw,
      ),
    kill(signal: NodeJS.Signals) {
      child.kill(signal);
      return ended;
    },
    /** Files of the journal, parsed. */
    journal: () =>
      readdirSync(join(stateDir, "commands"))
        .filter((name) => name.endsWith(".json"))
        .map((name) => JSON.parse(readFileSync(join(stateDir, "commands", name), "utf8"))),
  };
}

export type AgentProcess = ReturnType<typeof follow>;

/** Waits until the condition gives something; fails with what was seen after ten seconds. */
export async function until<T>(
  condition: () => T | undefined | false | null,
  what = "the condition",
  seen: () => string = () => "",
  limitMs = 10_000,
): Promise<T> {
  const deadline = Date.now() + limitMs;
  while (Date.now() < deadline) {
    const value = condition();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`waited in vain for ${what}\n${seen()}`);
}

/** Runs one command of the agent to its end. */
export async function runAgentCommand(
  args: string[],
  options: {
    env?: Record<string, string>;
    input?: string;
    /** Who runs it, when this is root. */
    uid?: number;
    started?: (child: ChildProcess) => void;
  } = {},
) {
  const { uid } = options;
  const child = spawn(process.execPath, [agentEntry, ...args], {
    env: cleanEnv(options.env),
    ...(uid !== undefined && { uid, gid: uid }),
  });
  options.started?.(child);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    stderr += text;
  });
  child.stdin.end(options.input ?? "");
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, stdout, stderr };
}

/** A spec as the master sends it, for a backup of `paths` to local disk. */
export function taskSpec(options: {
  recordId: number;
  paths: string[];
  targets: object[];
  bandwidth?: number;
  compression?: string;
}) {
  const targets = options.targets.map((target, index) => ({
    id: index + 1,
    name: `target-${index + 1}`,
    transferMode: "direct",
    quotaRemainingBytes: null,
    ...target,
  }));
  return {
    taskId: 7,
    name: "etc",
    type: "file",
    sourcePath: options.paths[0],
    sourcePaths: JSON.stringify(options.paths),
    excludePatterns: "",
    dbHost: "",
    dbPort: 0,
    dbUser: "",
    dbPassword: "",
    dbName: "",
    dbPath: "",
    extraConfig: "",
    compression: options.compression ?? "zstd",
    encrypt: false,
    storageTargets: targets,
    source: { type: "file", paths: options.paths, excludes: [], oneFileSystem: false },
    pipeline: {
      compression: options.compression ?? "zstd",
      level: null,
      bandwidthBytesPerSecond: options.bandwidth ?? null,
    },
    recordId: options.recordId,
    fileNameStem: `etc-${options.recordId}`,
    objectPrefix: `BackupX/file/261123/records/${options.recordId}/`,
    targets,
  };
}
