import { randomBytes } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errorCode } from "../pipeline/error-code.ts";

/** A file that only this user can read, such as one that tells a program a password. Whoever made it removes it. */
export async function writePrivateFile(workDir: string, name: string, content: string): Promise<string> {
  const path = join(workDir, `${name}-${randomBytes(9).toString("hex")}`);
  try {
    await writeFile(path, content, { mode: 0o600, flag: "wx" });
    return path;
  } catch (error) {
    await rm(path, { force: true });
    throw isFull(error) ? new Error("no space left in the work directory", { cause: error }) : error;
  }
}

export const isFull = (error: unknown): boolean => ["ENOSPC", "EDQUOT"].includes(errorCode(error));
