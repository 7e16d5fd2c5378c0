import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, writeFile } from "node:fs/promises";
import { join, posix } from "node:path";
import { promisify } from "node:util";
import { environmentOf, refusePrograms } from "../storage/rclone.ts";
import { StorageError } from "../storage/storage.ts";
import { ResticError } from "./program.ts";

/** Where restic finds a target, with what, and what of it is secret. */
export type Backend = {
  location: string;
  environment: Record<string, string>;
  options: string[];
  secrets: string[];
};

type Config = Record<string, unknown>;
type Open = (config: Config, key: string, workDir: string) => Promise<Backend> | Backend;

/**
 * The targets that restic reaches: by itself, or through rclone. An object of a repository lies where our own driver for
 * that target would look for it, so both see the same files.
 */
const backends: Record<string, Open> = {
  local_disk: (config, key) => plain(join(text(config, "path"), key)),

  s3(config, key) {
    const { protocol, host, pathname } = new URL(text(config, "endpoint"));
    const place = posix.join(host, pathname, text(config, "bucket"), trimmed(config, "prefix"), key);
    const sessionToken = text(config, "sessionToken");
    return {
      location: `s3:${protocol}//${place}`,
      environment: {
        AWS_ACCESS_KEY_ID: text(config, "accessKeyId"),
        AWS_SECRET_ACCESS_KEY: text(config, "secretAccessKey"),
        ...(sessionToken ? { AWS_SESSION_TOKEN: sessionToken } : {}),
        AWS_DEFAULT_REGION: text(config, "region") || "auto",
      },
      options: [
        "-o",
        `s3.bucket-lookup=${config["pathStyle"] === false ? "dns" : "path"}`,
        "-o",
        `s3.region=${text(config, "region") || "auto"}`,
      ],
      secrets: [text(config, "secretAccessKey"), sessionToken],
    };
  },

  sftp: throughSsh,

  async webdav(config, key) {
    const password = text(config, "password");
    const settings = {
      TYPE: "webdav",
      URL: text(config, "url"),
      VENDOR: "other",
      USER: text(config, "username"),
      PASS: await obscured(password),
    };
    return throughRclone(settings, key, [password]);
  },

  async ftp(config, key) {
    const password = text(config, "password");
    const tls = text(config, "tls") || "explicit";
    const settings = {
      TYPE: "ftp",
      HOST: text(config, "host"),
      PORT: String(config["port"] ?? (tls === "implicit" ? 990 : 21)),
      USER: text(config, "username"),
      PASS: await obscured(password),
      TLS: String(tls === "implicit"),
      EXPLICIT_TLS: String(tls === "explicit"),
    };
    return throughRclone(settings, posix.join(text(config, "path"), key), [password]);
  },

  azure_blob(config, key) {
    const path = posix.join(trimmed(config, "prefix"), key);
    const [account, container] = [text(config, "account"), text(config, "container")];
    const [accountKey, sasToken] = [text(config, "accountKey"), text(config, "sasToken").replace(/^\?/, "")];
    if (text(config, "endpoint"))
      throw new StorageError("invalid", "restic reaches Azure only at the account's usual address");
    return {
      location: `azure:${container}:/${path}`,
      environment: {
        AZURE_ACCOUNT_NAME: account,
        ...(accountKey ? { AZURE_ACCOUNT_KEY: accountKey } : { AZURE_ACCOUNT_SAS: sasToken }),
      },
      options: [],
      secrets: [accountKey, sasToken].filter(Boolean),
    };
  },

  rclone(config, key) {
    const remote = text(config, "remote").replace(/(?<=[^:])\/+$/, "");
    const settings = (config["settings"] ?? {}) as Record<string, string>;
    refusePrograms(remote, settings);
    const configFile = text(config, "configFile");
    return {
      location: `rclone:${remote.endsWith(":") || remote.endsWith("/") ? remote : `${remote}/`}${key}`,
      environment: {
        ...environmentOf(remote, settings),
        ...(configFile ? { RCLONE_CONFIG: configFile } : {}),
      },
      options: [],
      secrets: Object.values(settings),
    };
  },
};

/** How restic reaches the repository `key` of a target. Throws in words for a target that it cannot reach. */
export async function backendOf(
  type: string,
  config: Config,
  key: string,
  workDir: string,
): Promise<Backend> {
  const open = Object.hasOwn(backends, type) ? backends[type] : undefined;
  if (!open) throw new StorageError("invalid", `restic cannot store to a ${type} target`);
  return open(config, key, workDir);
}

const plain = (location: string): Backend => ({ location, environment: {}, options: [], secrets: [] });

