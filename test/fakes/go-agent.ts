import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { hostname } from "node:os";
import path from "node:path";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { gunzipSync, gzipSync } from "node:zlib";
import { z } from "zod";

const run = promisify(execFile);

/** One request as it goes out. A test may change its headers, and the file that is its body. */
export type GoCall = {
  method: string;
  path: string;
  headers: Record<string, string>;
  body?: Record<string, unknown> | undefined;
  file?: string;
};

export type GoAgentOptions = {
  master: URL;
  token: string;
  /** Of April 2026, or as it is today. */
  generation: "first" | "today";
  workDir: string;
  heartbeatMs?: number;
  pollMs?: number;
  /** A database server that it reaches, with what each of its databases holds. */
  server?: DatabaseServer;
  /** Sees every request before it leaves; one that it throws for is lost on its way. */
  before?: (call: GoCall) => unknown;
};

export type DatabaseServer = {
  type: string;
  host: string;
  port: number;
  user: string;
  password: string;
  databases: Record<string, string>;
};

export type GoAgent = {
  calls: (GoCall & { status: number; answer: string })[];
  /** What its master's answers owe to the contract, in words; empty while all is well. */
  broken: string[];
  /** Resolves once it has ended by itself, with the reason. */
  ended: Promise<string>;
  stop(): Promise<void>;
};

// What Go's decoder takes: a field may be missing or null, but not of another kind, and every id is an integer.
const goText = z
  .string()
  .nullish()
  .transform((text) => text ?? "");
const goInt = z.int().nonnegative();
const id = z.int().positive();
const target = z.object({
  id,
  type: z.string(),
  name: z.string(),
  config: z.record(z.string(), z.unknown()),
  transferMode: goText,
});
const taskSpec = z.object({
  taskId: id,
  name: z.string(),
  type: z.string(),
  sourcePath: goText,
  sourcePaths: goText,
  excludePatterns: goText,
  dbHost: goText,
  dbPort: goInt,
  dbUser: goText,
  dbPassword: goText,
  dbName: goText,
  dbPath: goText,
  extraConfig: goText,
  compression: goText,
  encrypt: z.boolean(),
  storageTargets: z.array(target),
});
const restoreSpec = z.object({
  restoreRecordId: id,
  backupRecordId: id,
  taskId: id,
  taskName: z.string(),
  type: z.string(),
  sourcePath: goText,
  sourcePaths: z.array(z.string()).nullish(),
  dbHost: goText,
  dbPort: goInt,
  dbUser: goText,
  dbPassword: goText,
  compression: goText,
  encrypt: z.boolean(),
  storage: target,
  storagePath: z.string(),
  fileName: goText,
  checksum: goText,
});
const heartbeatAnswer = z.object({ status: z.literal("ok"), nodeId: id, name: z.string() });
const command = z.object({ id, type: z.string(), payload: z.record(z.string(), z.unknown()) });
const pollAnswer = z.object({ command: command.nullable() });
const okEnvelope = z.object({ code: z.literal("OK"), message: z.string(), data: z.unknown() });
const errorEnvelope = z.object({
  code: z.string().regex(/^[A-Z][A-Z0-9_]+$/),
  message: z.string().regex(/\S/),
});

type Command = z.output<typeof command>;
type Target = z.output<typeof target>;
type Artifact = { file: string; fileName: string; fileSize: number; checksum: string; storagePath: string };
type Client = ReturnType<typeof makeClient>;
type Context = GoAgentOptions & { client: Client };

/**
 * Behaves towards its master as an unmodified BackupX Go agent does: call by call, never twice, one command at a time
 * inside the loop that polls. Files and one database server are its only sources, disks and the master its only
 * storages.
 */
export function startGoAgent(options: GoAgentOptions): GoAgent {
  const { heartbeatMs = 15_000, pollMs = 5_000 } = options;
  const stopping = new AbortController();
  const client = makeClient(options, stopping.signal);
  const context = { ...options, client };
  const again = async (everyMs: number, work: () => Promise<unknown>) => {
    while (!stopping.signal.aborted) {
      await delay(everyMs, undefined, { signal: stopping.signal }).catch(() => {});
      // What fails is only written to its log; the next turn comes all the same.
      if (!stopping.signal.aborted) await work().catch(() => {});
    }
  };
  const life = beat(context).then(
    async () => {
      await Promise.all([
        again(heartbeatMs, () => beat(context)),
        again(pollMs, () => pollAndHandle(context)),
      ]);
      return "stopped";
    },
    (error: Error) => `initial heartbeat failed: ${error.message}`,
  );
  return {
    calls: client.calls,
    broken: client.broken,
    ended: life,
    async stop() {
      stopping.abort();
      await life;
    },
  };
}

