import { closeSync, globSync, openSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const root = path.resolve(import.meta.dirname, "../..");
const lock = path.join(tmpdir(), `backupx-edge-build-${Buffer.from(root).toString("hex").slice(-40)}.lock`);
const LOCK_LIMIT_MS = 60_000;

/** Whether a built file is missing, or older than one of the sources that it is built from. */
export function isOlder(built: string, sources: string): boolean {
  const builtAt = statSync(built, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const files = globSync(sources, { cwd: root, exclude: ["**/node_modules/**", "**/dist/**"] });
  return files.some((file) => statSync(path.join(root, file)).mtimeMs > builtAt);
}

/** Test files run beside each other, and a build replaces what another one copies. */
export async function oneAtATime(work: () => void): Promise<void> {
  const deadline = Date.now() + LOCK_LIMIT_MS;
  while (true) {
    try {
      closeSync(openSync(lock, "wx"));
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      // Left behind by a run that was killed.
      if (Date.now() > deadline) rmSync(lock, { force: true });
      await delay(100);
    }
  }
  try {
    work();
  } finally {
    rmSync(lock, { force: true });
  }
}
