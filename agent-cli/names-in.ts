import { readdirSync } from "node:fs";

/** What is in a directory; nothing when that cannot be read. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
