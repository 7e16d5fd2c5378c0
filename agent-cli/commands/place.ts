import { resolve } from "node:path";
import { ExitError } from "../exit-codes.ts";
import { openStorage } from "../storage/open-storage.ts";
import type { Storage } from "../storage/storage.ts";

/** A place as people write it: a path, or `s3://bucket/key`. */
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

/** Opens the folder of a path or the bucket of an s3 address; the last part is the key within it. */
export async function openPlace(place: string, fileName: string | null): Promise<Place> {
  const { targetType, targetConfig, key, shown } = readPlace(place, fileName);
  const storage = await openStorage(targetType, targetConfig, {
    // A file of this machine needs no network, which takes a while to load.
    dispatcher: async () => {
      const { makeStorageDispatcher } = await import("../network.ts");
      return makeStorageDispatcher({ proxyUrl: null, insecureTls: false, caCertFile: null });
    },
  });
  return { shown, key, storage, nearby: targetType === "local_disk" };
}

/** What a place is for the storages; whoever opens it may be another process. */
export const readPlace = (place: string, fileName: string | null): ReadPlace =>
  place.startsWith("s3://") ? readBucket(place, fileName) : readFolder(place, fileName);

function readFolder(place: string, fileName: string | null): ReadPlace {
  const full = resolve(place);
  const folder = fileName === null ? resolve(full, "..") : full;
  const key = fileName ?? full.slice(full.lastIndexOf("/") + 1);
  return { shown: `${folder}/${key}`, key, targetType: "local_disk", targetConfig: { path: folder } };
}

function readBucket(place: string, fileName: string | null): ReadPlace {
  const [bucket, ...rest] = place.slice("s3://".length).split("/").filter(Boolean);
  const key = [...rest, ...(fileName === null ? [] : [fileName])].join("/");
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
