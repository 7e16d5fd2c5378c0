import { createHash, createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Client, type ConnectConfig, type SFTPWrapper } from "ssh2";
import { unlessAborted } from "./abortable.ts";
import { withoutSecrets } from "./exchange.ts";
import { watchForStall } from "./stall.ts";
import { StorageError, type StorageErrorKind } from "./storage.ts";

export type SftpConfig = {
  host: string;
  port: number;
  username: string;
  /** The directory that keys are below; relative ones begin at the user's home. */
  path: string;
  password?: string;
  privateKey?: string;
  passphrase?: string;
  /** Fingerprints of the keys that the server may show, as `ssh-keygen -l` prints them, with spaces between. */
  hostKey?: string;
  /** A file of this machine in the form of ~/.ssh/known_hosts. */
  knownHostsFile?: string;
};

/** A connection with its SFTP channel. It may be gone at any moment: then every call on it fails. */
export type Session = { sftp: SFTPWrapper; client: Client; isGone: boolean };

/** Hands out one connection to all who use it at a time, and a new one once that is gone. */
export type Sessions = {
  use<T>(signal: AbortSignal, action: (session: Session) => Promise<T>): Promise<T>;
};

/** Long enough for the next call of a run to come, short enough not to hold up the end of a process. */
const idleMs = 1000;
const readyMs = 20_000;

/** Opens a connection when one is needed and closes it a moment after its last use. */
export function openSessions(config: SftpConfig): Sessions {
  let current: Promise<Session> | undefined;
  let users = 0;
  let idle: NodeJS.Timeout | undefined;

  // Several may wait for one connection, so the abort of one of them must not end it.
  const session = (): Promise<Session> => {
    if (current) return current;
    const forget = () => {
      if (current === opening) current = undefined;
    };
    const opening = connect(config, forget);
    opening.catch(forget);
    current = opening;
    return opening;
  };
  const closeIdle = () => {
    const last = current;
    current = undefined;
    last?.then(({ client }) => client.end()).catch(() => {});
  };
  return {
    async use(signal, action) {
      signal.throwIfAborted();
      clearTimeout(idle);
      users += 1;
      try {
        return await action(await unlessAborted(session(), signal));
      } finally {
        users -= 1;
        if (users === 0) idle = setTimeout(closeIdle, idleMs).unref();
      }
    },
  };
}

/**
 * One call of the SFTP channel. It fails when the channel is gone, when `signal` aborts, or when there is no answer for
 * so long that the connection counts as dead, which then is closed.
 */
export async function ask<T>(
  session: Session,
  signal: AbortSignal,
  stallMs: number,
  start: (sftp: SFTPWrapper, done: (error?: Error | null, result?: T) => void) => void,
): Promise<T> {
  const watch = watchForStall(stallMs, signal, "the SFTP server");
  try {
    return await new Promise<T>((resolve, reject) => {
      const onAbort = () => {
        if (!signal.aborted) session.client.destroy();
        reject(watch.signal.reason);
      };
      if (watch.signal.aborted) return onAbort();
      watch.signal.addEventListener("abort", onAbort, { once: true });
      start(session.sftp, (error, result) => (error ? reject(error) : resolve(result as T)));
    });
  } catch (error) {
    throw inWords(error, session);
  } finally {
    watch.stop();
  }
}

/** A failed call's error with a kind and words; an abort's reason and errors in words pass as they are. */
function inWords(error: unknown, session?: Session): unknown {
  if (error instanceof StorageError || !(error instanceof Error)) return error;
  const code = "code" in error ? error.code : undefined;
  if (session?.isGone && (typeof code !== "number" || code === 4)) return gone(error);
  if (typeof code !== "number")
    return /No response|Not connected|not open|ended/i.test(error.message) ? gone(error) : error;
  const [kind, words] = statuses[code] ?? ["failed", `the server answered status ${code}: ${error.message}`];
  return new StorageError(kind, `SFTP: ${words}`, { cause: error });
}

const gone = (cause: unknown) => new StorageError("unreachable", "SFTP: the connection was cut", { cause });

const statuses: Record<number, [StorageErrorKind, string]> = {
  2: ["not_found", "there is no such file"],
  3: ["denied", "permission denied"],
  4: ["failed", "the server failed without a reason"],
  6: ["unreachable", "the server has no connection"],
  7: ["unreachable", "the connection was lost"],
  8: ["invalid", "the server does not support this"],
  14: ["full", "no space is left on the server"],
  15: ["full", "the quota on the server is used up"],
};

