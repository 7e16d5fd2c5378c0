import { resolve } from "node:path";
import { ExitError } from "../exit-codes.ts";
import { openStorage } from "../storage/open-storage.ts";
import { type Storage, StorageError } from "../storage/storage.ts";

/** Where the places of a command line are: in the storage of a settings file, or, without one, what they say themselves. */
export type Where = {
  storage?: string;
  /** Of authorities to trust beside the usual ones. */
  caCert?: string;
};

/** The artifact that a command is about, which may be named with `--from` too. */
export function artifactOf(named: string | undefined, { from }: { from?: string }): string {
  const artifact = named ?? from;
  if (artifact !== undefined && (named === undefined || from === undefined)) return artifact;
  throw new ExitError("usage", `name one artifact: a file, s3://bucket/key, or with --storage its key there`);
}

/** One artifact in its storage. */
export type Place = {
  shown: string;
  key: string;
  storage: Storage;
  /** On this machine. */
  nearby: boolean;
};

type ReadPlace = Pick<Place, "shown" | "key"> & {
  targetType: string;
  targetConfig: Record<string, unknown>;
};

/**
 * Opens the storage of an artifact: that of `--storage`, or the folder of a path, or the bucket of an `s3://` address.
 * Throws an ExitError for settings that cannot be right; nothing is asked of the storage yet.
 */
export async function openPlace(place: string, where: Where): Promise<Place> {
  return await openRead(await readPlace(place, null, where), where);
}

/** The same for a place that was read before. */
export async function openRead(read: ReadPlace, where: Where): Promise<Place> {
  return { shown: read.shown, key: read.key, ...(await openIts(read, where)) };
}

/** What lies beside it: another place of the command line, of which `--storage` need not be read and opened again. */
export async function openBeside(place: Place, other: string, where: Where): Promise<Place> {
  if (where.storage === undefined) return await openPlace(other, where);
  const key = keyBelow(other, null);
  return { ...place, shown: key, key };
}

/** The whole of the storage that `--storage` names, as `openPlace` opens it. */
export async function openWhole(where: Where & { storage: string }): Promise<Storage> {
  const { readStorageFile } = await import("./storage-file.ts");
  return (await openIts(readStorageFile(resolve(where.storage)), where)).storage;
}

/** Throws an ExitError where there is no such object: a key is easily misspelt. */
export async function requireThere(
  { storage, key, shown }: Place,
  where: Where,
  signal: AbortSignal,
): Promise<void> {
  if (await storage.stat(key, { signal })) return;
  const hint =
    where.storage === undefined ? "" : `; \`backupx-agent list --storage ${where.storage}\` shows what is`;
  throw new ExitError("failed", `there is no ${shown}${hint}`);
}

async function openIts(
  { targetType, targetConfig }: Omit<ReadPlace, "shown" | "key">,
  where: Where,
): Promise<Pick<Place, "storage" | "nearby">> {
  const network = {
    proxyUrl: null,
    insecureTls: false,
    caCertFile: where.caCert ? resolve(where.caCert) : null,
  };
  // A file of this machine needs no network, which takes a while to load.
  if (network.caCertFile !== null) (await import("../network.ts")).trustOwnCa(network);
  try {
    const storage = await openStorage(targetType, targetConfig, {
      dispatcher: async () => (await import("../network.ts")).makeStorageDispatcher(network),
    });
    return { storage, nearby: targetType === "local_disk" };
  } catch (error) {
    if (!(error instanceof StorageError) || where.storage === undefined) throw error;
    throw new ExitError(
      "usage",
      `storage: ${where.storage}: ${error.message.replace(/^storage config: /, "")}`,
    );
  }
}

/** What a place is for the storages; whoever opens it may be another process. With a file's name, it is what that lies in. */
export async function readPlace(place: string, fileName: string | null, where: Where): Promise<ReadPlace> {
  if (where.storage !== undefined) {
    const { readStorageFile } = await import("./storage-file.ts");
    const key = keyBelow(place, fileName);
    return { shown: key, key, ...readStorageFile(resolve(where.storage)) };
  }
  return place.startsWith("s3://") ? readBucket(place, fileName) : readFolder(place, fileName);
}

const keyBelow = (place: string, fileName: string | null): string =>
  [...place.split("/").filter(Boolean), ...(fileName === null ? [] : [fileName])].join("/");

/** Where a master has put an artifact: the full backup below a differential one is in the same tree. */
const inTree = /^(.*)\/(BackupX\/[^/]+\/\d{6}\/records\/\d+\/[^/]+)$/s;

function readFolder(place: string, fileName: string | null): ReadPlace {
  const full = resolve(place);
  if (fileName !== null) return inFolder(full, fileName);
  const [, root, key] = inTree.exec(full) ?? [];
  if (root !== undefined && key !== undefined) return inFolder(root || "/", key);
  return inFolder(resolve(full, ".."), full.slice(full.lastIndexOf("/") + 1));
}

const inFolder = (folder: string, key: string): ReadPlace => ({
  shown: resolve(folder, key),
  key,
  targetType: "local_disk",
  targetConfig: { path: folder },
});

function readBucket(place: string, fileName: string | null): ReadPlace {
  const [bucket, ...rest] = place.slice("s3://".length).split("/").filter(Boolean);
  const key = keyBelow(rest.join("/"), fileName);
  if (bucket === undefined || key === "") throw new ExitError("usage", `${place} is not s3://bucket/key`);
  const targetConfig = { bucket, ...s3Environment() };
  return { shown: `s3://${bucket}/${key}`, key, targetType: "s3", targetConfig };
}

/** The same variables that other S3 tools read. */
function s3Environment() {
  const { env } = process;
  const region = env.AWS_REGION ?? env.AWS_DEFAULT_REGION ?? "us-east-1";
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env;
  if (!accessKeyId || !secretAccessKey) {
    throw new ExitError(
      "usage",
      "s3:// needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment",
    );
  }
  return {
    endpoint: env.AWS_ENDPOINT_URL_S3 ?? env.AWS_ENDPOINT_URL ?? `https://s3.${region}.amazonaws.com`,
    region,
    accessKeyId,
    secretAccessKey,
    ...(env.AWS_SESSION_TOKEN ? { sessionToken: env.AWS_SESSION_TOKEN } : {}),
  };
}
