import type { Deps } from "../deps.ts";

const UNTOLD = "the agent reported success, but what it stored never reached the master";

/** A copy that was to replace a damaged one is the damaged one again. */
export const notMade = "case when size_bytes > 0 then 'damaged' else 'failed' end";

/**
 * The statement that closes the copy of a command which has just ended, if it is still open; right after the one that
 * ended the command. Its path stays: whether something lies there is not known, and a removal asks for it too.
 */
export function closeCopyStatement(
  { db, now }: Deps,
  command: { id: number; recordId: number },
  ending: "succeeded" | "failed" | "cancelled" | "timeout",
  errorMessage: string,
): D1PreparedStatement {
  const reason = ending === "succeeded" ? UNTOLD : errorMessage || ending;
  return db
    .prepare(
      `update record_copies set status = ${notMade}, error = ?1, progress = null, updated_at = ?2
       where changes() > 0 and record_id = ?3 and command_id = ?4 and status = 'copying'`,
    )
    .bind(reason, now(), command.recordId, command.id);
}
