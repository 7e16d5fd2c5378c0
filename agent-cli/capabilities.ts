import { existsSync, statfsSync } from "node:fs";
import { isBuiltin } from "node:module";
import { delimiter, join } from "node:path";
import { storageTypes } from "./storage/open-storage.ts";

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
    // What a driver needs a program for is there only with that program.
    storages: storageTypes.filter((type) => type !== "rclone" || hasProgram("rclone")),
    engines,
  };
}

function hasProgram(name: string): boolean {
  const file = process.platform === "win32" ? `${name}.exe` : name;
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  return folders.some((folder) => folder !== "" && existsSync(join(folder, file)));
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
