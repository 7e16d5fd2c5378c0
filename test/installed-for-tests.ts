import { homedir } from "node:os";
import { delimiter, join } from "node:path";

/** Puts what .ci/run installed for tests alone on this process's path, behind everything that is there. */
export function findInstalledForTests(): void {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  const folder = join(cache, "backupx-ci/node_modules/.bin");
  const folders = (process.env.PATH ?? "").split(delimiter);
  if (!folders.includes(folder)) process.env.PATH = [...folders, folder].join(delimiter);
}
