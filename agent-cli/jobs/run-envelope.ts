import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Progress } from "../pipeline/pipeline.ts";
import type { FromChild, Job, JobEnvelope, JobResults } from "./job.ts";
import { jobArguments, mallocFor, poolFor } from "./job-process.ts";

const KILL_AFTER_MS = 5_000;
const STDERR_KEPT = 4_096;

export type ChildOptions = {
  signal: AbortSignal;
  onProgress?: (progress: Progress) => void;
  onLog?: (level: "info" | "warn" | "error", text: string) => void;
  /** Called when the process has ended without a word of its own: it cannot have tidied up. */
  onKilled?: () => void;
};

/** A job that failed in its child process; the text is fit for people. */
class JobError extends Error {}

/**
 * Runs a job in a process of its own, which gives its memory back, can be killed with all that it started, and cannot
 * take this one down. Rejects with the signal's reason when that stopped it.
 */
export async function runEnvelope<K extends Job["kind"]>(
  envelope: JobEnvelope & { job: { kind: K } },
  options: ChildOptions,
  moved: (progress?: Progress) => void = () => {},
): Promise<JobResults[K]> {
  const { signal } = options;
  signal.throwIfAborted();
  const child = start(envelope.job);
  const onAbort = () => stop(child);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const ending = collect(child, options, moved);
    child.send(envelope, () => {});
    const message = await ending;
    signal.throwIfAborted();
    if (message.type === "failed") throw new JobError(message.message);
    return message.result as JobResults[K];
  } finally {
    signal.removeEventListener("abort", onAbort);
    killGroup(child);
  }
}

function start(job: Job): ChildProcess {
  const { BACKUPX_AGENT_TOKEN: _token, BACKUPX_AGENT_CODE: _code, ...env } = process.env;
  return fork(fileURLToPath(new URL("./job.js", import.meta.url)), [], {
    env: { ...mallocFor(job.kind), ...poolFor(job), ...env },
    execArgv: jobArguments,
    detached: true,
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
}

type Ending = Extract<FromChild, { type: "done" | "failed" }>;

/** Resolves when the process is gone, with what it said last. */
function collect(
  child: ChildProcess,
  options: ChildOptions,
  moved: (progress?: Progress) => void,
): Promise<Ending> {
  let ending: Ending | null = null;
  let stderr = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-STDERR_KEPT);
  });
  child.on("message", (message: FromChild) => {
    if (message.type === "progress") {
      moved(message.progress);
      options.onProgress?.(message.progress);
    } else if (message.type === "log") options.onLog?.(message.level, message.text);
    else if (message.type === "waiting") moved();
    else {
      ending ??= message;
      // It has nothing more to do, but might stay for as long as frames that nobody wants any more take to be made.
      killGroup(child);
    }
  });
  return new Promise((resolve) => {
    child.on("error", (error) =>
      resolve({ type: "failed", message: `no process for the job: ${error.message}` }),
    );
    child.on("close", (code, signal) => {
      if (ending === null) options.onKilled?.();
      resolve(ending ?? { type: "failed", message: unexpectedEnd(code, signal, stderr) });
    });
  });
}

function unexpectedEnd(code: number | null, signal: string | null, stderr: string): string {
  if (/heap out of memory/.test(stderr)) return "the job's process ran out of memory";
  if (signal === "SIGKILL")
    return "the job's process was killed (SIGKILL); the machine may be short of memory";
  const problem = stderr
    .split("\n")
    .findLast((line) => /^\w*Error\b/.test(line))
    ?.slice(0, 300);
  return `the job's process ended unexpectedly (${signal ?? `code ${code}`})${problem ? `: ${problem}` : ""}`;
}

function stop(child: ChildProcess): void {
  child.kill("SIGTERM");
  const timer = setTimeout(() => killGroup(child), KILL_AFTER_MS);
  child.once("close", () => clearTimeout(timer));
}

/** Ends the process and whatever it started: it leads a process group of its own. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // Nobody is left in the group, which is what is wanted.
  }
}
