import { createHash, randomBytes } from "node:crypto";
import { lstatSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ExitError } from "./exit-codes.ts";
import { makeFolders } from "./make-folders.ts";
import { removeTree } from "./remove-tree.ts";
import { endLeftServers } from "./sources/left-servers.ts";

/** Makes the state directory, or says why it cannot be used. */
export function prepareStateDir(stateDir: string): void {
  try {
    makeFolders(stateDir, 0o700);
    const probe = join(stateDir, `.probe-${randomBytes(6).toString("hex")}`);
    writeFileSync(probe, "", { mode: 0o600 });
    rmSync(probe);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ExitError("usage", `stateDir: cannot write to ${stateDir}: ${code}; set --state-dir`);
  }
}

/** Where jobs get their own directories: a private folder below the temp directory or the state directory. */
export function workRoot(stateDir: string, tempDir: string | null): string {
  if (tempDir === null) return join(stateDir, "work");
  // Two agents may share a temp directory; each cleans up only after itself.
  return join(tempDir, `backupx-agent-${createHash("sha256").update(stateDir).digest("hex").slice(0, 12)}`);
}

/** Removes what earlier runs left behind and makes the folder anew, refusing one that somebody else has put there. */
export async function prepareWorkRoot(root: string): Promise<void> {
  try {
    makeFolders(root, 0o700);
    const found = lstatSync(root);
    const foreign = process.getuid !== undefined && found.uid !== process.getuid();
    if (!found.isDirectory() || foreign) {
      throw new ExitError("usage", `tempDir: ${root} belongs to somebody else`);
    }
    await endLeftServers(realpathSync(root));
    await removeTree(root);
    mkdirSync(root, { mode: 0o700 });
  } catch (error) {
    if (error instanceof ExitError) throw error;
    throw new ExitError("usage", `tempDir: cannot use ${root}: ${(error as NodeJS.ErrnoException).code}`);
  }
}

export function makeWorkDir(root: string): string {
  const folder = join(root, `job-${randomBytes(12).toString("hex")}`);
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}

/** What `status` shows; a hint for people that nothing relies on, so it is not fsynced. */
export type StatusNote = {
  pid: number;
  since: number;
  master: string;
  node: string | null;
  connection: "connecting" | "socket" | "polling";
  connectionSince: number;
  lastContact: number | null;
  problem: string | null;
};

const noteFile = (stateDir: string) => join(stateDir, "status.json");

export function writeStatusNote(stateDir: string, note: StatusNote): void {
  const draft = `${noteFile(stateDir)}.tmp`;
  try {
    writeFileSync(draft, JSON.stringify(note), { mode: 0o600 });
    renameSync(draft, noteFile(stateDir));
  } catch {
    // A full disk must not stop the agent from reporting that the disk is full.
  }
}

export function readStatusNote(stateDir: string): StatusNote | null {
  try {
    return JSON.parse(readFileSync(noteFile(stateDir), "utf8")) as StatusNote;
  } catch {
    return null;
  }
}
