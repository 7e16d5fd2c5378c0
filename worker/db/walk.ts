import type { Deps } from "../deps.ts";

export type Condition = { sql: string; value?: unknown };
export type Page = { before?: number | undefined; limit: number };

/** A table that is gone through downwards by id, and which of its rows are wanted. */
type Walk = {
  table: string;
  /** What is shown of each row, called `s`, and what has to be joined to it for that. */
  columns: string;
  joins: string;
  /** What an index knows, such as `s.record_id = ?`. */
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
  const { results: items } = await deps.db
    .prepare(`select ${walk.columns} ${sql} limit ?`)
    .bind(...values, page.limit)
    .all<Row>();
  if (items.length === page.limit) return { items, next: items.at(-1)?.id ?? null };
  return { items, next: isScan ? await endOfScan(deps, walk, way) : null };
}

/** What follows `from`, without how far. */
type Way = { where: string; values: unknown[] };
type Query = { sql: string; values: unknown[] };

function wayOf({ along }: Walk, { before }: Page): Way {
  const conditions = [{ sql: "s.id < ?", value: before ?? Number.MAX_SAFE_INTEGER }, ...along];
  return { where: `where ${allOf(conditions)} order by s.id desc`, values: valuesOf(conditions) };
}

const straight = ({ table, joins }: Walk, { where, values }: Way): Query => ({
  sql: `from ${table} s ${joins} ${where}`,
  values,
});

/** Rows come in the order of the walk inside, whose last is the last that is read; sorting them would need all. */
const scanOf = ({ table, seen, joins, fits }: Walk, { where, values }: Way): Query => ({
  sql: `from (select s.id, ${seen} from ${table} s ${where} limit ${SCAN_LIMIT}) w
    cross join ${table} s on s.id = w.id ${joins} where ${allOf(fits)}`,
  values: [...values, ...valuesOf(fits)],
});

/** The id at which a scan stops; null when it reaches the end. */
async function endOfScan({ db }: Deps, { table }: Walk, { where, values }: Way): Promise<number | null> {
  const row = await db
    .prepare(`select s.id from ${table} s ${where} limit 1 offset ${SCAN_LIMIT - 1}`)
    .bind(...values)
    .first<{ id: number }>();
  return row?.id ?? null;
}

const allOf = (conditions: Condition[]) => conditions.map(({ sql }) => sql).join(" and ");
const valuesOf = (conditions: Condition[]) =>
  conditions.filter((one) => "value" in one).map(({ value }) => value);