function throughRclone(settings: Record<string, string>, path: string, secrets: string[]): Backend {
  const entries = Object.entries(settings).filter(([, value]) => value !== "");
  return {
    location: `rclone:target:${path}`,
    environment: {
      ...Object.fromEntries(entries.map(([name, value]) => [`RCLONE_CONFIG_TARGET_${name}`, value])),
      // Nothing of the node's own remotes is needed.
      RCLONE_CONFIG: "/dev/null",
    },
    options: [],
    secrets: secrets.filter(Boolean),
  };
}

/** rclone takes passwords only in a form of its own, which is no protection. */
async function obscured(password: string): Promise<string> {
  if (password === "") return "";
  const running = promisify(execFile)("rclone", ["obscure", "-"], { timeout: 20_000 });
  running.child.stdin?.on("error", () => {});
  running.child.stdin?.end(`${password}\n`);
  const { stdout } = await running.catch((error: NodeJS.ErrnoException) => {
    const words =
      error.code === "ENOENT"
        ? "restic reaches this target through rclone, which is not installed on this machine"
        : "rclone could not take the password";
    throw new ResticError("failed", words);
  });
  return stdout.trim();
}

/** By the system's own ssh, which gets a key file and knows no host but this one. */
async function throughSsh(config: Config, key: string, workDir: string): Promise<Backend> {
  const [host, username, privateKey] = [
    text(config, "host"),
    text(config, "username"),
    text(config, "privateKey"),
  ];
  if (!privateKey || text(config, "passphrase")) {
    throw new StorageError(
      "invalid",
      "restic reaches SFTP targets by a private key without a passphrase only: give the target one",
    );
  }
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.@+-]*$/.test(username))
    throw new StorageError("invalid", "restic cannot sign in over SSH with such a user name");
  const port = String(config["port"] ?? 22);
  const keyFile = join(workDir, "restic-ssh-key");
  const hostsFile = join(workDir, "restic-ssh-hosts");
  await writeFile(keyFile, privateKey.endsWith("\n") ? privateKey : `${privateKey}\n`, { mode: 0o600 });
  await writeKnownHosts(config, { host, port }, hostsFile);
  const settings = {
    HostName: host,
    Port: port,
    User: username,
    IdentityFile: `"${keyFile}"`,
    IdentitiesOnly: "yes",
    BatchMode: "yes",
    StrictHostKeyChecking: "yes",
    UserKnownHostsFile: `"${hostsFile}"`,
    GlobalKnownHostsFile: "/dev/null",
    ConnectTimeout: "20",
    ServerAliveInterval: "15",
    ServerAliveCountMax: "4",
  };
  const configFile = join(workDir, "restic-ssh-config");
  const lines = Object.entries(settings).map(([name, value]) => `${name} ${value}\n`);
  await writeFile(configFile, lines.join(""), { mode: 0o600 });
  return {
    location: `sftp:${host}:${posix.join(text(config, "path"), key)}`,
    environment: {},
    options: ["-o", `sftp.command=ssh -F '${configFile}' ${host} -s sftp`],
    secrets: [],
  };
}

/** ssh knows hosts by their keys and not by fingerprints, so the keys are fetched and those that fit are kept. */
async function writeKnownHosts(
  config: Config,
  { host, port }: { host: string; port: string },
  file: string,
): Promise<void> {
  const known = text(config, "knownHostsFile");
  if (known) {
    return copyFile(known, file).catch((error: NodeJS.ErrnoException) => {
      throw new StorageError("invalid", `knownHostsFile ${known}: ${error.code}`);
    });
  }
  const fingerprints = text(config, "hostKey")
    .split(/[\s,]+/)
    .filter(Boolean)
    .map((one) => one.replace(/=+$/, ""));
  const { stdout } = await promisify(execFile)("ssh-keyscan", ["-T", "20", "-p", port, host], {
    timeout: 60_000,
  }).catch((error: NodeJS.ErrnoException) => {
    const missing = error.code === "ENOENT";
    throw missing
      ? new StorageError(
          "invalid",
          "restic reaches SFTP targets by the programs ssh and ssh-keyscan, which are missing here",
        )
      : new StorageError("unreachable", `${host}:${port}: no SSH server answers`);
  });
  const lines = stdout.split("\n").filter((line) => fingerprints.includes(fingerprintIn(line)));
  if (lines.length === 0) {
    throw new StorageError(
      "denied",
      `${host}:${port}: the key that the server shows is not the hostKey of the target: it was replaced, or somebody else answers`,
    );
  }
  await writeFile(file, `${lines.join("\n")}\n`, { mode: 0o600 });
}

function fingerprintIn(line: string): string {
  const [, , key = ""] = line.split(" ");
  return `SHA256:${createHash("sha256").update(Buffer.from(key, "base64")).digest("base64").replace(/=+$/, "")}`;
}

const text = (config: Config, field: string): string => String(config[field] ?? "");

const trimmed = (config: Config, field: string): string => text(config, field).replace(/^\/+|\/+$/g, "");
