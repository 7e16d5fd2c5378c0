import { accessSync, constants, existsSync } from "node:fs";
import { dirname } from "node:path";
import { agentApi } from "../../protocol/agent-api.ts";
import { capabilities, freeDiskBytes } from "../capabilities.ts";
import { type MasterClient, MasterError, makeClient } from "../client.ts";
import { type Config, type Flags, readConfig } from "../config.ts";
import { formatDuration } from "../duration.ts";
import { ExitError, type ExitName } from "../exit-codes.ts";
import { currentHolder } from "../lock.ts";
import { missingPrograms } from "../missing-programs.ts";
import { makeDispatcher, networkOf, trustOwnCa } from "../network.ts";
import { agentVersion } from "../version.ts";
import { formatBytes, printJson, printTable } from "./print.ts";

type Check = { name: string; state: "ok" | "warn" | "failed"; detail: string };

const LITTLE_DISK_BYTES = 1024 ** 3;
const CLOCK_TOLERANCE_MS = 60_000;

/** Looks at everything that an agent on this machine will need, and says what is wrong. */
export async function runDoctor(flags: Flags, { json }: { json?: boolean }): Promise<ExitName> {
  const checks: Check[] = [
    { name: "node", state: "ok", detail: `${process.versions.node}, agent ${agentVersion}` },
  ];
  const config = readOrTell(flags, checks);
  if (config !== null) {
    checks.push(...(await checkMaster(config)));
    checks.push(checkWritable("state directory", config.stateDir), checkDisk(config));
    checks.push(...(await checkIdentities(config)), checkRunning(config));
    checks.push(...checkPrograms(config));
  }
  checks.push(await checkTools(config));
  if (json) printJson({ ok: checks.every(({ state }) => state !== "failed"), checks });
  else printTable(checks.map(({ name, state, detail }) => [state, name, detail]));
  return checks.some(({ state }) => state === "failed") ? "failed" : "ok";
}

function readOrTell(flags: Flags, checks: Check[]): Config | null {
  try {
    const config = readConfig(flags);
    const from = config.configFile ?? "no file: flags and environment only";
    const warnings = config.warnings.map(
      (detail): Check => ({ name: "configuration", state: "warn", detail }),
    );
    checks.push({ name: "configuration", state: "ok", detail: from }, ...warnings);
    return config;
  } catch (error) {
    if (!(error instanceof ExitError)) throw error;
    checks.push({ name: "configuration", state: "failed", detail: error.message });
    return null;
  }
}

async function checkMaster(config: Config): Promise<Check[]> {
  const { master, token } = config;
  if (master === null) return [{ name: "master", state: "failed", detail: "not set: --master, or enroll" }];
  if (token === null) return [{ name: "token", state: "failed", detail: "not set: --token-file, or enroll" }];
  try {
    trustOwnCa(networkOf(config));
    const client = makeClient({ master, token, dispatcher: makeDispatcher(networkOf(config)) });
    const startedAt = performance.now();
    const checks = await askMaster(client, master);
    const took = Math.round(performance.now() - startedAt);
    const answered = checks.some(({ name, state }) => name === "master" && state === "ok");
    await client.close();
    return [
      ...checks.map((c) =>
        c.name === "master" && c.state === "ok" ? { ...c, detail: `${c.detail}, ${took} ms` } : c,
      ),
      ...(answered ? checkClock(client) : []),
    ];
  } catch (error) {
    return [{ name: "master", state: "failed", detail: (error as Error).message }];
  }
}

async function askMaster(client: MasterClient, master: URL): Promise<Check[]> {
  const reached: Check = { name: "master", state: "ok", detail: `${master.href} answers` };
  const plain: Check = {
    name: "transport",
    state: "warn",
    detail: "http: token and secrets travel unencrypted",
  };
  const local = ["localhost", "127.0.0.1", "[::1]"].includes(master.hostname);
  const transport = master.protocol === "http:" && !local ? [plain] : [];
  try {
    const self = await client.call(agentApi.self, { timeoutMs: 15_000 });
    return [
      reached,
      ...transport,
      { name: "token", state: "ok", detail: `accepted: node ${self.id}, "${self.name}"` },
    ];
  } catch (error) {
    if (!(error instanceof MasterError)) throw error;
    if (error.status === 401)
      return [reached, ...transport, { name: "token", state: "failed", detail: error.message }];
    return [{ name: "master", state: "failed", detail: error.message }];
  }
}

function checkClock(client: MasterClient): Check[] {
  const date = client.lastDate();
  // A master on Cloudflare always says its time, one on this machine does not.
  if (date === null) return [{ name: "clock", state: "ok", detail: "not compared: the master sent no date" }];
  const apart = Math.abs(date.here - date.master);
  const detail =
    apart < 2_000 ? "agrees with the master's" : `${formatDuration(apart)} away from the master's`;
  // Nothing is decided by this clock alone, but logs and times of files would mislead people.
  return [{ name: "clock", state: apart > CLOCK_TOLERANCE_MS ? "warn" : "ok", detail }];
}

function checkWritable(name: string, folder: string): Check {
  const nearest = nearestExisting(folder);
  try {
    accessSync(nearest, constants.W_OK | constants.X_OK);
    return { name, state: "ok", detail: nearest === folder ? folder : `${folder} (will be made)` };
  } catch {
    return { name, state: "failed", detail: `${folder} cannot be written by this user` };
  }
}

function checkDisk(config: Config): Check {
  const folder = config.tempDir ?? config.stateDir;
  const free = freeDiskBytes(nearestExisting(folder));
  if (free === null) return { name: "disk", state: "warn", detail: `free space of ${folder} is not known` };
  return {
    name: "disk",
    state: free < LITTLE_DISK_BYTES ? "warn" : "ok",
    detail: `${formatBytes(free)} free for work in ${folder}`,
  };
}

function nearestExisting(folder: string): string {
  return existsSync(folder) || dirname(folder) === folder ? folder : nearestExisting(dirname(folder));
}

async function checkIdentities({ identityFile }: Config): Promise<Check[]> {
  if (identityFile === null) return [];
  const { readIdentities } = await import("../pipeline/identities.ts");
  try {
    const { keys } = readIdentities(identityFile);
    const detail = `${keys.length} private ${keys.length === 1 ? "key" : "keys"} in ${identityFile}`;
    return [{ name: "encryption", state: "ok", detail }];
  } catch (error) {
    return [{ name: "encryption", state: "failed", detail: (error as Error).message }];
  }
}

function checkRunning({ stateDir }: Config): Check {
  const holder = currentHolder(stateDir);
  return { name: "agent", state: "ok", detail: holder ? `running, pid ${holder.pid}` : "not running" };
}

const checkPrograms = (config: Config): Check[] =>
  missingPrograms(config).map(({ at, program, problem }) => ({
    name: at,
    state: "failed",
    detail: `${program} cannot be started: ${problem}; install it, or correct the configuration`,
  }));

async function checkTools(config: Config | null): Promise<Check> {
  const { sources, engines } = await capabilities(config ?? { commands: {}, hooks: {} });
  const versions = Object.entries(engines).map(([engine, version]) => `${engine} ${version}`);
  const complete = sources.includes("sqlite") && "zstd" in engines;
  return { name: "tools", state: complete ? "ok" : "warn", detail: versions.join(", ") };
}
