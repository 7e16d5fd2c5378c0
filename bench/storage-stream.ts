/**
 * One stream of unknown length to each kind of storage, on a real server of this machine: speed, CPU time and the
 * sender's peak memory. A storage whose server is not installed is left out, and said so. Of Google's there is none to be
 * had: a stand-in of this project takes its place, which hashes what it gets and keeps none of it. Azurite is looked for
 * where .ci/run installs it, too; the vault needs `npm run build`.
 *
 *     node bench/storage-stream.ts [--quick] [storage...]      5 GiB each; 256 MiB with --quick
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { makeClient } from "../agent-cli/client.ts";
import { openTarget } from "../agent-cli/jobs/open-target.ts";
import { makeDispatcher } from "../agent-cli/network.ts";
import { openStorage } from "../agent-cli/storage/open-storage.ts";
import type { Storage } from "../agent-cli/storage/storage.ts";
import { uploadClient } from "../agent-cli/vault-client.ts";
import { adminApi, agentApi } from "../protocol/index.ts";
import { startStrictGcs } from "../test/fakes/strict-gcs.ts";
import { findInstalledForTests } from "../test/installed-for-tests.ts";
import {
  azuriteAccount,
  startApache,
  startAzurite,
  startNginx,
  startProftpd,
  startRcloneWebdav,
  startSshd,
} from "../test/storage/servers.ts";
import { addNodes, startBenchMaster } from "./master.ts";
import { startS3rver } from "./s3-server.ts";
import { machine, table } from "./statistics.ts";

type Target = { type: string; config: Record<string, unknown>; key?: string; close(): Promise<void> };
/** What an agent has in hand that may put one artifact into its master's vault. */
type VaultRun = { master: string; token: string; recordId: number; targetId: number };
type Measured = { seconds: number; cpuSeconds: number; peakMib: number };

const GiB = 2 ** 30;
const chunkBytes = 256 * 1024;
const webdavLogin = { username: "someone", password: "a password" };

const targets: Record<string, () => Promise<Target>> = {
  async "local disk"() {
    const path = await mkdtemp(join(tmpdir(), "stream-"));
    return { type: "local_disk", config: { path }, close: () => rm(path, { recursive: true }) };
  },
  "webdav, nginx": () => webdavOn(startNginx),
  "webdav, apache2": () => webdavOn(startApache),
  async "sftp, OpenSSH"() {
    const { port, files, username, privateKey, fingerprint, close } = await startSshd();
    const login = { host: "127.0.0.1", port, username, privateKey, hostKey: fingerprint };
    return { type: "sftp", config: { ...login, path: files }, close };
  },
  "ftp, ProFTPD": () => ftpOn("none"),
  "s3, s3rver": async () => ({ type: "s3", ...(await startS3rver()) }),
  async "rclone, local"() {
    const path = await mkdtemp(join(tmpdir(), "stream-"));
    return {
      type: "rclone",
      config: { remote: `:local:${path}` },
      close: () => rm(path, { recursive: true }),
    };
  },
  "webdav, rclone": () => webdavOn(startRcloneWebdav),
  async "azure, Azurite"() {
    const { endpoint, close } = await startAzurite();
    return { type: "azure_blob", config: { ...azuriteAccount, endpoint }, close };
  },
  "vault, wrangler's R2": startVault,
  async "gcs, a strict stand-in"() {
    const service = await startStrictGcs();
    service.keepsContent = false;
    const { bucket, endpoint, close } = service;
    return {
      type: "gcs",
      config: { bucket, endpoint, serviceAccountKey: service.serviceAccountKey() },
      close,
    };
  },
};

findInstalledForTests();
if (process.argv[2] === "--send") await send();
else await main();

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  const named = args.filter((arg) => !arg.startsWith("--"));
  const sizeBytes = args.includes("--quick") ? GiB / 4 : 5 * GiB;
  console.log(`${sizeBytes / 2 ** 20} MiB to each; ${machine()}`);
  const rows: (string | number)[][] = [["storage", "MB/s", "CPU s/GB", "peak MiB"]];
  for (const [name, start] of Object.entries(targets)) {
    if (named.length > 0 && !named.some((part) => name.includes(part))) continue;
    rows.push([name, ...(await measure(start, sizeBytes))]);
  }
  console.log(table(rows));
}

