import { desc, sql } from "drizzle-orm";
import type { z } from "zod";
import type { adminApi } from "../../protocol/index.ts";
import { backupTasks } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { showTasks } from "./shown.ts";
import { type SurroundedTask, withSurroundings } from "./surroundings.ts";

type Filter = z.output<typeof adminApi.listTasks.query>;
type Condition = { sql: string; value?: unknown };
/** What is gone through downwards along an index: the tasks of a target, with a tag, of a node, or all. */
type Walk = { from: string; key: string; within: Condition[] };

/** Rows that one page looks at for what no index knows; a page may come back short and still have a next one. */
const SCAN_LIMIT = 1000;

/** A page of tasks, newest first. */
export async function listTasks(
  deps: Deps,
  filter: Filter,
): Promise<{ items: SurroundedTask[]; next: number | null }> {
  const walk = walkOf(filter);
  const before = { sql: `${walk.key} < ?`, value: filter.before ?? Number.MAX_SAFE_INTEGER };
  const filters = unindexed(filter, deps.now());
  const floor = filters.length === 0 ? null : await endOfScan(deps, walk, before);
  const above = floor === null ? [] : [{ sql: `${walk.key} >= ?`, value: floor }];
  const ids = await select(deps, walk, [before, ...above, ...filters], `limit ${filter.limit}`);
  const rows = await deps.orm
    .select()
    .from(backupTasks)
    .where(sql`${backupTasks.id} in (select value from json_each(${JSON.stringify(ids)}))`)
    .orderBy(desc(backupTasks.id));
  return {
    items: await withSurroundings(deps, await showTasks(deps, rows)),
    next: ids.length === filter.limit ? (ids.at(-1) ?? null) : floor,
  };
}

/** The joins are in this order for the planner too: it would otherwise sort, or read a whole tag. */
function walkOf({ targetId, tag, nodeId }: Filter): Walk {
  if (targetId !== undefined) {
    const from = "task_targets w cross join backup_tasks t on t.id = w.task_id";
    return { from, key: "w.task_id", within: [{ sql: "w.target_id = ?", value: targetId }] };
  }
  if (tag !== undefined) {
    const from = "task_tags w cross join backup_tasks t on t.id = w.task_id";
    return { from, key: "w.task_id", within: [{ sql: "w.tag = ?", value: tag }] };
  }
  const within = nodeId === undefined ? [] : [{ sql: "t.node_id = ?", value: nodeId }];
  return { from: "backup_tasks t", key: "t.id", within };
}

function unindexed(
  { targetId, tag, nodeId, enabled, last, text, verified, trouble }: Filter,
  now: number,
): Condition[] {
  const conditions: Condition[] = [];
  if (targetId !== undefined && tag !== undefined)
    conditions.push({ sql: "exists (select 1 from task_tags where task_id = t.id and tag = ?)", value: tag });
  if ((targetId ?? tag) !== undefined && nodeId !== undefined)
    conditions.push({ sql: "t.node_id = ?", value: nodeId });
  if (enabled !== undefined) conditions.push({ sql: "t.enabled = ?", value: Number(enabled) });
  if (last === "never") conditions.push({ sql: `(${LAST_STATUS}) is null` });
  else if (last !== undefined) conditions.push({ sql: `(${LAST_STATUS}) = ?`, value: last });
  if (text !== undefined) conditions.push({ sql: "instr(lower(t.name), lower(?)) > 0", value: text });
  if (verified === "never") conditions.push({ sql: "t.verified_at is null" });
  if (trouble === "overdue") conditions.push({ sql: "t.overdue_at < ?", value: now });
  if (trouble === "shrunk") conditions.push({ sql: "t.shrunk_at is not null" });
  return conditions;
}

const LAST_STATUS = "select status from backup_records where task_id = t.id order by id desc limit 1";

/** The id at which a scan stops; null when it reaches the end. */
async function endOfScan(deps: Deps, walk: Walk, before: Condition): Promise<number | null> {
  const [id] = await select(deps, walk, [before], `limit 1 offset ${SCAN_LIMIT - 1}`);
  return id ?? null;
}

async function select(
  { db }: Deps,
  { from, key, within }: Walk,
  conditions: Condition[],
  limit: string,
): Promise<number[]> {
  const all = [...within, ...conditions];
  const { results } = await db
    .prepare(
      `select ${key} as id from ${from} where ${all.map((one) => one.sql).join(" and ")} order by ${key} desc ${limit}`,
    )
    .bind(...all.filter((one) => "value" in one).map(({ value }) => value))
    .all<{ id: number }>();
  return results.map(({ id }) => id);
}
