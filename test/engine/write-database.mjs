/** Writes to a SQLite database without a pause; each transaction adds a pair of rows whose sum is zero. */
import { DatabaseSync } from "node:sqlite";

const [, , path, mode] = process.argv;
const database = new DatabaseSync(path, { timeout: 10_000 });
database.exec(`PRAGMA journal_mode = ${mode}; PRAGMA synchronous = OFF`);
database.exec("CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, amount INTEGER, filler TEXT)");
const insert = database.prepare("INSERT INTO entry (amount, filler) VALUES (?, ?)");
process.send?.("ready");
for (let i = 1; ; i += 1) {
  database.exec("BEGIN IMMEDIATE");
  insert.run(i, "x".repeat(2000));
  insert.run(-i, "y".repeat(2000));
  database.exec("COMMIT");
}
