import { statfsSync } from "node:fs";
import { type MissingProgram, maxMissingPrograms } from "../protocol/objects.ts";
import type { Config } from "./config.ts";
import { missingPrograms } from "./missing-programs.ts";
import { resticVersion } from "./restic/version.ts";
import { availableSources } from "./sources/available.ts";
import { findProgram } from "./sources/find-program.ts";
import { storageTypes } from "./storage/open-storage.ts";

export type Capabilities = {
  sources: string[];
  storages: string[];
  engines: Record<string, string>;
  /** Names that this agent's own configuration gives a meaning to. */
  commands: string[];
  hooks: string[];
  missingPrograms: MissingProgram[];
};

/** What this machine can really do, with the programs that are there now. */
export async function capabilities(config: Pick<Config, "commands" | "hooks">): Promise<Capabilities> {
  const { sources, tools } = await availableSources();
  const commands = Object.keys(config.commands);
  // The version of the age format, https://age-encryption.org/v1.
  const engines: Record<string, string> = { node: process.versions.node, age: "1", ...tools };
  if (process.versions.zstd) engines.zstd = process.versions.zstd;
  const restic = await resticVersion();
  if (restic) engines.restic = restic;
  return {
    // Without a single command that is allowed there is none to back up.
    sources: sources.filter((type) => type !== "command" || commands.length > 0),
    // What a driver needs a program for is there only with that program.
    storages: storageTypes.filter((type) => type !== "rclone" || findProgram(["rclone"]) !== null),
    engines,
    commands,
    hooks: Object.keys(config.hooks),
    missingPrograms: missingPrograms(config).slice(0, maxMissingPrograms),
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
