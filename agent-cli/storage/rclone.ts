import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { abortable, sleep } from "./abortable.ts";
import { checkRoundTrip } from "./check-round-trip.ts";
import { streamed, withoutSecrets } from "./exchange.ts";
import { checkKey, checkPrefix, isPartialName } from "./key.ts";
import { putByRename, type RenamingPut } from "./put-by-rename.ts";
import { checkRange, checkRangeWithin, type Range } from "./range.ts";
import { defaultRetryPolicy, type RetryPolicy, retry } from "./retry.ts";
import { defaultStallMs, failWhenStalled, type StallWatch, watchForStall } from "./stall.ts";
import { type ListedObject, type Storage, StorageError, type StorageErrorKind } from "./storage.ts";

export type RcloneConfig = {
  /** `name:path` with a remote of the node's own rclone, or a connection string such as `:sftp,host=nas:path`. */
  remote: string;
  /** The node's rclone.conf, if it is not at its usual place. */
  configFile?: string;
  /** Settings of the remote that nobody may see, named as in rclone.conf: they reach rclone by its environment. */
  settings?: Record<string, string>;
};

export type RcloneOptions = {
  stallMs?: number;
  /** What each run of rclone may move: also what it copies by itself where a remote cannot rename. */
  bytesPerSecond?: number;
  /** For each run of rclone that a put needs. Other calls are retried by `retrying`. */
  retryPolicy?: RetryPolicy;
};

const MiB = 1024 * 1024;
/** rclone gives no sign of how far an upload got, so one is repeated only while all that was sent is still kept. */
const windowBytes = 16 * MiB;
const cleanUpMs = 20_000;
const lateWritesMs = [0, 300];
const killAfterMs = 3000;
const maxSaidChars = 64 * 1024;
const maxLineChars = 64 * 1024;

type Rclone = {
  pathOf(path: string): string;
  environment: Record<string, string | undefined>;
  flags: string[];
  secrets: string[];
  stallMs: number;
  retryPolicy: RetryPolicy;
};
type Run = { child: ChildProcess; stdout: Readable; ended: Promise<void> };

const found = z.object({ Path: z.string(), Size: z.number(), IsDir: z.boolean() });

/**
 * Anything that the rclone program of this machine can reach. An object under `a/b` is the file `a/b`; while it is
 * written it is `a/b.partial-<random>`. Where a remote cannot rename, rclone copies it there, if need be over this machine.
 */
export function rclone(config: RcloneConfig, options: RcloneOptions = {}): Storage {
  const remote = config.remote.replace(/(?<=[^:])\/+$/, "");
  const settings = config.settings ?? {};
  refusePrograms(remote, settings);
  const place: Rclone = {
    pathOf: (path) =>
      remote.endsWith(":") || remote.endsWith("/") || path === "" ? remote + path : `${remote}/${path}`,
    environment: { ...withoutOurs(process.env), ...environmentOf(remote, settings), RCLONE_INPLACE: "true" },
    flags: [
      "--log-level",
      "ERROR",
      "--retries",
      "1",
      "--low-level-retries",
      "3",
      ...(options.bytesPerSecond ? evenly(options.bytesPerSecond) : []),
      ...(config.configFile ? ["--config", config.configFile] : []),
    ],
    secrets: Object.values(settings),
    stallMs: (options.stallMs ?? defaultStallMs) + msFor(buffered, options.bytesPerSecond),
    retryPolicy: options.retryPolicy ?? defaultRetryPolicy,
  };

  const storage: Omit<Storage, "check"> = {
    put: (key, body, putOptions) =>
      putByRename(checkKey(key), body, putOptions, renamingPut(place, key, putOptions.signal)),

    async get(key, { signal, range }) {
      checkKey(key);
      if (range) checkRange(range);
      const sizeBytes = await sizeOf(place, key, signal);
      if (sizeBytes === null) throw new StorageError("not_found", "there is no such object");
      if (range) checkRangeWithin(range, sizeBytes);
      return abortable(readFile(place, key, range ?? { offset: 0, length: sizeBytes }, signal), signal);
    },

    async stat(key, { signal }) {
      const sizeBytes = await sizeOf(place, checkKey(key), signal);
      return sizeBytes === null ? null : { sizeBytes };
    },

    async *list(prefix, { signal }) {
      checkPrefix(prefix);
      signal.throwIfAborted();
      const directory = prefix.slice(0, prefix.lastIndexOf("/") + 1);
      for await (const listed of listFiles(place, directory, ["--recursive"], signal)) {
        if (listed.key.startsWith(prefix) && !isPartialName(listed.key)) yield listed;
      }
    },

    async delete(key, { signal }) {
      await remove(place, checkKey(key), signal);
      const directory = key.slice(0, key.lastIndexOf("/") + 1);
      for await (const left of listFiles(place, directory, [], signal)) {
        if (isPartialName(left.key, key)) await remove(place, left.key, signal);
      }
    },
  };
  return { ...storage, check: (checkOptions) => checkRoundTrip(storage, checkOptions) };
}

