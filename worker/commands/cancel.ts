import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";

type Run = { id: number; commandId: number | null; nodeId: number | null; status: string };

/**
 * Withdraws a run's command while it is queued and closes the run with `closing`; asks its agent to stop it once it
 * was handed out. Both are conditions of one batch, so a claim in between loses nothing.
 */
export async function cancelCommand(
  deps: Deps,
  run: Run,
  statements: { closing: D1PreparedStatement; audit: D1PreparedStatement },
): Promise<void> {
  const { db, now } = deps;
  const at = now();
  const [withdrawn, , , asked] = await db.batch([
    db
      .prepare(
        `update agent_commands set status = 'cancelled', error_message = 'cancelled before it started',
           completed_at = ?1, updated_at = ?1
         where id = ?2 and status = 'pending'`,
      )
      .bind(at, run.commandId),
    statements.closing,
    statements.audit,
    // An agent that gave no protocol version is a BackupX Go agent: it takes no orders.
    db
      .prepare(
        `update agent_commands set cancel_requested_at = coalesce(cancel_requested_at, ?1), updated_at = ?1
         where id = ?2 and status = 'dispatched'
           and (select protocol_version from nodes where id = node_id) is not null`,
      )
      .bind(at, run.commandId),
    statements.audit,
  ]);
  if (withdrawn?.meta.changes === 1) return;
  if (asked?.meta.changes !== 1) throw await cannotCancel(deps, run);
  if (run.nodeId !== null) await deps.bell.ring([run.nodeId]);
}

async function cannotCancel({ db }: Deps, run: Run): Promise<DomainError> {
  const command = await db
    .prepare("select status from agent_commands where id = ?")
    .bind(run.commandId)
    .first<{ status: string }>();
  return command?.status === "dispatched"
    ? new DomainError("RECORD_BUSY", "this runs on a BackupX Go agent, which cannot be told to stop")
    : new DomainError("ALREADY_ENDED", `this has already ended: ${run.status}`);
}
