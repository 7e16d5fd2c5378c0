import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { makeFolders } from "../make-folders.ts";
import { namesIn } from "../names-in.ts";

const prefix = ".backupx-restore-";
const notesIn = (stateDir: string): string => join(stateDir, "restic", "restores");

/** A directory that restic restores into, beside where its content belongs. */
export type Scratch = { path: string; remove(): Promise<void> };

/** Makes one, noted in the state directory so that it is removed even if this process cannot do that any more. */
export function makeScratch(folder: string, stateDir: string): Scratch {
  const name = `${prefix}${randomBytes(9).toString("hex")}`;
  const path = join(folder, name);
  const note = join(notesIn(stateDir), name);
  makeFolders(notesIn(stateDir), 0o700);
  writeFileSync(note, path, { mode: 0o600 });
  mkdirSync(path, { mode: 0o700 });
  return {
    path,
    async remove() {
      await removeTree(path);
      rmSync(note, { force: true });
    },
  };
}

/** Removes what restores that were killed have left. To be called while none is under way. */
export async function removeLeftScratch(stateDir: string): Promise<void> {
  for (const name of namesIn(notesIn(stateDir))) {
    const note = join(notesIn(stateDir), name);
    const path = readFileSync(note, "utf8");
    // Only what this file can have made: whatever else the note says, nothing of somebody else's is removed.
    if (name.startsWith(prefix) && basename(path) === name) await removeTree(path);
    rmSync(note, { force: true });
  }
}

async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch {
    // Directories that were restored read-only let even their owner remove nothing.
    spawnSync("chmod", ["-R", "u+rwX", "--", path], { stdio: "ignore" });
    await rm(path, { recursive: true, force: true });
  }
}
