import { drizzle } from "drizzle-orm/d1";
import type { Deps } from "../../worker/deps.ts";

/** What the database says it did, by the counters that production is billed by. */
export type Count = { queries: number; rowsRead: number; rowsWritten: number };

/** The same deps, with every statement counted (each of a batch for itself), raw or through drizzle. */
export function counting(deps: Deps): { deps: Deps; count: Count } {
  const count: Count = { queries: 0, rowsRead: 0, rowsWritten: 0 };
  const db = countedDatabase(deps.db, count);
  return { deps: { ...deps, db, orm: drizzle(db) }, count };
}

function countedDatabase(db: D1Database, count: Count): D1Database {
  const inner = new WeakMap<D1PreparedStatement, D1PreparedStatement>();

  function add<R extends D1Result>(result: R): R {
    count.queries += 1;
    count.rowsRead += result.meta.rows_read;
    count.rowsWritten += result.meta.rows_written;
    return result;
  }

  function counted(statement: D1PreparedStatement): D1PreparedStatement {
    const wrapper = {
      bind: (...values: unknown[]) => counted(statement.bind(...values)),
      run: async () => add(await statement.run()),
      all: async () => add(await statement.all()),
      // Neither of these tells its counters, so both are made of one that does.
      first: async (column?: string) => {
        const row = add(await statement.all<Record<string, unknown>>()).results[0] ?? null;
        return row !== null && column !== undefined ? row[column] : row;
      },
      raw: async () => add(await statement.all<Record<string, unknown>>()).results.map(Object.values),
    } as unknown as D1PreparedStatement;
    inner.set(wrapper, statement);
    return wrapper;
  }

  return {
    prepare: (sql: string) => counted(db.prepare(sql)),
    batch: async (statements: D1PreparedStatement[]) =>
      (await db.batch(statements.map((statement) => inner.get(statement) ?? statement))).map(add),
  } as unknown as D1Database;
}
