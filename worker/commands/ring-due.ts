import type { Deps } from "../deps.ts";

/** Commands called per sweep; the next one takes the rest. */
const MAX_PER_SWEEP = 100;

/** Commands that had to wait, and whose time has come, wait no more: their nodes are told, each command once. */
export async function ringDue({ db, now, bell }: Deps): Promise<void> {
  const { results } = await db
    .prepare(
      `update agent_commands set not_before = null where id in (
         select id from agent_commands where status = 'pending' and not_before <= ? order by not_before limit ?)
         and status = 'pending' returning node_id as nodeId`,
    )
    .bind(now(), MAX_PER_SWEEP)
    .all<{ nodeId: number }>();
  if (results.length > 0) await bell.ring([...new Set(results.map(({ nodeId }) => nodeId))]);
}
