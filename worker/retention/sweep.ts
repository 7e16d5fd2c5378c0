import type { Deps } from "../deps.ts";
import { expireRecords } from "./expire.ts";

const MINUTES_PER_ROUND = 60;
/** Each costs two queries when there is nothing to remove. */
const MAX_TASKS_PER_MINUTE = 10;

/**
 * Looks at each task with a retention about once an hour, for what no run has removed: records that were busy, and those
 * that only time makes too old. A minute's share is a range of ids, so that the rows read do not grow with the number of
 * tasks, and those without a retention are not read at all; the first task that loses something ends it, for a removal costs many queries.
 */
export async function sweepRetention(deps: Deps, minute: number): Promise<void> {
  const highest = await deps.db
    .prepare("select max(id) as id from backup_tasks where retention is not null")
    .first<{ id: number | null }>();
  const lastId = highest?.id ?? 0;
  const rounds = Math.max(MINUTES_PER_ROUND, Math.ceil(lastId / MAX_TASKS_PER_MINUTE));
  const share = Math.ceil(lastId / rounds);
  const from = (minute % rounds) * share;
  const { results } = await deps.db
    .prepare("select id from backup_tasks where id > ? and id <= ? and retention is not null")
    .bind(from, from + share)
    .all<{ id: number }>();
  for (const { id } of results) if ((await expireRecords(deps, id)) > 0) return;
}
