import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";

/** Copies that are at the target, or not yet known to be gone. */
const COPIES = `select 1 from record_copies
  where target_id = ?1 and status in ('success', 'copying', 'damaged', 'deleting', 'delete_failed')`;
const TASKS = "select 1 from task_targets where target_id = ?1";
/** Runs that are writing to it, whatever their task says by now. */
const RUNS = `select 1 from backup_records r, json_each(r.target_ids) target
  where r.status in ('queued', 'running') and target.value = ?1`;

/** Conditions over a target's id, the first parameter. */
export const holdsNothing = `not exists (${COPIES}) and not exists (${RUNS})`;
export const isUnused = `not exists (${TASKS}) and ${holdsNothing}`;

/** Counts stop here: they are for people, and a full count would read every copy there is. */
const COUNT_LIMIT = 1000;

/** STORAGE_TARGET_IN_USE, saying by what; `cannot` is what was asked for. */
export async function targetInUse(
  { db }: Deps,
  target: { id: number; name: string },
  cannot: string,
): Promise<DomainError> {
  const count = (rows: string) => `(select count(*) from (${rows} limit ${COUNT_LIMIT}))`;
  const counts = await db
    .prepare(`select ${count(TASKS)} as tasks, ${count(COPIES)} as copies, ${count(RUNS)} as runs`)
    .bind(target.id)
    .first<{ tasks: number; copies: number; runs: number }>();
  const { tasks = 0, copies = 0, runs = 0 } = counts ?? {};
  const number = (n: number, one: string, many: string) =>
    `${n >= COUNT_LIMIT ? `${n} or more` : n} ${n === 1 ? one : many}`;
  return new DomainError(
    "STORAGE_TARGET_IN_USE",
    `${target.name} cannot ${cannot}: ${number(tasks, "task uses it", "tasks use it")}, it holds ${number(copies, "copy", "copies")}, ${number(runs, "run is", "runs are")} under way`,
    { details: { tasks, copies, runs } },
  );
}