/** What rclone may hold of a file: it shows no sign of life while a chunk of it leaves, which a cap makes long. */
const buffered = 32 * MiB;
const msFor = (bytes: number, bytesPerSecond: number | undefined): number =>
  bytesPerSecond ? (bytes / bytesPerSecond) * 1000 : 0;

/** Without its usual read-ahead, rclone would move nothing for a while and then a mebibyte at once. */
const evenly = (bytesPerSecond: number): string[] => [
  "--bwlimit",
  `${bytesPerSecond}B`,
  "--buffer-size",
  "0",
];

/** One put of this place, as `putByRename` asks for it. */
function renamingPut(place: Rclone, key: string, signal: AbortSignal): RenamingPut {
  return {
    windowBytes,
    retryPolicy: place.retryPolicy,
    async send(partial, replay) {
      await run(place, ["rcat", place.pathOf(partial)], signal, async ({ child, ended }, watch) => {
        if (!child.stdin) throw new TypeError("rclone has no standard input");
        // Its own exit says more about why it stopped reading than the broken pipe does.
        await pipeline(Readable.from(streamed(replay.from(0), watch, place)), child.stdin).catch(
          async (error) => {
            if (!replay.failure) await ended;
            throw error;
          },
        );
      });
      await confirm(place, partial, replay.endBytes, signal);
    },
    resumeAt: async () => 0,
    rename: (partial, sizeBytes) => move(place, partial, key, sizeBytes, signal),
    tidy: (partial, mayBeMoved) => tidy(place, partial, mayBeMoved ? key : undefined),
  };
}

async function confirm(place: Rclone, path: string, sizeBytes: number, signal: AbortSignal): Promise<void> {
  const stored = await retry(place.retryPolicy, signal, () => sizeOf(place, path, signal));
  if (stored === sizeBytes) return;
  throw new StorageError(
    "corrupt",
    `rclone took ${sizeBytes} bytes but ${stored === null ? "there is no file" : `the file has ${stored}`} afterwards`,
    { permanent: false },
  );
}

async function move(
  place: Rclone,
  from: string,
  to: string,
  sizeBytes: number,
  signal: AbortSignal,
): Promise<void> {
  await retry(place.retryPolicy, signal, async (number) => {
    try {
      // It may have to copy all of it, and says nothing meanwhile: a server's silence ends by rclone's own patience.
      const args = ["moveto", place.pathOf(from), place.pathOf(to)];
      await run(place, args, signal, async (_moving, watch) => watch.pause());
    } catch (error) {
      // An earlier try may have got further than it could tell.
      if (number === 1 || !isAbsence(error) || (await sizeOf(place, to, signal)) !== sizeBytes) throw error;
    }
  });
}

/**
 * Has its own signal, since the caller's may be aborted. A file that got its final name after all is taken back. Some
 * servers write what they have of a broken upload a moment after rclone is gone, so it is looked for again.
 */
