import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { withoutSecrets } from "../storage/exchange.ts";

/** A repository as restic is told of it: what is secret travels in files and the environment only. */
export type Repository = {
  /** As restic and its documents name it. */
  location: string;
  environment: Record<string, string>;
  /** Global options for every command on it. */
  options: string[];
  /** What must be in no message. */
  secrets: string[];
};

export type Message = Record<string, unknown>;

export type RunOptions = {
  signal: AbortSignal;
  /** Told of each JSON object that restic prints. */
  onMessage?: (message: Message) => void;
  /** Told of each other line. */
  onLine?: (line: string) => void;
  /** Told once of the process that was started. */
  onStart?: (pid: number) => void;
  /** Exit codes that are no failure; 0 always is none. */
  accept?: number[];
};

export type ResticFault = "locked" | "password" | "missing" | "failed";

/** restic failed, in words for people and without secrets. */
export class ResticError extends Error {
  readonly fault: ResticFault;
  constructor(fault: ResticFault, message: string) {
    super(message);
    this.name = "ResticError";
    this.fault = fault;
  }
}

/**
 * Asked by an interrupt, restic removes its lock, but only after the uploads that are under way; this leaves time to
 * remove it otherwise before a stopped job is killed.
 */
const killAfterMs = 1_500;
const keptLines = 40;
const maxLineChars = 1024 * 1024;

/**
 * Runs one command of restic to its end and gives back its exit code. Rejects with a ResticError when it fails, and with
 * the signal's reason when that stopped it: then restic is asked to remove its lock and to end, and made to if need be.
 */
export async function runRestic(
  repository: Repository,
  args: readonly string[],
  options: RunOptions,
): Promise<number> {
  const { signal } = options;
  signal.throwIfAborted();
  const child = spawn("restic", [...args, ...repository.options], {
    env: { ...surroundings(), ...repository.environment, RESTIC_REPOSITORY: repository.location },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said: string[] = [];
  const onAbort = () => stop(child);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    if (child.pid !== undefined) options.onStart?.(child.pid);
    const reading = [child.stdout, child.stderr].map((stream) => readLines(stream, said, options));
    const [code] = await Promise.all([exitOf(child), ...reading]);
    signal.throwIfAborted();
    if (code === 0 || (code !== null && options.accept?.includes(code))) return code;
    throw faultOf(repository, args[0] ?? "", code, said);
  } catch (error) {
    kill(child);
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** The output of a command that answers with one JSON value. */
export async function askRestic(
  repository: Repository,
  args: readonly string[],
  signal: AbortSignal,
): Promise<unknown> {
  const values: unknown[] = [];
  await runRestic(repository, [...args, "--json"], {
    signal,
    onLine: (line) => {
      // An array comes as one line; what restic tells people beside it does not parse.
      if (line.startsWith("[")) values.push(JSON.parse(line));
    },
    onMessage: (message) => values.push(message),
  });
  return values[0];
}

/** What restic and the programs that it starts need of this process's surroundings, and nothing else. */
function surroundings(): Record<string, string> {
  const kept = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "XDG_CONFIG_HOME",
    "SSH_AUTH_SOCK",
  ];
  return Object.fromEntries(
    kept.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

async function readLines(
  stream: NodeJS.ReadableStream,
  said: string[],
  { onMessage, onLine }: RunOptions,
): Promise<void> {
  for await (const text of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
    // It clears the line of its progress before a message for people.
    const line = (text.split("\u001b[2K").at(-1) ?? "").trimStart().slice(0, maxLineChars);
    const message = line.startsWith("{") ? parse(line) : null;
    if (message) {
      onMessage?.(message);
      if (message["message_type"] === "exit_error") said.push(String(message["message"]));
    } else if (line !== "") {
      said.push(line);
      if (said.length > keptLines) said.splice(1, 1);
      onLine?.(line);
    }
  }
}

function parse(line: string): Message | null {
  try {
    return JSON.parse(line) as Message;
  } catch {
    return null;
  }
}

const exitOf = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve, reject) => {
    child.on("close", (code) => resolve(code));
    child.on("error", (error: NodeJS.ErrnoException) => reject(unstartable(error)));
  });

function unstartable({ code, message }: NodeJS.ErrnoException): ResticError {
  const words =
    code === "ENOENT"
      ? "the program restic is not installed on this machine: install it, or take it into the PATH of the agent"
      : `restic cannot be started: ${code ?? message}`;
  return new ResticError("failed", words);
}

function stop(child: ChildProcess): void {
  if (child.exitCode !== null || child.signalCode !== null) return;
  // Of the version that is common today only an interrupt makes it remove its lock.
  child.kill("SIGINT");
  const timer = setTimeout(() => kill(child), killAfterMs);
  child.once("close", () => clearTimeout(timer));
}

function kill(child: ChildProcess): void {
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) child.kill("SIGKILL");
}

/** Exit codes tell these apart since restic 0.17; before, only its words do. */
const faultCodes: Record<number, ResticFault> = { 10: "missing", 11: "locked", 12: "password" };

function faultOf(
  { location, secrets }: Repository,
  command: string,
  code: number | null,
  said: readonly string[],
): ResticError {
  const text = withoutSecrets(said.join("\n").replaceAll("\n", " / "), secrets);
  const fault = (code === null ? undefined : faultCodes[code]) ?? faultInWords(text);
  if (fault === "password") {
    const words = `the password does not open the repository ${location}: resticPassword must be the one it was made with`;
    return new ResticError(fault, words);
  }
  if (fault === "missing") return new ResticError(fault, `there is no restic repository at ${location}`);
  if (fault === "locked")
    return new ResticError(fault, `the repository ${location} is locked${holderIn(text)}`);
  const fatal = said.findLast((line) => line.startsWith("Fatal:"))?.slice(6);
  const helper = said.findLast((line) => /^(rclone|subprocess ssh): (?!.*NOTICE)/.test(line));
  const telling = [fatal ?? said.slice(-3).join(" / "), ...(helper ? [helper] : [])].join("; ");
  const words = withoutSecrets(telling.trim(), secrets);
  return new ResticError("failed", `restic ${command}: ${words || `ended with ${code ?? "a signal"}`}`);
}

function faultInWords(text: string): ResticFault {
  if (/wrong password or no key found/i.test(text)) return "password";
  if (/already locked/i.test(text)) return "locked";
  if (/config.*(no such file|does not exist|key does not exist|blobnotfound)/i.test(text)) return "missing";
  return "failed";
}

/** Who holds a lock and since when, as restic tells it. */
function holderIn(text: string): string {
  const [, holder] = /locked(?: exclusively)? by (PID \d+ on \S+)/.exec(text) ?? [];
  const [, since] = /lock was created at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)/.exec(text) ?? [];
  return `${holder ? ` by ${holder}` : ""}${since ? ` since ${since}` : ""}`;
}
