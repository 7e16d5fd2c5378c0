import { statfsSync } from "node:fs";
import { isBuiltin } from "node:module";

export type Capabilities = { sources: string[]; storages: string[]; engines: Record<string, string> };

/** What this machine can really do. */
export function capabilities(): Capabilities {
  const sqlite = isBuiltin("node:sqlite");
  // The version of the age format, https://age-encryption.org/v1.
  const engines: Record<string, string> = { node: process.versions.node, age: "1" };
  if (process.versions.zstd) engines.zstd = process.versions.zstd;
  if (sqlite && process.versions.sqlite) engines.sqlite = process.versions.sqlite;
  return {
    sources: sqlite ? ["file", "sqlite"] : ["file"],
    storages: ["local_disk", "vault", "s3", "webdav", "sftp", "ftp"],
    engines,
  };
}

/** Bytes that this user may still write below a directory; null where that cannot be told. */
export function freeDiskBytes(folder: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return null;
  }
}
