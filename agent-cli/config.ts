import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { parseDuration } from "./duration.ts";
import { ExitError } from "./exit-codes.ts";
import type { LogFormat } from "./log.ts";
import type { ConfiguredCommand } from "./pipeline/pipeline.ts";
import { type ConfiguredHook, readCommands, readHooks } from "./programs.ts";
import { isReadableByOthers, readSettingsFile, requireKnownKeys } from "./settings-file.ts";

/** Everything that can be set, with its YAML key as its name. Flags win over the file, the file over the environment. */
const settings = {
  master: { flag: "--master", env: "BACKUPX_AGENT_MASTER", parse: masterUrl },
  token: { flag: "--token", env: "BACKUPX_AGENT_TOKEN", parse: token },
  tokenFile: { flag: "--token-file", env: "BACKUPX_AGENT_TOKEN_FILE", parse: path },
  heartbeatInterval: {
    flag: "--heartbeat-interval",
    env: "BACKUPX_AGENT_HEARTBEAT_INTERVAL",
    parse: duration,
  },
  pollInterval: { flag: "--poll-interval", env: "BACKUPX_AGENT_POLL_INTERVAL", parse: duration },
  tempDir: { flag: "--temp-dir", env: "BACKUPX_AGENT_TEMP_DIR", parse: path },
  stateDir: { flag: "--state-dir", env: "BACKUPX_AGENT_STATE_DIR", parse: path },
  insecureSkipTlsVerify: { flag: "--insecure-tls", env: "BACKUPX_AGENT_INSECURE_TLS", parse: yesOrNo },
  proxyUrl: { flag: "--proxy-url", env: "BACKUPX_AGENT_PROXY_URL", parse: proxyUrl },
  caCertFile: { flag: "--ca-cert", env: "BACKUPX_AGENT_CA_CERT", parse: path },
  identityFile: { flag: "--identity-file", env: "BACKUPX_AGENT_IDENTITY_FILE", parse: path },
  stallTimeout: { flag: "--stall-timeout", env: "BACKUPX_AGENT_STALL_TIMEOUT", parse: duration },
  grace: { flag: "--grace", env: "BACKUPX_AGENT_GRACE", parse: duration },
  maxConcurrent: { flag: "--max-concurrent", env: "BACKUPX_AGENT_MAX_CONCURRENT", parse: slots },
  logFormat: { flag: "--log-format", env: "BACKUPX_AGENT_LOG_FORMAT", parse: logFormat },
} as const satisfies Record<string, Setting<unknown>>;

/**
 * What only the file can say: which programs this machine runs for its master. A flag or a variable may be set by
 * somebody who cannot write that file.
 */
const fileOnly = { commands: readCommands, hooks: readHooks } as const;

type Setting<T> = { flag: string; env: string; parse: (raw: unknown) => T };
type Key = keyof typeof settings;
type Values = { [K in Key]?: ReturnType<(typeof settings)[K]["parse"]> };

/** Flags as the command line has them, by YAML key, and the path of a configuration file. */
export type Flags = { [K in Key]?: string | boolean | undefined } & { config?: string | undefined };

export type Config = {
  master: URL | null;
  token: string | null;
  tokenFile: string | null;
  /** Null: as the master says. */
  heartbeatIntervalMs: number | null;
  pollIntervalMs: number | null;
  tempDir: string | null;
  stateDir: string;
  insecureTls: boolean;
  proxyUrl: URL | null;
  caCertFile: string | null;
  /** The private keys that restores of encrypted backups use; they never leave this machine. */
  identityFile: string | null;
  stallTimeoutMs: number;
  graceMs: number;
  maxConcurrent: number;
  logFormat: LogFormat | null;
  /** Programs that tasks may name as sources. */
  commands: Record<string, ConfiguredCommand>;
  /** Programs that tasks may name to be run before and after a backup. */
  hooks: Record<string, ConfiguredHook>;
  configFile: string | null;
  warnings: string[];
};

export type Surroundings = {
  env: Record<string, string | undefined>;
  isRoot: boolean;
  /** Look at flags and environment alone. */
  ignoreFile?: boolean;
};

const here = (): Surroundings => ({ env: process.env, isRoot: process.getuid?.() === 0 });

export const defaultPaths = ({ isRoot } = here()) =>
  isRoot
    ? { configDir: "/etc/backupx-agent", stateDir: "/var/lib/backupx-agent" }
    : {
        configDir: join(homedir(), ".config", "backupx-agent"),
        stateDir: join(homedir(), ".local", "state", "backupx-agent"),
      };

