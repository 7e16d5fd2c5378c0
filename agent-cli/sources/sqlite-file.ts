import { DatabaseSync } from "node:sqlite";

const firstBytes = "SQLite format 3\0";
/** How much of a file tells whether it is a SQLite database. */
export const sqliteMagicBytes = firstBytes.length;

/** Whether a file that begins so is a SQLite database. */
export const looksLikeSqlite = (start: Buffer): boolean =>
  start.length >= firstBytes.length && start.toString("latin1", 0, firstBytes.length) === firstBytes;

/** Throws with SQLite's own words when the database at `path` is not sound. `what` names it in the error. */
export function checkIntegrity(path: string, what: string): void {
  const found = integrityOf(path);
  if (found !== "ok") throw new Error(`${what} failed SQLite's integrity check: ${found}`);
}

function integrityOf(path: string): string {
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(path);
    const row = database.prepare("PRAGMA integrity_check(5)").get();
    return String(row?.integrity_check ?? "no answer");
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    database?.close();
  }
}
