import { endedIn, type News, type Subject, subjectOf } from "./news.ts";

type Inner = { subject: Subject | null; statement: D1PreparedStatement };
type Changed = { results: unknown[]; meta: { changes: number } };

/**
 * The same database; whatever a statement has changed in it is told to `hear`, after it was committed. So no verb can
 * forget to say what it changed, and none needs to.
 */
export function watchDatabase(db: D1Database, hear: (news: News) => void): D1Database {
  const inner = new WeakMap<D1PreparedStatement, Inner>();

  function tell(done: [Subject | null, Changed][]): void {
    const told = done.filter(([subject, { meta }]) => subject !== null && meta.changes > 0);
    if (told.length === 0) return;
    hear({
      changed: new Set(told.flatMap(([subject]) => subject?.noun ?? [])),
      ended: told.flatMap(([, { results }]) => endedIn(results)),
      recheck: told.some(([subject]) => subject?.recheck),
    });
  }

  function watch(subject: Subject | null, statement: D1PreparedStatement): D1PreparedStatement {
    if (subject === null) return statement;
    const told = <R extends Changed>(result: R): R => {
      tell([[subject, result]]);
      return result;
    };
    const all = async () => told(await statement.all<Record<string, unknown>>());
    const watched = {
      bind: (...values: unknown[]) => watch(subject, statement.bind(...values)),
      run: async () => told(await statement.run()),
      all,
      // Neither of these says what changed, so both are made of one that does.
      first: async (column?: string) => {
        const row = (await all()).results[0] ?? null;
        return row !== null && column !== undefined ? row[column] : row;
      },
      raw: async () => (await all()).results.map(Object.values),
    } as unknown as D1PreparedStatement;
    inner.set(watched, { subject, statement });
    return watched;
  }

  return {
    prepare: (sql: string) => watch(subjectOf(sql), db.prepare(sql)),
    batch: async (statements: D1PreparedStatement[]) => {
      const known = statements.map((statement) => inner.get(statement) ?? { subject: null, statement });
      const results = await db.batch(known.map(({ statement }) => statement));
      tell(results.map((result, index) => [known[index]?.subject ?? null, result]));
      return results;
    },
  } as unknown as D1Database;
}
