import { chmodSync, lstatSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";

/** Removes a tree whatever the modes of its directories are: a restored one may have some that cannot be written to. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EACCES" && code !== "EPERM") throw error;
    openUp(Buffer.from(path));
    await rm(path, { recursive: true, force: true });
  }
}

function openUp(folder: Buffer): void {
  if (!lstatSync(folder, { throwIfNoEntry: false })?.isDirectory()) return;
  chmodSync(folder, 0o700);
  for (const entry of readdirSync(folder, { encoding: "buffer", withFileTypes: true })) {
    if (entry.isDirectory())
      openUp(Buffer.concat([folder, Buffer.from("/"), entry.name as unknown as Buffer]));
  }
}
