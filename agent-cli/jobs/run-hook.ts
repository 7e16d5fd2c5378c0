import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { formatDuration } from "../duration.ts";
import { environmentOf } from "../environment.ts";
import type { ConfiguredHook } from "../programs.ts";

const killAfterMs = 5_000;
/** How long output is waited for after the program has ended: something that it left running may hold it open. */
const lastWordsMs = 500;
const maxLines = 200;
const maxChars = 32 * 1024;

type HookRun = {
  hook: ConfiguredHook;
  /** What it is told, as variables of its environment. */
  facts: Record<string, string>;
  say: (line: string) => void;
  signal: AbortSignal;
};

/**
 * Runs a program before or after a backup. It leads a process group of its own, which is ended when its time is over or
 * the signal aborts; what it has started and left running after a good end stays. Throws, in words, when it has not
 * ended well.
 */
export async function runHook({ hook, facts, say, signal }: HookRun): Promise<void> {
  signal.throwIfAborted();
  const [program = "", ...args] = hook.run;
  const child = spawn(program, args, {
    env: { ...environmentOf(process.env), ...facts },
    cwd: "/",
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = listen(child, say);
  const limit = AbortSignal.timeout(hook.timeoutMs);
  const stop = AbortSignal.any([signal, limit]);
  const onStop = () => endGroup(child);
  stop.addEventListener("abort", onStop, { once: true });
  try {
    const { code, signal: by } = await endOf(child);
    await output.ended();
    signal.throwIfAborted();
    if (limit.aborted) throw new Error(`it was ended after ${formatDuration(hook.timeoutMs)}`);
    if (code !== 0) throw new Error(by === null ? `it ended with code ${code}` : `it was ended by ${by}`);
  } finally {
    stop.removeEventListener("abort", onStop);
  }
}

/** By its exit: its output may be held open by what it has started. */
function endOf(child: ChildProcess): Promise<{ code: number | null; signal: string | null }> {
  return new Promise((resolve, reject) => {
    child.once("error", (error: NodeJS.ErrnoException) =>
      reject(new Error(`it cannot be started: ${error.code ?? error.message}`)),
    );
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
}

/** Passes on what it prints, line by line, up to a bound. */
function listen(child: ChildProcess, say: (line: string) => void) {
  let lines = 0;
  let chars = 0;
  const streams = [child.stdout, child.stderr].filter((stream): stream is Readable => stream !== null);
  const ends = streams.map((stream) => {
    const reader = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
    reader.on("line", (line) => {
      if (lines > maxLines || chars > maxChars) return;
      lines += 1;
      chars += line.length;
      say(lines > maxLines || chars > maxChars ? "(what it printed after this is left out)" : line);
    });
    return new Promise<void>((resolve) => reader.once("close", resolve));
  });
  return {
    async ended() {
      const patience = new Promise<void>((resolve) => setTimeout(resolve, lastWordsMs).unref());
      await Promise.race([Promise.all(ends), patience]);
      for (const stream of streams) stream.destroy();
    },
  };
}

function endGroup(child: ChildProcess): void {
  signalGroup(child, "SIGTERM");
  setTimeout(() => signalGroup(child, "SIGKILL"), killAfterMs).unref();
}

function signalGroup({ pid }: ChildProcess, name: "SIGTERM" | "SIGKILL"): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, name);
  } catch {
    // Nobody is left in the group.
  }
}