async function tidy(place: Rclone, partial: string, movedTo: string | undefined): Promise<void> {
  const signal = AbortSignal.timeout(cleanUpMs);
  const isThere = async () => (await sizeOf(place, partial, signal)) !== null;
  try {
    if (movedTo !== undefined && !(await isThere())) return await remove(place, movedTo, signal);
    for (const waitMs of movedTo === undefined ? lateWritesMs : [0]) {
      await sleep(waitMs, signal);
      if (await isThere()) await remove(place, partial, signal);
    }
  } catch {
    // The failure that led here is the one to tell.
  }
}

async function* readFile(
  place: Rclone,
  key: string,
  { offset, length }: Range,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (length === 0) return;
  const range = ["--offset", String(offset), "--count", String(length)];
  const { child, stdout, ended } = start(place, ["cat", ...range, place.pathOf(key)]);
  let leftBytes = length;
  try {
    for await (const chunk of failWhenStalled(stdout, place.stallMs, signal, "rclone")) {
      leftBytes -= chunk.length;
      yield chunk;
    }
    await ended;
    if (leftBytes !== 0)
      throw new StorageError("unreachable", `the file's stream ended ${leftBytes} bytes early`);
  } finally {
    kill(child);
    await ended.catch(() => {});
  }
}

/** Null for what is not a file, or not there. */
async function sizeOf(place: Rclone, path: string, signal: AbortSignal): Promise<number | null> {
  try {
    const text = await runToEnd(
      place,
      ["lsjson", "--stat", "--no-modtime", "--no-mimetype", place.pathOf(path)],
      signal,
    );
    const parsed = found.nullable().safeParse(JSON.parse(text));
    if (!parsed.success) throw new StorageError("failed", "rclone answers in a form that is not known here");
    return parsed.data && !parsed.data.IsDir ? parsed.data.Size : null;
  } catch (error) {
    if (isAbsence(error)) return null;
    throw error;
  }
}

async function* listFiles(
  place: Rclone,
  directory: string,
  flags: string[],
  signal: AbortSignal,
): AsyncGenerator<ListedObject> {
  const args = ["lsjson", "--files-only", "--no-modtime", "--no-mimetype", ...flags, place.pathOf(directory)];
  const { child, stdout, ended } = start(place, args);
  try {
    for await (const line of linesOf(failWhenStalled(stdout, place.stallMs, signal, "rclone"))) {
      // One object on each line, between a line with "[" and one with "]".
      const text = line.replace(/,$/, "");
      if (!text.startsWith("{")) continue;
      const entry = found.parse(JSON.parse(text));
      signal.throwIfAborted();
      // For S3 and others rclone would need a call for each object to know its time.
      yield { key: directory + entry.Path, sizeBytes: entry.Size, modifiedAt: null };
    }
    await ended;
  } catch (error) {
    if (!isAbsence(error)) throw error;
  } finally {
    kill(child);
    await ended.catch(() => {});
  }
}

async function* linesOf(source: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of source) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > maxLineChars) throw new StorageError("failed", "rclone lists a name that is too long");
    yield* lines;
  }
  if (rest) yield rest;
}

async function remove(place: Rclone, path: string, signal: AbortSignal): Promise<void> {
  try {
    await runToEnd(place, ["deletefile", place.pathOf(path)], signal);
  } catch (error) {
    // A directory of that name is not an object, so there is nothing to delete then.
    if (!isAbsence(error) && !(error instanceof Error && /is a directory/.test(error.message))) throw error;
  }
}

async function runToEnd(place: Rclone, args: string[], signal: AbortSignal): Promise<string> {
  let text = "";
  await run(place, args, signal, async ({ stdout }) => {
    for await (const chunk of stdout) text = (text + chunk).slice(0, maxSaidChars);
  });
  return text;
}

/** Runs rclone until it has ended well; it is stopped when the signal aborts or nothing moves any more. */
async function run(
  place: Rclone,
  args: string[],
  signal: AbortSignal,
  action: (run: Run, watch: StallWatch) => Promise<void>,
): Promise<void> {
  signal.throwIfAborted();
  const watch = watchForStall(place.stallMs, signal, `rclone ${args[0]}`);
  const started = start(place, args);
  const onAbort = () => kill(started.child);
  watch.signal.addEventListener("abort", onAbort, { once: true });
  try {
    await action(started, watch);
    await started.ended;
  } catch (error) {
    kill(started.child);
    await started.ended.catch(() => {});
    throw watch.signal.aborted ? watch.signal.reason : error;
  } finally {
    watch.signal.removeEventListener("abort", onAbort);
    watch.stop();
  }
}

