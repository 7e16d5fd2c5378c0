import type { Dispatcher } from "undici";
import type { TokenBucket } from "./limited.ts";
import { type Storage, StorageError } from "./storage.ts";
import type { VaultClient } from "./vault.ts";

/** What storages share with the rest of the agent. */
export type StorageEnv = {
  vault?: VaultClient;
  /** Brings the agent's proxy and certificates to storages that are reached over HTTP; called when there is one. */
  dispatcher?: () => Promise<Dispatcher>;
  /** Caps what is sent and fetched; storages may share it. */
  bucket?: TokenBucket;
};

type Config = Record<string, unknown>;
type Open = (config: Config, env: StorageEnv) => Promise<Storage>;

/** Every kind of storage there is. Each is loaded when it is first asked for, to keep the agent's start short. */
const kinds: Record<string, Open> = {
  async local_disk(config, env) {
    const { localDisk } = await import("./local-disk.ts");
    return paced(localDisk({ path: text(config, "path") }), env);
  },

  async vault(_config, env) {
    if (!env.vault)
      throw new StorageError("invalid", "the vault can only be reached by an agent of its master");
    const { vault } = await import("./vault.ts");
    return paced(vault(env.vault), env);
  },

  async s3(config, env) {
    const { s3 } = await import("./s3.ts");
    return s3(readS3Config(config), await connectionOf(env));
  },

  async webdav(config, env) {
    const { webdav } = await import("./webdav.ts");
    const login = { username: optionalText(config, "username"), password: optionalText(config, "password") };
    const { dispatcher } = await connectionOf(env);
    const options = dispatcher ? { dispatcher } : {};
    return paced(webdav({ url: httpAddress(config, "url"), ...login }, options), env);
  },

  async sftp(config, env) {
    const { sftp } = await import("./sftp.ts");
    const named = ["password", "privateKey", "passphrase", "hostKey", "knownHostsFile"] as const;
    const optional = Object.fromEntries(named.map((field) => [field, optionalText(config, field)]));
    const required = {
      host: text(config, "host"),
      username: text(config, "username"),
      path: text(config, "path"),
    };
    return paced(sftp({ ...required, ...optional, port: optionalPort(config, 22) }), env);
  },

  async ftp(config, env) {
    const { ftp } = await import("./ftp.ts");
    const tls = optionalText(config, "tls") || "explicit";
    if (tls !== "explicit" && tls !== "implicit" && tls !== "none")
      throw badField("tls", "must be explicit, implicit or none");
    const login = { username: text(config, "username"), password: optionalText(config, "password") };
    const port = optionalPort(config, tls === "implicit" ? 990 : 21);
    return paced(ftp({ host: text(config, "host"), port, tls, ...login, path: text(config, "path") }), env);
  },

  async rclone(config, env) {
    const { rclone } = await import("./rclone.ts");
    const remote = text(config, "remote");
    // Without a colon it would be a directory of this machine, which is another kind of storage.
    if (!remote.includes(":") || remote.startsWith("-")) throw badField("remote", "is not like name:path");
    const settings = settingsOf(config);
    const options = env.bucket ? { bytesPerSecond: env.bucket.bytesPerSecond } : {};
    return paced(rclone({ remote, settings, configFile: optionalText(config, "configFile") }, options), env);
  },

  async azure_blob(config, env) {
    const { azure } = await import("./azure.ts");
    return azure(readAzureConfig(config), await connectionOf(env));
  },

  async gcs(config, env) {
    const { gcs } = await import("./gcs.ts");
    const endpoint = optionalText(config, "endpoint") && httpAddress(config, "endpoint");
    const serviceAccountKey = text(config, "serviceAccountKey");
    const prefix = optionalText(config, "prefix");
    return gcs({ bucket: bucketName(config), serviceAccountKey, prefix, endpoint }, await connectionOf(env));
  },
};

/** The types of storage that this agent has a driver for. */
export const storageTypes: readonly string[] = Object.keys(kinds);

/** Those whose server compares a hash of each part or object before it takes it; see docs/operating.md. */
const hashing = new Set(["vault", "s3", "azure_blob", "gcs"]);
export const hashesWhatItTakes = (type: string): boolean => hashing.has(type);

