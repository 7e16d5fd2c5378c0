import { closeSync, openSync, readSync } from "node:fs";
import { openFlags } from "../open-flags.ts";

/** Of a larger file the kernel itself reads ahead once its beginning has been asked for. */
const mostOfOneFile = 1024 * 1024;
let scratch: Buffer | null = null;

/**
 * Has the kernel fetch what these files begin with; what cannot be read is told by whoever packs it. Each byte of a path is a
 * character.
 */
export function touchFiles(paths: readonly string[]): void {
  scratch ??= Buffer.allocUnsafeSlow(mostOfOneFile);
  for (const path of paths) {
    try {
      const fd = openSync(Buffer.from(path, "latin1"), openFlags);
      try {
        readSync(fd, scratch, 0, mostOfOneFile, 0);
      } finally {
        closeSync(fd);
      }
    } catch {
      // Nobody has asked for it yet.
    }
  }
}