async function measure(start: () => Promise<Target>, sizeBytes: number): Promise<(string | number)[]> {
  let target: Target;
  try {
    target = await start();
  } catch (error) {
    return [`left out: ${String(error).slice(0, 60)}`, "", ""];
  }
  try {
    const { seconds, cpuSeconds, peakMib } = await inProcessOfItsOwn(target, sizeBytes);
    const gigabytes = sizeBytes / 1e9;
    return [
      Math.round((gigabytes * 1000) / seconds),
      (cpuSeconds / gigabytes).toFixed(1),
      Math.round(peakMib),
    ];
  } finally {
    await target.close();
  }
}

/** Peak memory only ever rises, so each storage is measured in a process that has seen no other. */
async function inProcessOfItsOwn(
  { type, config, key = "stream" }: Target,
  sizeBytes: number,
): Promise<Measured> {
  const job = JSON.stringify({ type, config, key, sizeBytes });
  const child = spawn(process.execPath, ["--max-semi-space-size=1", import.meta.filename, "--send"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.end(job);
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, "close")]);
  if (code !== 0) throw new Error(`sending to ${type} failed`);
  return JSON.parse(said);
}

async function send(): Promise<void> {
  const { type, config, key, sizeBytes } = JSON.parse(await text(process.stdin));
  const storage = type === "vault" ? await openVault(config) : await openStorage(type, config);
  const startedMs = performance.now();
  const signal = new AbortController().signal;
  await storage.put(key, zeros(sizeBytes), { signal });
  const seconds = (performance.now() - startedMs) / 1000;
  const { user, system } = process.cpuUsage();
  const peakMib = process.resourceUsage().maxRSS / 1024;
  // The vault's client keeps its connection, which would keep this process.
  process.stdout.write(JSON.stringify({ seconds, cpuSeconds: (user + system) / 1e6, peakMib }), () =>
    process.exit(0),
  );
}

async function* zeros(sizeBytes: number): AsyncGenerator<Uint8Array> {
  const chunk = Buffer.alloc(chunkBytes);
  for (let sent = 0; sent < sizeBytes; sent += chunk.length) yield chunk;
}

/** A master of this bench alone, and a backup that a node of it has taken and is now to store. */
async function startVault(): Promise<Target> {
  const { url, call, stop } = await startBenchMaster();
  const [node] = await addNodes(call, 1);
  if (!node) throw new Error("no node was made");
  const { id: targetId } = await call(adminApi.createTarget, { body: { name: "vault", type: "vault" } });
  const source = { type: "file" as const, paths: ["/etc"] };
  const task = { name: "stream", nodeId: node.id, source, targetIds: [targetId] };
  const { id } = await call(adminApi.createTask, { body: task });
  const { recordId } = await call(adminApi.runTask, { params: { id: String(id) } });

  const agent = openClient(url, node.token);
  await agent.call(agentApi.heartbeat, { body: { protocolVersion: 1, bootId: "bench" } });
  await agent.call(agentApi.poll, { body: { running: [], max: 1 } });
  const { objectPrefix } = await agent.call(agentApi.taskSpec, { params: { id }, query: { recordId } });
  await agent.close();
  const config: VaultRun = { master: url, token: node.token, recordId, targetId };
  return { type: "vault", config, key: `${objectPrefix}stream-t${id}-r${recordId}.tar`, close: stop };
}

function openVault({ master, token, recordId, targetId }: VaultRun): Promise<Storage> {
  const context = { client: openClient(master, token), onWaiting: () => {} };
  const place = { type: "vault", config: {}, transferMode: "master_relay" };
  return openTarget(place, {}, () => uploadClient(context, recordId, targetId));
}

function openClient(master: string, token: string) {
  const dispatcher = makeDispatcher({ proxyUrl: null, insecureTls: false, caCertFile: null });
  return makeClient({ master: new URL(master), token, dispatcher });
}

async function webdavOn(start: typeof startNginx): Promise<Target> {
  const { port, close } = await start();
  return { type: "webdav", config: { url: `http://127.0.0.1:${port}/`, ...webdavLogin }, close };
}

async function ftpOn(tls: "none"): Promise<Target> {
  const { port, username, password, files, close } = await startProftpd();
  const config = { host: "127.0.0.1", port, tls, username, password, path: files };
  return { type: "ftp", config, close };
}
