import { desc, sql } from "drizzle-orm";
import type { z } from "zod";
import type { adminApi } from "../../protocol/index.ts";
import { backupTasks } from "../db/schema.ts";
import { type Condition, pageOf } from "../db/walk.ts";
import type { Deps } from "../deps.ts";
import { showTasks } from "./shown.ts";
import { type SurroundedTask, withSurroundings } from "./surroundings.ts";

type Filter = z.output<typeof adminApi.listTasks.query>;
/** What is gone through along an index: the tasks of a target, with a tag, of a node, or all. */
type Walk = Pick<Parameters<typeof pageOf>[1], "through" | "along" | "seen">;

/** A page of tasks, newest first. */
export async function listTasks(
  deps: Deps,
  filter: Filter,
): Promise<{ items: SurroundedTask[]; next: number | null }> {
  const walk = walkOf(filter);
  const fits = unindexed(filter, deps.now(), walk.through ? "s" : "w");
  const shown = { table: "backup_tasks", columns: "s.id", joins: "" };
  const { items, next } = await pageOf<{ id: number }>(deps, { ...shown, ...walk, fits }, filter);
  const ids = items.map(({ id }) => id);
  const rows = await deps.orm
    .select()
    .from(backupTasks)
    .where(sql`${backupTasks.id} in (select value from json_each(${JSON.stringify(ids)}))`)
    .orderBy(desc(backupTasks.id));
  return { items: await withSurroundings(deps, await showTasks(deps, rows)), next };
}

function walkOf({ targetId, tag, nodeId }: Filter): Walk {
  if (targetId !== undefined) {
    const along = [{ sql: "v.target_id = ?", value: targetId }];
    return { through: { table: "task_targets", key: "task_id" }, along, seen: "" };
  }
  if (tag !== undefined) {
    const along = [{ sql: "v.tag = ?", value: tag }];
    return { through: { table: "task_tags", key: "task_id" }, along, seen: "" };
  }
  const along = nodeId === undefined ? [] : [{ sql: "s.node_id = ?", value: nodeId }];
  return { along, seen: "enabled, name, verified_at, overdue_at, shrunk_at" };
}

/** Said of the columns of a task, which is called `t`. */
function unindexed(
  { targetId, tag, nodeId, enabled, last, text, verified, trouble }: Filter,
  now: number,
  t: "s" | "w",
): Condition[] {
  const status = `(select status from backup_records where task_id = ${t}.id order by id desc limit 1)`;
  const conditions: Condition[] = [];
  if (targetId !== undefined && tag !== undefined) {
    const sql = `exists (select 1 from task_tags where task_id = ${t}.id and tag = ?)`;
    conditions.push({ sql, value: tag });
  }
  if ((targetId ?? tag) !== undefined && nodeId !== undefined)
    conditions.push({ sql: `${t}.node_id = ?`, value: nodeId });
  if (enabled !== undefined) conditions.push({ sql: `${t}.enabled = ?`, value: Number(enabled) });
  if (last === "never") conditions.push({ sql: `${status} is null` });
  else if (last !== undefined) conditions.push({ sql: `${status} = ?`, value: last });
  if (text !== undefined) conditions.push({ sql: `instr(lower(${t}.name), lower(?)) > 0`, value: text });
  if (verified === "never") conditions.push({ sql: `${t}.verified_at is null` });
  if (trouble === "overdue") conditions.push({ sql: `${t}.overdue_at < ?`, value: now });
  if (trouble === "shrunk") conditions.push({ sql: `${t}.shrunk_at is not null` });
  return conditions;
}
