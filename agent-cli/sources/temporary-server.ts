import { type ChildProcess, spawn } from "node:child_process";
import { chownSync, closeSync, constants, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { CannotCheck } from "../pipeline/verify/finding.ts";
import { folderDescriptor, serverFolderName } from "./left-servers.ts";

/** A database server of one verification alone, which nobody else reaches: it listens on a Unix socket in a private folder. */
export type TemporaryServer<Server> = { server: Server; version: string; close(): Promise<void> };

const startTimeoutMs = 60_000;
const stopTimeoutMs = 10_000;
const keptChars = 4000;

/** Who a server runs as when this is root: its own account, if its package has made one. */
export type Account = { uid: number; gid: number };

/** Null when this is not root, and so nobody else can be put to work. */
export function accountOf(...names: string[]): Account | null {
  if (process.getuid?.() !== 0) return null;
  const lines = existsSync("/etc/passwd") ? readFileSync("/etc/passwd", "utf8").split("\n") : [];
  for (const name of names) {
    const [found, , uid, gid] = lines.find((line) => line.startsWith(`${name}:`))?.split(":") ?? [];
    if (found && Number(uid) > 0) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new CannotCheck(
    `a temporary server must not run as root, and none of ${names.join(", ")} is a user here`,
  );
}

/** A folder for a server below a directory that only this user may enter. */
export class ServerFolder {
  readonly path: string;
  readonly fd: number;

  constructor(workDir: string, account: Account | null) {
    this.path = join(workDir, serverFolderName());
    mkdirSync(this.path, { mode: 0o700 });
    if (account) chownSync(this.path, account.uid, account.gid);
    this.fd = openSync(this.path, constants.O_RDONLY | constants.O_DIRECTORY);
  }

  /** The folder as programs of this user may name it: short, for the path of a socket may have 107 characters. */
  get here(): string {
    return existsSync("/proc/self/fd") ? `/proc/${process.pid}/fd/${this.fd}` : this.path;
  }

  /** As a program names it that has inherited the descriptor as its third, and may not enter the folders above it. */
  get inherited(): string {
    return existsSync("/proc/self/fd") ? `/proc/self/fd/${folderDescriptor}` : this.path;
  }

  close(): void {
    closeSync(this.fd);
  }
}

type Program = { program: string; args: string[]; folder: ServerFolder; account: Account | null };

function start({ program, args, folder, account }: Program, signal: AbortSignal) {
  const child = spawn(program, args, {
    ...(account ?? {}),
    cwd: "/",
    env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C.UTF-8", TZ: "UTC", HOME: folder.inherited },
    stdio: ["ignore", "pipe", "pipe", folder.fd],
  });
  const said = { text: "" };
  for (const output of [child.stdout, child.stderr])
    output?.setEncoding("utf8").on("data", (text: string) => {
      said.text = (said.text + text).slice(-keptChars);
    });
  const onAbort = () => child.kill("SIGKILL");
  signal.addEventListener("abort", onAbort, { once: true });
  const ended = new Promise<number | null>((resolve) => {
    child.once("error", (error) => {
      said.text += error.message;
      resolve(null);
    });
    child.once("close", (code) => resolve(code));
  }).finally(() => signal.removeEventListener("abort", onAbort));
  return { child, said, ended };
}

/** Runs a program that makes a server's files, to its end. */
export async function makeFiles(program: Program, signal: AbortSignal): Promise<void> {
  const { said, ended } = start(program, signal);
  const code = await ended;
  signal.throwIfAborted();
  if (code !== 0) throw cannotStart(program.program, said.text);
}

/** Starts a server and waits until `ask` gets an answer; returns how to end it. */
export async function startServer(
  program: Program,
  signal: AbortSignal,
  ask: () => Promise<unknown>,
): Promise<{ end(): Promise<void> }> {
  const { child, said, ended } = start(program, signal);
  let over = false;
  void ended.then(() => {
    over = true;
  });
  const end = () => stop(child, ended);
  const deadline = performance.now() + startTimeoutMs;
  while (!over && performance.now() < deadline) {
    const answered = await ask().then(
      () => true,
      () => false,
    );
    if (answered) return { end };
    await delay(100);
    if (signal.aborted) break;
  }
  await end();
  signal.throwIfAborted();
  throw cannotStart(program.program, said.text);
}

async function stop(child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  // To PostgreSQL: at once, without putting anything in order; to MariaDB the same as any other end.
  child.kill("SIGQUIT");
  const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
  await ended;
  clearTimeout(timer);
}

function cannotStart(program: string, said: string): CannotCheck {
  const words = said
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .slice(-4)
    .join("; ");
  return new CannotCheck(
    `no temporary server could be started here: ${program.slice(program.lastIndexOf("/") + 1)}: ${words.slice(0, 600)}`,
  );
}
