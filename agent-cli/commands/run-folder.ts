import { createHash } from "node:crypto";
import { lstatSync, readlinkSync, realpathSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { namesIn } from "../names-in.ts";
import { errorCode } from "../pipeline/error-code.ts";
import { hasProcess, processIdentity } from "../process-identity.ts";
import { removeTree } from "../remove-tree.ts";
import { endLeftServers } from "../sources/left-servers.ts";

/**
 * The private directory of one run of the command line. Its name says whose it is (where, pid, which process of that pid), so
 * that there is no moment at which it is there and nobody's.
 */
export const makeRunFolder = (): Promise<string> =>
  mkdtemp(join(tmpdir(), `backupx-run-${whereabouts()}-${process.pid}-${markOf(process.pid)}-`));

const pattern = /^backupx-run-(?<where>[0-9a-f]{12})-(?<pid>\d+)-(?<mark>[0-9a-f]{12}|0)-[A-Za-z0-9]{6}$/;
/** In place of a mark where there is no /proc: then only the pid counts. */
const noMark = "0";

/**
 * Removes what runs of this user have left that were killed, with the servers that they had started. One that may still
 * be alive keeps its directory, also when its pid means nothing here.
 */
export async function removeLeftRunFolders(warn: (text: string) => void): Promise<void> {
  const here = whereabouts();
  for (const name of namesIn(tmpdir()).filter((name) => isOfEndedRun(name, here))) {
    const folder = join(tmpdir(), name);
    try {
      if (!isOwnFolder(folder)) continue;
      await endLeftServers(realpathSync(folder));
      await removeTree(folder);
    } catch (error) {
      const code = errorCode(error);
      // Another run may have been first.
      if (code !== "ENOENT")
        warn(`${folder}, which a killed run has left, cannot be removed (${code}): remove it by hand`);
    }
  }
}

function isOfEndedRun(name: string, here: string): boolean {
  const { where, pid, mark } = pattern.exec(name)?.groups ?? {};
  if (where !== here) return false;
  return mark === noMark ? !hasProcess(Number(pid)) : markOf(Number(pid)) !== mark;
}

/** Neither a link nor somebody else's, nor open to others, as none is that a run has made. */
function isOwnFolder(path: string): boolean {
  const found = lstatSync(path);
  if (process.getuid === undefined) return found.isDirectory();
  return found.isDirectory() && found.uid === process.getuid() && (found.mode & 0o077) === 0;
}

function markOf(pid: number): string {
  const identity = processIdentity(pid);
  return identity === null ? noMark : shortHash(identity);
}

/** Containers and machines may share a temp directory, and each gives out pids of its own. */
const whereabouts = (): string => shortHash(`${hostname()}\n${pidNamespace()}`);

function pidNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return "";
  }
}

const shortHash = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 12);
