import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { errorCode } from "./pipeline/error-code.ts";

/**
 * Makes a directory and what is missing above it. Node's own recursive way never ends on a file system such as /proc,
 * which says of a new name that it does not exist even when its parent does.
 */
export function makeFolders(path: string, mode = 0o777): void {
  if (makeOne(path, mode)) return;
  const parent = dirname(path);
  if (parent !== path) makeFolders(parent, mode);
  if (!makeOne(path, mode)) {
    throw Object.assign(new Error(`no directory can be made there: ${path}`), { code: "ENOENT" });
  }
}

/** False when the directory above it is missing, or is said to be. */
function makeOne(path: string, mode: number): boolean {
  try {
    mkdirSync(path, { mode });
    return true;
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT") return false;
    const isThere = ["EEXIST", "EROFS", "EACCES", "EPERM", "EISDIR"].includes(code);
    if (isThere && statSync(path, { throwIfNoEntry: false })?.isDirectory()) return true;
    throw error;
  }
}