const beat = ({ client, token, generation }: Context) =>
  client.ask("POST", "/api/agent/heartbeat", heartbeatAnswer, {
    ...(generation === "first" && { token }),
    hostname: hostname(),
    ipAddress: "192.0.2.7",
    agentVersion: generation === "first" ? "1.6.0" : "3.2.0",
    os: "linux",
    arch: "amd64",
  });

async function pollAndHandle(context: Context): Promise<void> {
  const { client } = context;
  const { command } = await client.ask("POST", "/api/agent/commands/poll", pollAnswer);
  if (command === null) return;
  const answer = await handle(context, command).then(
    (result) => ({ success: true, errorMessage: "", result }),
    (error: Error) => ({ success: false, errorMessage: error.message }),
  );
  await client.send("POST", `/api/agent/commands/${command.id}/result`, answer).catch(() => {});
}

async function handle(context: Context, { type, payload }: Command): Promise<Record<string, unknown>> {
  const isKnown = type !== "restore_record" || context.generation === "today";
  if (type === "run_task") {
    const { taskId, recordId } = parsePayload(z.object({ taskId: id, recordId: id }), payload);
    await runTask(context, taskId, recordId);
    return { taskId, recordId };
  }
  if (type === "list_dir") {
    const { path: folder } = parsePayload(z.object({ path: goText }), payload);
    return { entries: await listFolder(folder) };
  }
  if (type === "discover_db") {
    const asked = parsePayload(discovery, payload);
    return { databases: Object.keys(reach(context, asked).databases) };
  }
  if (type === "delete_storage_object") {
    const { targetType, targetConfig, storagePath } = parsePayload(deletion, payload);
    await rm(onDisk(targetType, targetConfig, storagePath), { force: true });
    return { deleted: true };
  }
  if (type === "restore_record" && isKnown) {
    const { restoreRecordId } = parsePayload(z.object({ restoreRecordId: id }), payload);
    await restore(context, restoreRecordId);
    return { restoreRecordId };
  }
  throw new Error(`unknown command type: ${type}`);
}

const deletion = z.object({
  targetType: z.string(),
  targetConfig: z.record(z.string(), z.unknown()),
  storagePath: z.string().min(1),
});

const discovery = z.strictObject({
  type: z.string(),
  host: goText,
  port: goInt,
  user: goText,
  password: goText,
});

/** The server that is asked for, if it lets this user in. */
function reach({ server }: Context, asked: z.output<typeof discovery>): DatabaseServer {
  if (!server || server.type !== asked.type) throw new Error(`unsupported database type: ${asked.type}`);
  if (server.host !== asked.host || server.port !== asked.port) throw new Error("connection refused");
  if (server.user !== asked.user || server.password !== asked.password) throw new Error("access denied");
  return server;
}

function parsePayload<T extends z.ZodType>(schema: T, payload: unknown): z.output<T> {
  const parsed = schema.safeParse(payload);
  if (parsed.success) return parsed.data;
  throw new Error(`invalid payload: ${parsed.error.message}`);
}

async function runTask(context: Context, taskId: number, recordId: number): Promise<void> {
  const { client, generation } = context;
  const say = (text: string) => client.log(`/api/agent/records/${recordId}`, text);
  const fail = async (error: Error, results?: object[]): Promise<never> => {
    const { message: errorMessage } = error;
    const storageUploadResults = generation === "today" ? results : undefined;
    const report = { status: "failed", errorMessage, storageUploadResults, logAppend: `${errorMessage}\n` };
    await client.send("POST", `/api/agent/records/${recordId}`, report).catch(() => {});
    throw error;
  };
  const spec = await client.ask("GET", `/api/agent/tasks/${taskId}`, taskSpec).catch(fail);
  if (spec.encrypt) return fail(new Error("this agent cannot encrypt: only the master holds the key"));
  await say(`starting ${spec.name} (${spec.type})`);
  const artifact = await pack(context, spec, recordId, say).catch(fail);
  const results: UploadResult[] = [];
  for (const target of spec.storageTargets) {
    const error = await upload(context, recordId, target, artifact).then(
      () => null,
      (reason: Error) => reason,
    );
    if (error && generation === "first") return fail(new Error(`upload to ${target.name}: ${error.message}`));
    results.push(uploadResult(target, artifact, error));
    await say(error ? `upload to ${target.name} failed: ${error.message}` : `stored in ${target.name}`);
  }
  const stored = results.find(({ status }) => status === "success");
  if (!stored) return fail(new Error(results.map(({ error }) => error).join("; ")), results);
  const { fileName, fileSize, checksum, storagePath } = artifact;
  await client.send("POST", `/api/agent/records/${recordId}`, {
    status: "success",
    fileName,
    fileSize,
    checksum,
    storagePath,
    ...(generation === "today" && {
      storageTargetId: stored.storageTargetId,
      storageTransferMode: stored.transferMode,
      storageUploadResults: results,
    }),
    logAppend: `done, ${fileSize} bytes\n`,
  });
}

