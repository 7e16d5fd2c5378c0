import type { Deps } from "../deps.ts";

/** Makes the tags that tasks are found by the same as those that this task has; a task that is gone has none. */
export function tagStatements({ db }: Deps, taskId: number): D1PreparedStatement[] {
  const has = "select value from backup_tasks t, json_each(t.tags) where t.id = ?1";
  return [
    db.prepare(`delete from task_tags where task_id = ?1 and tag not in (${has})`).bind(taskId),
    db.prepare(`insert or ignore into task_tags (tag, task_id) select value, ?1 from (${has})`).bind(taskId),
  ];
}

const MAX_TAGS = 500;

/** The tags that tasks have; a step of the recursion finds the next one by its index, however many tasks share one. */
export async function listTaskTags({ db }: Deps): Promise<{ items: string[] }> {
  const { results } = await db
    .prepare(
      `with recursive used(tag) as (
         select min(tag) from task_tags
         union all
         select (select min(tag) from task_tags where tag > used.tag) from used where used.tag is not null)
       select tag from used where tag is not null limit ${MAX_TAGS}`,
    )
    .all<{ tag: string }>();
  return { items: results.map(({ tag }) => tag) };
}