async function connect(config: SftpConfig, forget: () => void): Promise<Session> {
  const known = await readKnownKeys(config);
  const client = new Client();
  let refusal: StorageError | undefined;
  const settings: ConnectConfig = {
    host: config.host,
    port: config.port,
    username: config.username,
    readyTimeout: readyMs,
    keepaliveInterval: 15_000,
    keepaliveCountMax: 4,
    hostVerifier: (key: Buffer) => {
      const fingerprint = fingerprintOf(key);
      if (known.isKnown(key, fingerprint)) return true;
      refusal = unknownKey(config, fingerprint, known.isEmpty);
      return false;
    },
    ...(config.password ? { password: config.password } : {}),
    ...(config.privateKey ? { privateKey: config.privateKey } : {}),
    ...(config.passphrase ? { passphrase: config.passphrase } : {}),
  };
  const session: Partial<Session> & { isGone: boolean } = { client, isGone: false };
  const onGone = () => {
    session.isGone = true;
    forget();
  };
  client.on("close", onGone).on("end", onGone);
  try {
    await new Promise<void>((resolve, reject) => {
      // It stays for the whole life of the connection: an error that nobody hears would end the process.
      client.on("error", reject).on("close", () => reject(new Error("the connection was cut")));
      client.once("ready", resolve).connect(settings);
    });
    session.sftp = await new Promise<SFTPWrapper>((resolve, reject) => {
      client.once("close", () => reject(new Error("the connection was cut")));
      client.sftp((error, sftp) => (error ? reject(error) : resolve(sftp)));
    });
    session.sftp.on("error", () => client.destroy()).on("close", onGone);
    return session as Session;
  } catch (error) {
    client.destroy();
    throw refusal ?? connectError(error, config);
  }
}

function connectError(error: unknown, config: SftpConfig): StorageError {
  const place = `${config.host}:${config.port}`;
  const { level, message, code } = error as Error & { level?: string; code?: string };
  if (level === "client-authentication") {
    const words = `${place}: the server takes neither this user's password nor key`;
    return new StorageError("denied", words, { cause: error });
  }
  if (/privateKey|passphrase/i.test(message)) {
    return new StorageError(
      "invalid",
      `${place}: the private key cannot be read: is it whole, and its passphrase right?`,
    );
  }
  const said = withoutSecrets(`${place}: ${code ?? ""} ${message}`, [config.password, config.passphrase]);
  return new StorageError("unreachable", said, { cause: error });
}

const fingerprintOf = (key: Buffer) =>
  `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;

/** A server that is not known may be anybody, so nothing is sent to it; the words tell what is needed to know it. */
function unknownKey({ host, port }: SftpConfig, fingerprint: string, isEmpty: boolean): StorageError {
  const words = isEmpty
    ? "its host key is not known here"
    : "its host key is NOT the one that is known here: it was replaced, or somebody else answers";
  return new StorageError(
    "denied",
    `${host}:${port}: ${words}. It shows ${fingerprint}: compare that with \`ssh-keygen -lf\` on the server, ` +
      "then set it as hostKey",
  );
}

type KnownKeys = { isEmpty: boolean; isKnown(key: Buffer, fingerprint: string): boolean };

async function readKnownKeys(config: SftpConfig): Promise<KnownKeys> {
  const fingerprints = (config.hostKey ?? "")
    .split(/[\s,]+/)
    .filter(Boolean)
    .map((text) => text.replace(/=+$/, ""));
  const lines = config.knownHostsFile ? await readKnownHosts(config.knownHostsFile) : [];
  const keys = lines.flatMap((line) => keyOfLine(line, config));
  return {
    isEmpty: fingerprints.length + keys.length === 0,
    isKnown: (key, fingerprint) =>
      fingerprints.includes(fingerprint) || keys.includes(key.toString("base64")),
  };
}

async function readKnownHosts(path: string): Promise<string[]> {
  try {
    return (await readFile(path, "utf8")).split("\n");
  } catch (error) {
    throw new StorageError("invalid", `knownHostsFile ${path}: ${(error as NodeJS.ErrnoException).code}`);
  }
}

/** The key of a line that is for this host. Lines with a marker (@revoked, @cert-authority) name no key to trust. */
function keyOfLine(line: string, { host, port }: SftpConfig): string[] {
  const [names = "", , key] = line.trim().split(/\s+/);
  if (!key || names.startsWith("#") || names.startsWith("@")) return [];
  const wanted = port === 22 ? host : `[${host}]:${port}`;
  return names.split(",").some((name) => name === wanted || isHashOf(name, wanted)) ? [key] : [];
}

function isHashOf(name: string, wanted: string): boolean {
  const [, kind, salt, hash] = name.split("|");
  if (kind !== "1" || !salt || !hash) return false;
  return createHmac("sha1", Buffer.from(salt, "base64")).update(wanted).digest("base64") === hash;
}