type UploadResult = {
  storageTargetId: number;
  storageTargetName: string;
  status: "success" | "failed";
  transferMode: string;
  storagePath?: string;
  fileSize?: number;
  error?: string;
};

const uploadResult = (target: Target, artifact: Artifact, error: Error | null): UploadResult => ({
  storageTargetId: target.id,
  storageTargetName: target.name,
  status: error ? "failed" : "success",
  transferMode: target.transferMode,
  ...(error ? { error: error.message } : { storagePath: artifact.storagePath, fileSize: artifact.fileSize }),
});

/** Entries are named from the parent of their source path, and a source folder has no entry of its own. */
async function pack(
  context: Context,
  spec: z.output<typeof taskSpec>,
  recordId: number,
  say: (text: string) => Promise<void>,
): Promise<Artifact> {
  if (spec.storageTargets.length === 0) throw new Error("no storage targets");
  if (spec.type !== "file") return dump(context, spec, recordId, say);
  const { workDir, generation } = context;
  const parse = generation === "today" ? listOfToday : lines;
  const paths = parse(spec.sourcePaths);
  const sources = paths.length > 0 ? paths : [spec.sourcePath].filter(Boolean);
  if (sources.length === 0) throw new Error("source path is required");
  for (const source of sources) await stat(source);
  const at = new Date().toISOString();
  const folder = await mkdtemp(path.join(workDir, "backupx-run-"));
  const tar = path.join(folder, `${fileNameOf(spec.name)}_${at.slice(0, 19).replace(/[-:]/g, "")}.tar`);
  await run("tar", ["-cf", tar, "--files-from=/dev/null"]);
  const excludes = parse(spec.excludePatterns).map((pattern) => `--exclude=${pattern}`);
  for (const source of sources) {
    await say(`packing ${source}`);
    const { dir, base } = path.parse(path.resolve(source));
    await run("tar", ["-rf", tar, "--wildcards", ...excludes, "-C", dir, base]);
  }
  return compressed(context, spec, recordId, { packed: tar, at });
}

const splitNames = (text: string) =>
  text
    .split(/[,;\n]/)
    .map((name) => name.trim())
    .filter(Boolean);

/** The databases that are named, one after the other, as the server's own program would write them. */
async function dump(
  context: Context,
  spec: z.output<typeof taskSpec>,
  recordId: number,
  say: (text: string) => Promise<void>,
): Promise<Artifact> {
  const { type, dbHost: host, dbPort: port, dbUser: user, dbPassword: password } = spec;
  const server = reach(context, { type, host, port, user, password });
  const names = splitNames(spec.dbName);
  if (names.length === 0) throw new Error("database names are required");
  await say(`dumping ${names.join(", ")}`);
  const parts = names.map((name) => {
    const content = server.databases[name];
    if (content === undefined) throw new Error(`unknown database ${name}`);
    return `${name}=${content}\n`;
  });
  const at = new Date().toISOString();
  const folder = await mkdtemp(path.join(context.workDir, "backupx-run-"));
  const packed = path.join(folder, `${fileNameOf(spec.name)}_${at.slice(0, 19).replace(/[-:]/g, "")}.sql`);
  await writeFile(packed, parts.join(""));
  return compressed(context, spec, recordId, { packed, at });
}

