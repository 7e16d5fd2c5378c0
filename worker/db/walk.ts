import type { Deps } from "../deps.ts";
import { cutPage } from "./cut-page.ts";

export type Condition = { sql: string; value?: unknown };
export type Page = { before?: number | undefined; limit: number };

/** A table that is gone through downwards by id, and which of its rows are wanted. */
type Walk = {
  table: string;
  /** A table of pairs, called `v`, whose column `key` has ids of `table`: it is gone through instead. */
  through?: { table: string; key: string };
  /** What is shown of each row, called `s`, and what has to be joined to it for that. */
  columns: string;
  joins: string;
  /** What an index knows of the table that is gone through, such as `s.record_id = ?` or `v.tag = ?`. */
  along: Condition[];
  /** What no index knows, said of the columns in `seen`, which are called `w`, or of what is joined. */
  fits: Condition[];
  seen: string;
};

/** Rows that one page looks at for what no index knows; a page may come back short and still have a next one. */
const SCAN_LIMIT = 1000;

/** A page of the rows that are wanted, newest first. */
export async function pageOf<Row extends { id: number }>(
  deps: Deps,
  walk: Walk,
  page: Page,
): Promise<{ items: Row[]; next: number | null }> {
  const way = wayOf(walk, page);
  const isScan = walk.fits.length > 0;
  const { sql, values } = isScan ? scanOf(walk, way) : straight(walk, way);
  const { results } = await deps.db
    .prepare(`select ${walk.columns} ${sql} limit ?`)
    .bind(...values, page.limit + 1)
    .all<Row>();
  const { items, next } = cutPage(results, page.limit);
  return { items, next: next ?? (isScan ? await endOfScan(deps, way) : null) };
}

/** What is gone through and in which order, without how far; `id` is that of the row to show. */
type Way = { id: string; from: string; where: string; values: unknown[] };
type Query = { sql: string; values: unknown[] };

function wayOf({ table, through, along }: Walk, { before }: Page): Way {
  const id = through ? `v.${through.key}` : "s.id";
  const conditions = [{ sql: `${id} < ?`, value: before ?? Number.MAX_SAFE_INTEGER }, ...along];
  return {
    id,
    from: through ? `from ${through.table} v` : `from ${table} s`,
    where: `where ${allOf(conditions)} order by ${id} desc`,
    values: valuesOf(conditions),
  };
}

/** Joined in this order for the planner too: it would otherwise sort, or read all of the table. */
function straight({ table, through, joins }: Walk, { id, from, where, values }: Way): Query {
  const shown = through ? `cross join ${table} s on s.id = ${id}` : "";
  return { sql: `${from} ${shown} ${joins} ${where}`, values };
}

/** Rows come in the order of the walk inside, whose last is the last that is read; sorting them would need all. */
const scanOf = ({ table, seen, joins, fits }: Walk, { id, from, where, values }: Way): Query => ({
  sql: `from (select ${id} as id${seen && `, ${seen}`} ${from} ${where} limit ${SCAN_LIMIT}) w
    cross join ${table} s on s.id = w.id ${joins} where ${allOf(fits)}`,
  values: [...values, ...valuesOf(fits)],
});

/** The id at which a scan stops; null when there is nothing behind it. */
async function endOfScan({ db }: Deps, { id, from, where, values }: Way): Promise<number | null> {
  const { results } = await db
    .prepare(`select ${id} as id ${from} ${where} limit 2 offset ${SCAN_LIMIT - 1}`)
    .bind(...values)
    .all<{ id: number }>();
  return cutPage(results, 1).next;
}

const allOf = (conditions: Condition[]) => conditions.map(({ sql }) => sql).join(" and ");
const valuesOf = (conditions: Condition[]) =>
  conditions.filter((one) => "value" in one).map(({ value }) => value);