/** Puts the configuration together, value by value; throws an ExitError that names the key and where it came from. */
export function readConfig(flags: Flags, around: Surroundings = here()): Config {
  const configFile = around.ignoreFile ? null : findConfigFile(flags.config, around);
  const file: Record<string, unknown> = configFile === null ? {} : readYaml(configFile);
  const layers: Layer[] = [
    { values: flags, nameOf: (key) => `flag ${settings[key].flag}` },
    { values: file, nameOf: () => `file ${configFile}` },
    { values: fromEnvironment(around.env), nameOf: (key) => `environment ${settings[key].env}` },
  ];
  const values: Values = {};
  for (const key of Object.keys(settings) as Key[]) Object.assign(values, pick(layers, key));
  const warnings: string[] = [];
  const credentials = readToken(layers, values, warnings);
  if (values.caCertFile !== undefined && values.insecureSkipTlsVerify === true) {
    throw new ExitError(
      "usage",
      "caCertFile and insecureSkipTlsVerify contradict each other: a CA to check with, and no checking; remove one",
    );
  }
  if (values.identityFile !== undefined) warnings.push(...aboutIdentityFile(values.identityFile));
  if (values.insecureSkipTlsVerify) warnings.push("TLS certificates are not checked (insecureSkipTlsVerify)");
  return {
    master: values.master ?? null,
    ...credentials,
    heartbeatIntervalMs: values.heartbeatInterval ?? null,
    pollIntervalMs: values.pollInterval ?? null,
    tempDir: values.tempDir ?? null,
    stateDir: values.stateDir ?? defaultPaths(around).stateDir,
    insecureTls: values.insecureSkipTlsVerify ?? false,
    proxyUrl: values.proxyUrl ?? null,
    caCertFile: values.caCertFile ?? null,
    identityFile: values.identityFile ?? null,
    stallTimeoutMs: values.stallTimeout ?? 30 * 60_000,
    graceMs: values.grace ?? 60_000,
    maxConcurrent: values.maxConcurrent ?? 4,
    logFormat: values.logFormat ?? null,
    commands: fromFile(fileOnly.commands, file["commands"], `commands: ${configFile}`),
    hooks: fromFile(fileOnly.hooks, file["hooks"], `hooks: ${configFile}`),
    configFile,
    warnings,
  };
}

/** The parts without which an agent cannot talk to a master. */
export function requireMaster(config: Config): { master: URL; token: string } {
  if (config.master === null) {
    throw new ExitError("usage", "no master: set --master, `master` in the file, or BACKUPX_AGENT_MASTER");
  }
  if (config.token === null) {
    throw new ExitError(
      "usage",
      "no token: set --token-file (or `tokenFile`, BACKUPX_AGENT_TOKEN_FILE), or run `backupx-agent enroll`",
    );
  }
  return { master: config.master, token: config.token };
}

type Layer = { values: { [K in Key]?: unknown }; nameOf: (key: Key) => string };

function pick(layers: Layer[], key: Key): Partial<Record<Key, unknown>> {
  const layer = layers.find(({ values }) => values[key] !== undefined && values[key] !== null);
  if (layer === undefined) return {};
  try {
    return { [key]: settings[key].parse(layer.values[key]) };
  } catch (error) {
    throw new ExitError("usage", `${key}: ${(error as Error).message} (from ${layer.nameOf(key)})`);
  }
}

/** The token and the file that holds it are one value: the highest place that has either of them decides. */
function readToken(layers: Layer[], values: Values, warnings: string[]) {
  for (const layer of layers) {
    const { token: inline, tokenFile } = layer.values;
    if (inline !== undefined && tokenFile !== undefined) {
      throw new ExitError("usage", `token and tokenFile are both set (${layer.nameOf("token")}): keep one`);
    }
    if (inline !== undefined) {
      if (layer === layers[0]) {
        warnings.push("--token can be read by everybody in the process list; use --token-file");
      }
      return { token: values.token ?? null, tokenFile: null };
    }
    if (tokenFile !== undefined) {
      const file = values.tokenFile as string;
      return { token: readTokenFile(file, layer.nameOf("tokenFile"), warnings), tokenFile: file };
    }
  }
  return { token: null, tokenFile: null };
}

