import { drizzle } from "drizzle-orm/d1";
import type { Deps } from "../../worker/deps.ts";

/** What the database says it did, by the counters that production is billed by. */
export type Count = { queries: number; rowsRead: number; rowsWritten: number };

/** Told of every statement: its text and what the database says of it. */
type Seen = (sql: string, result: D1Result) => void;

/** The same deps, with every statement counted (each of a batch for itself), raw or through drizzle. */
export function counting(deps: Deps, seen: Seen = () => {}): { deps: Deps; count: Count } {
  const count: Count = { queries: 0, rowsRead: 0, rowsWritten: 0 };
  const db = countedDatabase(deps.db, (sql, result) => {
    count.queries += 1;
    count.rowsRead += result.meta.rows_read;
    count.rowsWritten += result.meta.rows_written;
    seen(sql, result);
  });
  return { deps: { ...deps, db, orm: drizzle(db) }, count };
}

export function countedDatabase(db: D1Database, seen: Seen): D1Database {
  const inner = new WeakMap<D1PreparedStatement, { sql: string; statement: D1PreparedStatement }>();

  function counted(sql: string, statement: D1PreparedStatement): D1PreparedStatement {
    const add = <R extends D1Result>(result: R): R => {
      seen(sql, result);
      return result;
    };
    const wrapper = {
      bind: (...values: unknown[]) => counted(sql, statement.bind(...values)),
      run: async () => add(await statement.run()),
      all: async () => add(await statement.all()),
      // Neither of these tells its counters, so both are made of one that does.
      first: async (column?: string) => {
        const row = add(await statement.all<Record<string, unknown>>()).results[0] ?? null;
        return row !== null && column !== undefined ? row[column] : row;
      },
      raw: async () => add(await statement.all<Record<string, unknown>>()).results.map(Object.values),
    } as unknown as D1PreparedStatement;
    inner.set(wrapper, { sql, statement });
    return wrapper;
  }

  return {
    prepare: (sql: string) => counted(sql, db.prepare(sql)),
    batch: async (statements: D1PreparedStatement[]) => {
      const known = statements.map((statement) => inner.get(statement) ?? { sql: "", statement });
      const results = await db.batch(known.map(({ statement }) => statement));
      for (const [index, result] of results.entries()) seen(known[index]?.sql ?? "", result);
      return results;
    },
  } as unknown as D1Database;
}