function start(place: Rclone, args: string[]): Run {
  const child = spawn("rclone", [...args, ...place.flags], {
    env: place.environment,
    stdio: [args[0] === "rcat" ? "pipe" : "ignore", "pipe", "pipe"],
  });
  let said = "";
  child.stderr?.on("data", (chunk) => {
    said = (said + chunk).slice(-maxSaidChars);
  });
  const ended = exitOf(child).then((code) => {
    if (code !== 0) throw faultOf(code, said, args[0] ?? "", place.secrets);
  });
  ended.catch(() => {});
  return { child, stdout: child.stdout as Readable, ended };
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  try {
    const [code] = await once(child, "close");
    return code;
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    const words = isMissing
      ? "the program rclone is not installed on this machine"
      : "rclone cannot be started";
    throw new StorageError("invalid", words, { cause: error });
  }
}

/** Asked to stop, it may tidy up; it gets a moment for that. */
function kill(child: ChildProcess): void {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), killAfterMs);
  child.once("close", () => clearTimeout(timer));
}

const absenceCodes = [3, 4];
class RcloneAbsence extends StorageError {}
const isAbsence = (error: unknown) => error instanceof RcloneAbsence;

function faultOf(code: number | null, said: string, command: string, secrets: string[]): StorageError {
  const last = said.trim().split("\n").at(-1) ?? "";
  const words = withoutSecrets(last.replace(/^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d (\w+ *: )?/, ""), secrets);
  const message = `rclone ${command}: ${words || `ended with ${code ?? "a signal"}`}`;
  if (code !== null && absenceCodes.includes(code)) return new RcloneAbsence("not_found", message);
  const [kind, permanent] = kindOf(code, words);
  return new StorageError(kind, message, { permanent });
}

/** rclone tells little by its exit code, so its words decide. */
function kindOf(code: number | null, words: string): [kind: StorageErrorKind, permanent: boolean] {
  if (/no space|quota|insufficient storage|storage.?full|disk full/i.test(words)) return ["full", true];
  if (/denied|forbidden|unauthori[sz]ed|unable to authenticate|invalid credentials|\b40[13]\b/i.test(words))
    return ["denied", true];
  if (/didn't find section|unknown type|didn't find backend|couldn't parse|unknown flag/i.test(words))
    return ["invalid", true];
  if (code === 5 || /refused|timeout|timed out|no such host|reset|unreachable/i.test(words))
    return ["unreachable", false];
  return ["failed", false];
}

/**
 * A few options of rclone name a program that it runs. Those are for the node's own rclone.conf: whoever may choose
 * a target must not choose what runs here. Remotes can be nested, so a remote inside of a setting counts too.
 */
export function refusePrograms(remote: string, settings: Record<string, string>): void {
  const names = Object.keys(settings).map((name) => `${name}=`);
  const nested = ["remote", "remotes", "upstreams"].map((name) => settings[name] ?? "");
  if ([remote, ...names, ...nested].some((text) => /(command|\bssh)\s*=/i.test(text))) {
    throw new StorageError(
      "invalid",
      "this remote names a program to run, which only the node's own rclone.conf may do",
    );
  }
}

/** A named remote's settings and those of a connection string's backend have names of their own in the environment. */
export function environmentOf(remote: string, settings: Record<string, string>): Record<string, string> {
  const [, name = ""] = /^:?([^:,]*)/.exec(remote) ?? [];
  const prefix = remote.startsWith(":") ? `RCLONE_${name}` : `RCLONE_CONFIG_${name}`;
  const nameOf = (setting: string) => `${prefix}_${setting}`.toUpperCase().replaceAll("-", "_");
  return Object.fromEntries(Object.entries(settings).map(([setting, value]) => [nameOf(setting), value]));
}

/** Another program needs nothing of what this agent was given for itself. */
const withoutOurs = (environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith("BACKUPX_")));
