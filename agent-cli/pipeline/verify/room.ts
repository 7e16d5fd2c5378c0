import { statfs } from "node:fs/promises";
import { CannotCheck } from "./finding.ts";

/** Room that a verification leaves to everybody else. */
const reserveBytes = 256 * 1024 * 1024;

/** Throws `CannotCheck` unless so many bytes can be written to the work directory and some room is left after that. */
export async function requireRoom(workDir: string, bytes: number, what: string): Promise<void> {
  const { bavail, bsize } = await statfs(workDir);
  const free = bavail * bsize;
  if (free >= bytes + reserveBytes) return;
  throw new CannotCheck(
    `${what} takes ${inMiB(bytes)} and ${inMiB(reserveBytes)} to spare, and the work directory has room for ${inMiB(free)}`,
  );
}

const inMiB = (bytes: number): string => `${Math.ceil(bytes / (1024 * 1024))} MiB`;
