import { type ChildProcess, spawn } from "node:child_process";
import { errorCode } from "../pipeline/error-code.ts";

/** A program of this machine and what it gets. No shell reads any of it. */
export type ProgramRun = {
  /** Its name or path. */
  program: string;
  args: readonly string[];
  /** All of its environment. Secrets go here or into a private file, never into `args`. */
  env: NodeJS.ProcessEnv;
  /** Texts that no error may repeat. */
  secrets: readonly (string | null)[];
  /** Set for a program that says on its standard output, too, what went wrong. */
  complainsOnOutput?: boolean;
  signal: AbortSignal;
};

const killAfterMs = 3000;
/** How long the output of a program that was ended is waited for: what it has started may hold it open. */
const lastWordsMs = 500;
const maxSaidChars = 16 * 1024;
const maxToldChars = 600;
const maxTextBytes = 16 * 1024 * 1024;

/** A program that ended badly, in its own last words. */
export class ProgramFailed extends Error {
  /** Its exit code; null when it has not ended by itself. */
  readonly code: number | null;

  constructor(message: string, code: number | null = null) {
    super(message);
    this.name = "ProgramFailed";
    this.code = code;
  }
}

/**
 * Whether the program itself has found what it read to be wrong. Shells say by codes from 126 on that there was nothing to
 * run, or that it was killed.
 */
export const hasJudged = ({ code }: ProgramFailed): boolean => code !== null && code < 126;

/**
 * What the program writes to its standard output, at the pace at which it is read. It ends only when the program has
 * ended by itself, with code 0; anything else throws. The program is gone before this returns or throws.
 */
export async function* outputOf(run: ProgramRun): AsyncGenerator<Buffer> {
  const running = start(run);
  try {
    for await (const chunk of running.output) yield chunk as Buffer;
    await running.ended;
  } finally {
    await running.stop();
  }
}

/** All that the program writes to its standard output, which must be little; `input` is what it may read. */
export async function textOf(run: ProgramRun, input = ""): Promise<string> {
  const running = start(run);
  const pieces: Buffer[] = [];
  let bytes = 0;
  try {
    const written = running.write(Buffer.from(input)).then(() => running.end());
    // The program's own end says more than a pipe that breaks.
    written.catch(() => {});
    for await (const chunk of running.output) {
      bytes += (chunk as Buffer).length;
      if (bytes > maxTextBytes) throw new ProgramFailed(`${nameOf(run)} says too much`);
      pieces.push(chunk as Buffer);
    }
    await written;
    return Buffer.concat(pieces).toString();
  } finally {
    await running.stop();
  }
}

/** A program that is being written to. Whatever it prints to its standard output is dropped. */
export type Consumer = {
  /** Resolves when more may be written; rejects when the program has failed. */
  write(bytes: Uint8Array): Promise<void>;
  /** Closes its input and resolves when it has ended well. */
  end(): Promise<void>;
  /** Ends it, if it still runs, and waits for that. Never rejects. */
  stop(): Promise<void>;
};

export function startConsumer(run: ProgramRun): Consumer {
  const running = start(run);
  running.output.resume();
  return running;
}

/** A program that is written to and read from. Its output must be read, or it stops taking more. */
export const startFilter = (run: ProgramRun): Consumer & { output: AsyncIterable<string | Buffer> } =>
  start(run);

/** Passes `bytes` on while the program reads them too; throws if that does not end well. */
export async function* checkedBy(bytes: AsyncIterable<Buffer>, run: ProgramRun): AsyncGenerator<Buffer> {
  const checker = startConsumer(run);
  try {
    for await (const chunk of bytes) {
      await checker.write(chunk);
      yield chunk;
    }
    await checker.end();
  } finally {
    await checker.stop();
  }
}

type Running = Consumer & { output: NodeJS.ReadableStream; ended: Promise<void> };

function start(run: ProgramRun): Running {
  run.signal.throwIfAborted();
  // In the process group of the job, so that what ends the job for certain ends this with it.
  const child = spawn(run.program, run.args, { env: run.env, stdio: ["pipe", "pipe", "pipe"] });
  const onAbort = () => kill(child);
  run.signal.addEventListener("abort", onAbort, { once: true });
  const ended = endOf(child, run).finally(() => run.signal.removeEventListener("abort", onAbort));
  ended.catch(() => {});
  // A broken pipe is told by the program's end.
  child.stdin.on("error", () => {});
  return {
    output: child.stdout,
    ended,
    write: (bytes) => write(child, bytes, ended),
    async end() {
      child.stdin.end();
      await ended;
    },
    async stop() {
      kill(child);
      await ended.catch(() => {});
    },
  };
}

/** A program that ended well without wanting more gets no more. */
async function write(child: ChildProcess, bytes: Uint8Array, ended: Promise<void>): Promise<void> {
  const { stdin } = child;
  if (!stdin || stdin.destroyed) return await ended;
  if (stdin.write(bytes)) return;
  await new Promise<void>((resolve, reject) => {
    const done = () => {
      stdin.off("drain", done).off("close", failed);
      resolve();
    };
    const failed = () => {
      stdin.off("drain", done);
      ended.then(resolve, reject);
    };
    stdin.once("drain", done).once("close", failed);
  });
}

async function endOf(child: ChildProcess, run: ProgramRun): Promise<void> {
  let said = "";
  for (const stream of run.complainsOnOutput ? [child.stdout, child.stderr] : [child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-maxSaidChars);
    });
  }
  const { code, signal } = await new Promise<{ code: number | null; signal: string | null }>(
    (resolve, reject) => {
      child.once("error", (error) => reject(notStarted(run, error)));
      child.once("close", (code, signal) => resolve({ code, signal }));
    },
  );
  run.signal.throwIfAborted();
  if (code === 0) return;
  const how = signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
  throw new ProgramFailed(`${nameOf(run)} ${how}${inItsWords(said, run.secrets)}`, code);
}

function notStarted(run: ProgramRun, error: Error): Error {
  const code = errorCode(error);
  return new ProgramFailed(
    code === "ENOENT"
      ? `the program ${nameOf(run)} is not installed on this machine`
      : `${nameOf(run)} cannot be started: ${code}`,
  );
}

export const nameOf = ({ program }: Pick<ProgramRun, "program">): string =>
  program.slice(program.lastIndexOf("/") + 1);

/** The last lines of what a program said, without secrets. */
function inItsWords(said: string, secrets: ProgramRun["secrets"]): string {
  const clean = secrets.reduce<string>(
    (text, secret) => (secret ? text.replaceAll(secret, "***") : text),
    said,
  );
  const lines = clean
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const words = lines
    .slice(-4)
    .join("; ")
    // biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is its purpose
    .replace(/[\u0000-\u001f\u007f]+/g, " ");
  return words === "" ? "" : `: ${words.slice(0, maxToldChars)}`;
}

/** Asked to stop, it may say good-bye to its server; it gets a moment for that. */
function kill(child: ChildProcess): void {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), killAfterMs);
  child.once("exit", () => {
    clearTimeout(timer);
    const patience = setTimeout(() => letGo(child), lastWordsMs);
    child.once("close", () => clearTimeout(patience));
  });
}

function letGo({ stdin, stdout, stderr }: ChildProcess): void {
  for (const stream of [stdin, stdout, stderr]) stream?.destroy();
}
