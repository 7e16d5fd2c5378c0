import { randomBytes } from "node:crypto";
import { readlinkSync } from "node:fs";
import { basename } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { namesIn } from "../names-in.ts";

/** Where every process of a temporary server holds the server's folder open, and calls it by. */
export const folderDescriptor = 3;
const betweenLooksMs = 50;
/** A server that is told to end at once frees what it shares with others; one that is killed leaves that to nobody. */
const killAfterMs = 5_000;
const giveUpAfterMs = 10_000;

export const serverFolderName = (): string => `server-${randomBytes(6).toString("hex")}`;

/**
 * Ends the temporary servers below a directory, and what made their files: when an agent is killed together with its job,
 * they are not told, and would run on. Found by the folder that they hold open; where there is no /proc, none is found.
 */
export async function endLeftServers(workRoot: string): Promise<void> {
  const startedAt = performance.now();
  let waitedMs = 0;
  for (let left = serversBelow(workRoot); left.length > 0; left = serversBelow(workRoot)) {
    if (waitedMs > giveUpAfterMs) return;
    for (const pid of left) signal(pid, waitedMs > killAfterMs ? "SIGKILL" : "SIGQUIT");
    await delay(betweenLooksMs);
    waitedMs = performance.now() - startedAt;
  }
}

const serversBelow = (workRoot: string): number[] =>
  namesIn("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => isServerBelow(workRoot, folderOf(pid)));

function isServerBelow(workRoot: string, folder: string): boolean {
  return folder.startsWith(`${workRoot}/`) && /^server-[0-9a-f]{12}( \(deleted\))?$/.test(basename(folder));
}

function folderOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/${folderDescriptor}`);
  } catch {
    // It has ended, has no such descriptor, or is somebody else's.
    return "";
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}