function readTokenFile(file: string, origin: string, warnings: string[]): string {
  try {
    if (isReadableByOthers(file)) warnings.push(`${file} can be read by others: chmod 600 ${file}`);
    return token(readFileSync(file, "utf8").slice(0, 4096));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new ExitError("usage", `tokenFile: ${file}: ${code ?? message} (from ${origin})`);
  }
}

/** An agent without its key still makes backups, so this ends nothing. */
function aboutIdentityFile(file: string): string[] {
  try {
    return isReadableByOthers(file) ? [`${file} can be read by others: chmod 600 ${file}`] : [];
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return [`identityFile: ${file}: ${code}; encrypted backups cannot be restored with it`];
  }
}

function findConfigFile(asked: string | undefined, { env, isRoot }: Surroundings): string | null {
  const named = asked ?? env.BACKUPX_AGENT_CONFIG;
  if (named) return resolve(named);
  const usual = [defaultPaths({ env, isRoot }).configDir, "/etc/backupx-agent"];
  return usual.map((folder) => join(folder, "agent.yaml")).find((file) => existsSync(file)) ?? null;
}

function fromFile<T>(read: (raw: unknown) => T, raw: unknown, place: string): T {
  try {
    return read(raw ?? {});
  } catch (error) {
    throw new ExitError("usage", `${place}: ${(error as Error).message}`);
  }
}

function readYaml(file: string): Record<string, unknown> {
  const content = readSettingsFile(file, "config");
  requireKnownKeys(content, [...Object.keys(settings), ...Object.keys(fileOnly)], file, "config");
  return content;
}

function fromEnvironment(env: Surroundings["env"]): { [K in Key]?: unknown } {
  const entries = (Object.keys(settings) as Key[]).map((key) => [key, env[settings[key].env]] as const);
  // An empty variable counts as not set: unit files and compose files often carry such.
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined && value !== ""));
}

function text(raw: unknown): string {
  if (typeof raw !== "string" || raw.trim() === "") throw new Error("must be a text that is not empty");
  return raw.trim();
}

function url(raw: unknown, protocols: string[]): URL {
  // The value itself is not repeated: it may carry a password.
  const parsed = URL.parse(text(raw));
  if (parsed === null || !protocols.includes(parsed.protocol)) {
    throw new Error(`must be a URL that starts with ${protocols.map((p) => `${p}//`).join(" or ")}`);
  }
  return parsed;
}

function masterUrl(raw: unknown): URL {
  const parsed = url(raw, ["https:", "http:"]);
  if (parsed.username || parsed.password) throw new Error("must not contain a user name or password");
  if (parsed.search || parsed.hash) throw new Error("must not contain ? or #");
  return parsed;
}

function proxyUrl(raw: unknown): URL {
  const parsed = url(raw, ["http:", "https:", "socks5:", "socks5h:"]);
  if (!parsed.hostname) throw new Error("must name a host");
  return parsed;
}

function token(raw: unknown): string {
  const value = text(raw);
  // Visible ASCII is all that a header can carry safely.
  if (!/^[\x21-\x7e]{8,512}$/.test(value))
    throw new Error("is not a token: 64 letters and digits were expected");
  return value;
}

function path(raw: unknown): string {
  return resolve(text(raw));
}

function duration(raw: unknown): number {
  const shown = JSON.stringify(raw)?.slice(0, 60);
  const ms = typeof raw === "string" ? parseDuration(raw) : null;
  if (ms === null) throw new Error(`${shown} is not a duration such as 15s, 5m or 1h30m`);
  if (ms < 10 || ms > 30 * 86_400_000) throw new Error(`${shown} is too ${ms < 10 ? "short" : "long"}`);
  return ms;
}

function yesOrNo(raw: unknown): boolean {
  if (typeof raw === "boolean") return raw;
  const word = text(raw).toLowerCase();
  if (["1", "true", "yes", "on"].includes(word)) return true;
  if (["0", "false", "no", "off"].includes(word)) return false;
  throw new Error(`${JSON.stringify(word.slice(0, 60))} is neither true nor false`);
}

function slots(raw: unknown): number {
  const count = Number(raw);
  if (!Number.isInteger(count) || count < 1 || count > 32)
    throw new Error("must be a whole number from 1 to 32");
  return count;
}

function logFormat(raw: unknown): LogFormat {
  const word = text(raw);
  if (word !== "text" && word !== "json") throw new Error('must be "text" or "json"');
  return word;
}
