import { timing } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { noNews } from "../live/news.ts";
import { closeRunStatements } from "./close-run.ts";

type Silent = {
  id: number;
  type: string;
  recordId: number | null;
  restoreId: number | null;
  verificationId: number | null;
  cancelRequestedAt: number | null;
  leaseExpiresAt: number;
};

/** A lease that ran out is handed out again first; only what stays silent for the rest of this is given up. */
const GRACE_MS = (timing.silentCommandSeconds - timing.leaseSeconds) * 1000;
/**
 * Sweeps come every 15 s. What is due for longer than this was not looked at, because the master itself was away, or it has
 * waited behind others: its agent gets as long again to get through.
 */
const UNSEEN_MS = 2 * 60_000;
/** Commands given up per sweep, two statements each: a Worker may make 50 queries on the free plan. */
const MAX_PER_SWEEP = 10;

/**
 * Gives up commands that have been silent for ten minutes while the master was there, and says so in their records. Returns
 * how many it has looked at.
 */
export async function expireCommands(deps: Deps): Promise<number> {
  const { db, now } = deps;
  const deadline = now() - GRACE_MS;
  const { results } = await db
    .prepare(
      `select id, type, record_id as recordId, restore_id as restoreId,
         verification_id as verificationId, cancel_requested_at as cancelRequestedAt,
         lease_expires_at as leaseExpiresAt
       from agent_commands where status = 'dispatched' and lease_expires_at < ? order by lease_expires_at limit ?`,
    )
    .bind(deadline, MAX_PER_SWEEP)
    .all<Silent>();
  if (results.length === 0) return 0;
  await db.batch(
    results.flatMap((command) =>
      command.leaseExpiresAt < deadline - UNSEEN_MS
        ? [giveTime(deps, command, deadline)]
        : giveUp(deps, command, deadline),
    ),
  );
  return results.length;
}

/** As if its lease had ended later. */
const giveTime = ({ db }: Deps, { id }: Silent, deadline: number): D1PreparedStatement =>
  db
    .prepare(
      noNews(
        `update agent_commands set lease_expires_at = ?1 where id = ?2 and status = 'dispatched' and lease_expires_at < ?3`,
      ),
    )
    .bind(deadline + UNSEEN_MS, id, deadline);

function giveUp(deps: Deps, command: Silent, deadline: number): D1PreparedStatement[] {
  const minutes = timing.silentCommandSeconds / 60;
  const cancelled = command.cancelRequestedAt !== null;
  const reason = cancelled
    ? "cancelled; the agent has not confirmed it"
    : `given up: the agent has said nothing of it for ${minutes} minutes`;
  return [
    deps.db
      .prepare(
        `update agent_commands set status = ?1, error_message = ?2, completed_at = ?3, updated_at = ?3
         where id = ?4 and status = 'dispatched' and lease_expires_at < ?5`,
      )
      .bind(cancelled ? "cancelled" : "timeout", reason, deps.now(), command.id, deadline),
    ...closeRunStatements(deps, command, cancelled ? "cancelled" : "timeout", reason),
  ];
}
