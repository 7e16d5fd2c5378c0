import type { Deps } from "../deps.ts";

/**
 * The smallest id that a record made at a time or later can have. Ids grow with time, so that a time is found among them
 * by halving: in 32 looks, whatever the history, and there is no index to pay for.
 */
export async function firstIdAt({ db }: Deps, time: number): Promise<number> {
  const row = await db
    .prepare(
      `with recursive halving(earlier, step) as (
         select 0, 1 << 31
         union all
         select earlier + step * (coalesce(
             (select created_at from backup_records where id <= earlier + step order by id desc limit 1), -1) < ?1),
           step >> 1
         from halving where step > 0)
       select earlier + 1 as id from halving where step = 0`,
    )
    .bind(time)
    .first<{ id: number }>();
  return row?.id ?? 1;
}
