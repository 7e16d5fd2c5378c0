import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** The version of this machine's restic; null where there is none, or none that answers. */
export async function resticVersion(): Promise<string | null> {
  try {
    const { stdout } = await promisify(execFile)("restic", ["version"], { timeout: 10_000 });
    return /^restic (\S+)/.exec(stdout)?.[1] ?? null;
  } catch {
    return null;
  }
}