async function compressed(
  { generation }: Context,
  spec: z.output<typeof taskSpec>,
  recordId: number,
  { packed, at }: { packed: string; at: string },
): Promise<Artifact> {
  const isGzip = spec.compression.toLowerCase() === "gzip";
  const file = isGzip ? `${packed}.gz` : packed;
  if (isGzip) await writeFile(file, gzipSync(await readFile(packed)));
  const bytes = await readFile(file);
  const fileName = path.basename(file);
  const day = `BackupX/${spec.type}/${at.slice(2, 10).replaceAll("-", "")}`;
  return {
    file,
    fileName,
    fileSize: bytes.length,
    checksum: sha256(bytes),
    storagePath: generation === "today" ? `${day}/records/${recordId}/${fileName}` : `${day}/${fileName}`,
  };
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Letters and digits of every script stay. */
const fileNameOf = (name: string) =>
  name
    .toLowerCase()
    .replace(/[ .]/g, "_")
    .replace(/[^\p{L}\p{N}_-]/gu, "") || "backup";

const lines = (text: string) =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

function listOfToday(text: string): string[] {
  try {
    return z.array(z.string()).parse(JSON.parse(text));
  } catch {
    return lines(text);
  }
}

async function upload(
  { client, generation }: Context,
  recordId: number,
  target: Target,
  artifact: Artifact,
): Promise<void> {
  if (generation === "today" && target.transferMode === "master_relay") {
    return client.putArtifact(`/api/agent/records/${recordId}/artifacts/${target.id}`, artifact);
  }
  const file = onDisk(target.type, target.config, artifact.storagePath);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, await readFile(artifact.file));
}

function onDisk(type: string, config: Record<string, unknown>, key: string): string {
  if (type !== "local_disk") throw new Error(`create provider: unsupported storage type ${type}`);
  return path.join(z.string().min(1).parse(config["basePath"]), key);
}

async function listFolder(folder: string): Promise<object[]> {
  const cleaned = path.posix.normalize(folder || ".");
  const entries = await readdir(cleaned, { withFileTypes: true });
  const shown = entries.map(async (entry) => {
    const full = path.join(cleaned, entry.name);
    const isDir = entry.isDirectory();
    const size = isDir
      ? 0
      : await stat(full).then(
          ({ size }) => size,
          () => 0,
        );
    return { name: entry.name, path: full, isDir, size };
  });
  return (await Promise.all(shown)).sort(
    (a, b) => Number(b.isDir) - Number(a.isDir) || (a.name < b.name ? -1 : 1),
  );
}

async function restore(context: Context, restoreId: number): Promise<void> {
  const { client, workDir } = context;
  const place = `/api/agent/restores/${restoreId}`;
  try {
    const spec = await client.ask("GET", `${place}/spec`, restoreSpec);
    if (spec.encrypt) throw new Error("this agent cannot restore what is encrypted");
    await client.log(place, `restoring ${spec.taskName} (${spec.type})`);
    const folder = await mkdtemp(path.join(workDir, "restore-"));
    const bytes =
      spec.storage.transferMode === "master_relay"
        ? await client.getArtifact(`${place}/artifact`)
        : await readFile(onDisk(spec.storage.type, spec.storage.config, spec.storagePath));
    if (spec.checksum !== "" && sha256(bytes) !== spec.checksum) throw new Error("the SHA-256 differs");
    const plain = spec.fileName.endsWith(".gz") ? gunzipSync(bytes) : bytes;
    if (spec.type !== "file") load(context, spec, plain.toString());
    else await unpack(spec, plain, folder);
    await client.send("POST", place, { status: "success", logAppend: "restored\n" });
  } catch (error) {
    const errorMessage = (error as Error).message;
    const report = { status: "failed", errorMessage, logAppend: `${errorMessage}\n` };
    await client.send("POST", place, report).catch(() => {});
    throw error;
  }
}

async function unpack(spec: z.output<typeof restoreSpec>, plain: Buffer, folder: string): Promise<void> {
  const tar = path.join(folder, "artifact.tar");
  await writeFile(tar, plain);
  const parent = path.dirname(spec.sourcePaths?.[0] ?? spec.sourcePath);
  await mkdir(parent, { recursive: true });
  // Times are not among what it restores.
  await run("tar", ["-xmf", tar, "-C", parent]);
}

function load(context: Context, spec: z.output<typeof restoreSpec>, plain: string): void {
  const { type, dbHost: host, dbPort: port, dbUser: user, dbPassword: password } = spec;
  const server = reach(context, { type, host, port, user, password });
  for (const line of plain.split("\n").filter(Boolean)) {
    const [name = "", content = ""] = line.split("=");
    server.databases[name] = content;
  }
}

