import { timing } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { closeRunStatements } from "./close-run.ts";

type Silent = {
  id: number;
  type: string;
  recordId: number | null;
  restoreId: number | null;
  verificationId: number | null;
  cancelRequestedAt: number | null;
};

/** A lease that ran out is handed out again first; only what stays silent for the rest of this is given up. */
const GRACE_MS = (timing.silentCommandSeconds - timing.leaseSeconds) * 1000;
/** Commands given up per sweep, two statements each: a Worker may make 50 queries on the free plan. */
const MAX_PER_SWEEP = 10;

/** Gives up commands that have been silent for ten minutes, and says so in their records. Returns how many. */
export async function expireCommands(deps: Deps): Promise<number> {
  const { db, now } = deps;
  const deadline = now() - GRACE_MS;
  const { results } = await db
    .prepare(
      `select id, type, record_id as recordId, restore_id as restoreId,
         verification_id as verificationId, cancel_requested_at as cancelRequestedAt
       from agent_commands where status = 'dispatched' and lease_expires_at < ? order by lease_expires_at limit ?`,
    )
    .bind(deadline, MAX_PER_SWEEP)
    .all<Silent>();
  if (results.length === 0) return 0;
  await db.batch(results.flatMap((command) => giveUp(deps, command, deadline)));
  return results.length;
}

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