/** Opens a storage by its type and settings as the master sends them, with retries around it. */
export async function openStorage(type: string, config: Config, env: StorageEnv = {}): Promise<Storage> {
  const open = Object.hasOwn(kinds, type) ? kinds[type] : undefined;
  if (!open) {
    const known = Object.keys(kinds).join(", ");
    throw new StorageError(
      "invalid",
      `this agent knows no storage of type ${JSON.stringify(type)}, only ${known}`,
    );
  }
  const { retrying } = await import("./retrying.ts");
  return retrying(await open(config, env));
}

async function connectionOf({ dispatcher, bucket }: StorageEnv) {
  return { ...(dispatcher && { dispatcher: await dispatcher() }), ...(bucket && { bucket }) };
}

async function paced(storage: Storage, { bucket }: StorageEnv): Promise<Storage> {
  if (!bucket) return storage;
  const { limited } = await import("./limited.ts");
  return limited(storage, bucket);
}

function readS3Config(config: Config) {
  const sessionToken = optionalText(config, "sessionToken");
  return {
    endpoint: httpAddress(config, "endpoint"),
    region: optionalText(config, "region") || "auto",
    bucket: bucketName(config),
    accessKeyId: text(config, "accessKeyId"),
    secretAccessKey: text(config, "secretAccessKey"),
    prefix: optionalText(config, "prefix"),
    pathStyle: optionalFlag(config, "pathStyle", true),
    ...(sessionToken ? { sessionToken } : {}),
  };
}

function readAzureConfig(config: Config) {
  const accountKey = optionalText(config, "accountKey");
  const sasToken = optionalText(config, "sasToken");
  if (!accountKey && !sasToken) throw badField("accountKey", "is missing, and so is sasToken");
  const account = text(config, "account");
  // It becomes a host label and, as the container does, a segment of a path.
  if (!/^[a-z0-9]{3,24}$/.test(account)) throw badField("account", "is not a storage account's name");
  const container = text(config, "container");
  if (!/^[a-z0-9$][a-z0-9-]{2,62}$/.test(container)) throw badField("container", "is not a container's name");
  const endpoint = optionalText(config, "endpoint") && httpAddress(config, "endpoint");
  return { account, container, endpoint, prefix: optionalText(config, "prefix"), accountKey, sasToken };
}

function httpAddress(config: Config, field: string): string {
  const value = text(config, field);
  const url = URL.parse(value);
  if (!url || !["http:", "https:"].includes(url.protocol))
    throw badField(field, "is not an http or https address");
  if (url.username || url.password) throw badField(field, "must hold no user name or password");
  return value;
}

function bucketName(config: Config): string {
  const value = text(config, "bucket");
  // It becomes a path segment or a host label, so nothing that could mean more there.
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(value)) throw badField("bucket", "is not a bucket's name");
  return value;
}

function text(config: Config, field: string): string {
  const value = config[field];
  if (value === undefined || value === null || value === "") throw badField(field, "is missing");
  if (typeof value !== "string") throw badField(field, "must be text");
  return value;
}

function optionalText(config: Config, field: string): string {
  const value = config[field] ?? "";
  if (typeof value !== "string") throw badField(field, "must be text");
  return value;
}

function settingsOf(config: Config): Record<string, string> {
  const value = config["settings"] ?? {};
  if (typeof value !== "object" || Array.isArray(value))
    throw badField("settings", "must be names with their values");
  const pairs = Object.entries(value);
  if (pairs.some(([name, setting]) => !/^[a-z0-9_-]{1,64}$/.test(name) || typeof setting !== "string"))
    throw badField("settings", "must be names of letters, digits and _, with texts");
  return Object.fromEntries(pairs);
}

function optionalPort(config: Config, fallback: number): number {
  const value = config["port"] ?? fallback;
  if (typeof value === "number" && Number.isInteger(value) && value > 0 && value < 65_536) return value;
  throw badField("port", "must be a number from 1 to 65535");
}

function optionalFlag(config: Config, field: string, fallback: boolean): boolean {
  const value = config[field] ?? fallback;
  if (typeof value !== "boolean") throw badField(field, "must be true or false");
  return value;
}

/** Names the field and never its value, which may be a secret. */
const badField = (field: string, fault: string) =>
  new StorageError("invalid", `storage config: ${field} ${fault}`);
