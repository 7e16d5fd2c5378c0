import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type NetworkProxy, startNetworkProxy } from "../fakes/network-proxy.ts";
import { until } from "./until.ts";

export type LogLine = { level: string; msg: string; [field: string]: unknown };

/** The real agent as a process, its log read line by line. */
export type RunningAgent = {
  child: ChildProcess;
  pid: number;
  lines: LogLine[];
  output(): string;
  logged(msg: string, more?: (line: LogLine) => boolean): Promise<LogLine>;
  /** Signals it, and waits for its end; its exit code, null when the signal itself ended it. */
  end(signal: NodeJS.Signals): Promise<number | null>;
  ended: Promise<number | null>;
};

/** A machine that is one node: a folder, the network to its master, and an agent that can be started again and again. */
export type Machine = {
  nodeId: number;
  name: string;
  token: string;
  folder: string;
  stateDir: string;
  network: NetworkProxy;
  start(args?: string[]): RunningAgent;
  setToken(token: string): void;
  /** What the agent has written down about commands in hand. */
  journal(): { id: number; state: { name: string } }[];
  /** Everything below its state directory that only a job in progress may need. */
  leftovers(): string[];
};

type Plan = {
  entry: string;
  master: URL;
  folder: string;
  node: { id: number; name: string };
  token: string;
  onEnd: (cleanUp: () => Promise<void>) => void;
};

/** The environment without anything that could configure an agent or a proxy. */
export const cleanEnv = (extra: Record<string, string> = {}): Record<string, string> => ({
  PATH: process.env.PATH ?? "",
  HOME: "/nonexistent",
  LANG: process.env.LANG ?? "C.UTF-8",
  ...extra,
});

export async function makeMachine({ entry, master, folder, node, token, onEnd }: Plan): Promise<Machine> {
  const network = await startNetworkProxy(master);
  const stateDir = path.join(folder, "state");
  const tokenFile = path.join(folder, "token");
  const agents: RunningAgent[] = [];
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  onEnd(async () => {
    await Promise.all(agents.map((agent) => agent.end("SIGKILL")));
    await network.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const setToken = (value: string) => writeFileSync(tokenFile, value, { mode: 0o600 });
  setToken(token);
  return {
    nodeId: node.id,
    name: node.name,
    token,
    folder,
    stateDir,
    network,
    setToken,
    start(args = []) {
      const usual = ["--master", network.url, "--token-file", tokenFile, "--state-dir", stateDir];
      const all = [entry, "run", ...usual, "--log-format", "json", ...args];
      const agent = follow(
        spawn(process.execPath, all, { env: cleanEnv(), stdio: ["ignore", "ignore", "pipe"] }),
      );
      agents.push(agent);
      return agent;
    },
    journal: () => readJournal(stateDir),
    leftovers: () => ["work", "commands"].flatMap((part) => filesIn(path.join(stateDir, part))),
  };
}

function follow(child: ChildProcess): RunningAgent {
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
  return {
    child,
    pid: child.pid as number,
    lines,
    ended,
    output: () => raw,
    logged: (msg, more = () => true) =>
      until(`log line "${msg}"`, () => lines.find((line) => line.msg.includes(msg) && more(line)), {
        seen: () => raw,
      }),
    end(signal) {
      child.kill(signal);
      return ended;
    },
  };
}

const readJournal = (stateDir: string) =>
  filesIn(path.join(stateDir, "commands"))
    .filter((file) => file.endsWith(".json"))
    .map((file) => JSON.parse(readFileSync(file, "utf8")));

function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => path.join(folder, name));
}
