import { versionOf } from "../sources/find-program.ts";

/** The version of this machine's restic; null where there is none, or none that answers. */
export async function resticVersion(): Promise<string | null> {
  const told = await versionOf("restic", "version");
  return /^restic (\S+)/.exec(told ?? "")?.[1] ?? null;
}