/** The calls of both generations. None is made a second time, and none follows a redirect. */
function makeClient({ master, token, before }: GoAgentOptions, signal: AbortSignal) {
  const calls: GoAgent["calls"] = [];
  const broken: string[] = [];

  async function exchange(call: GoCall): Promise<{ status: number; bytes: Buffer }> {
    const sent = { ...call, status: 0, answer: "" };
    calls.push(sent);
    await before?.(call);
    const json = call.body === undefined ? undefined : Buffer.from(JSON.stringify(call.body));
    const headers: Record<string, string> = {
      "User-Agent": "Go-http-client/1.1",
      "X-Agent-Token": token,
      "Accept-Encoding": "gzip",
      ...(json && { "Content-Type": "application/json" }),
      ...(call.file === undefined &&
        call.method !== "GET" && { "Content-Length": String(json?.length ?? 0) }),
      ...call.headers,
    };
    const request = httpRequest(new URL(call.path, master), { method: call.method, headers, signal });
    const answered = once(request, "response") as Promise<[IncomingMessage]>;
    // An early answer ends the upload, and it is the answer that counts.
    if (call.file === undefined) request.end(json);
    else pipeline(createReadStream(call.file), request).catch(() => {});
    const [response] = await answered;
    const raw = await buffer(response);
    request.destroy();
    const bytes = response.headers["content-encoding"] === "gzip" ? gunzipSync(raw) : raw;
    sent.status = response.statusCode ?? 0;
    sent.answer = bytes.length < 1_000_000 ? bytes.toString("utf8") : "";
    return { status: sent.status, bytes };
  }

  const note = (call: { method: string; path: string }, problem: string) =>
    broken.push(`${call.method} ${call.path}: ${problem}`);

  /** The envelope as the contract has it; what Go itself would swallow is noted too. */
  function open(call: GoCall, status: number, text: string): unknown {
    const isGood = status >= 200 && status < 300;
    const envelope = (isGood ? okEnvelope : errorEnvelope).safeParse(parseJson(text));
    if (!envelope.success) note(call, `${status} ${text.slice(0, 300)}: ${envelope.error.message}`);
    if (!isGood) throw new Error(`${call.method} ${call.path}: http ${status}: ${text}`);
    const whole = parseJson(text);
    const data = z.object({ data: z.unknown() }).safeParse(whole).data?.data;
    return data ?? whole;
  }

  async function send(method: string, path: string, body?: Record<string, unknown>): Promise<unknown> {
    const call: GoCall = { method, path, headers: {}, body };
    const { status, bytes } = await exchange(call);
    return open(call, status, bytes.toString("utf8"));
  }

  return {
    calls,
    broken,
    send,
    async ask<T extends z.ZodType>(
      method: string,
      path: string,
      answer: T,
      body?: Record<string, unknown>,
    ): Promise<z.output<T>> {
      const parsed = answer.safeParse(await send(method, path, body));
      if (parsed.success) return parsed.data;
      note({ method, path }, parsed.error.message);
      throw new Error(`decode data: ${parsed.error.message}`);
    },
    /** As far as it can: a log that cannot be sent stops nothing. */
    async log(path: string, text: string): Promise<void> {
      await send("POST", path, { logAppend: `${text}\n` }).catch(() => {});
    },
    async putArtifact(path: string, artifact: Artifact): Promise<void> {
      const headers = {
        "Content-Type": "application/octet-stream",
        "Content-Length": String(artifact.fileSize),
        // Go writes a header's text as UTF-8.
        "X-BackupX-Object-Key": Buffer.from(artifact.storagePath, "utf8").toString("latin1"),
        "X-BackupX-SHA256": artifact.checksum,
      };
      const call: GoCall = { method: "PUT", path, headers, file: artifact.file };
      const { status, bytes } = await exchange(call);
      const text = bytes.toString("utf8");
      if (status < 200 || status >= 300) {
        throw new Error(`relay artifact to Master: http ${status}: ${text}`);
      }
      open(call, status, text);
    },
    async getArtifact(path: string): Promise<Buffer> {
      const call: GoCall = { method: "GET", path, headers: {} };
      const { status, bytes } = await exchange(call);
      if (status === 200) return bytes;
      throw new Error(`download relayed artifact from Master: http ${status}: ${bytes.toString("utf8")}`);
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
