import { resolve } from "node:path";
import { ExitError } from "../exit-codes.ts";
import { makeStorageDispatcher } from "../network.ts";
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

/** Opens the folder of a path or the bucket of an s3 address; the last part is the key within it. */
export async function openPlace(place: string, fileName: string | null): Promise<Place> {
  return place.startsWith("s3://") ? openBucket(place, fileName) : openFolder(place, fileName);
}

async function openFolder(place: string, fileName: string | null): Promise<Place> {
  const full = resolve(place);
  const folder = fileName === null ? resolve(full, "..") : full;
  const key = fileName ?? full.slice(full.lastIndexOf("/") + 1);
  const storage = await openStorage("local_disk", { path: folder });
  return { shown: `${folder}/${key}`, key, storage, nearby: true };
}

async function openBucket(place: string, fileName: string | null): Promise<Place> {
  const [bucket, ...rest] = place.slice("s3://".length).split("/").filter(Boolean);
  const key = [...rest, ...(fileName === null ? [] : [fileName])].join("/");
  if (bucket === undefined || key === "") throw new ExitError("usage", `${place} is not s3://bucket/key`);
  const config = { bucket, ...s3Environment() };
  const storage = await openStorage("s3", config, {
    dispatcher: async () => makeStorageDispatcher({ proxyUrl: null, insecureTls: false, caCertFile: null }),
  });
  return { shown: `s3://${bucket}/${key}`, key, storage, nearby: false };
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
