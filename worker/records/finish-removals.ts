import type { Deps } from "../deps.ts";
import { deleteFromVault } from "./remove-all.ts";

/** By then, whoever marked a record has removed its objects, or has failed to. */
const OVERDUE_MS = 10 * 60_000;
/** What is older waits for a person, so that the records looked at are those of one day. */
const GIVEN_UP_MS = 86_400_000;
const MAX_AT_ONCE = 50;

/** Removes from the vault what a removal has left there that was broken off, by the vault or by the master's end. */
export async function finishRemovals(deps: Deps): Promise<void> {
  const now = deps.now();
  const { results } = await deps.db
    .prepare(
      `select id from backup_records r where deleted_at between ?1 and ?2 and exists (
         select 1 from record_copies c join storage_targets t on t.id = c.target_id and t.type = 'vault'
         where c.record_id = r.id and c.status = 'deleting') order by deleted_at limit ${MAX_AT_ONCE}`,
    )
    .bind(now - GIVEN_UP_MS, now - OVERDUE_MS)
    .all<{ id: number }>();
  await deleteFromVault(
    deps,
    results.map(({ id }) => id),
  );
}
