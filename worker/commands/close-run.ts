import type { Deps } from "../deps.ts";

const SILENT_SUCCESS =
  "the agent reported success, but what it stored (file, checksum, copies) never reached the master";

/**
 * Statements that close the record or restore of a command which has just ended, if it is still open. Put them right
 * after the statement that ended the command: they do nothing unless that one did. A backup whose stored copies were
 * never told is not called a success.
 */
export function closeRunStatements(
  { db, now }: Deps,
  run: { recordId: number | null; restoreId: number | null; type: string },
  ending: "succeeded" | "failed" | "cancelled" | "timeout",
  errorMessage: string,
): D1PreparedStatement[] {
  const outcome = { succeeded: "success", failed: "failed", cancelled: "cancelled", timeout: "failed" }[
    ending
  ];
  if (run.type === "restore_record" && run.restoreId !== null) {
    return [
      db
        .prepare(
          `update restore_records set status = ?1, error_message = ?2, progress = null, finished_at = ?3
           where changes() > 0 and id = ?4 and status in ('queued', 'running')`,
        )
        .bind(outcome, errorMessage, now(), run.restoreId),
    ];
  }
  if (run.type === "run_task" && run.recordId !== null) {
    return [
      db
        .prepare(
          `update backup_records set status = ?1, error_message = ?2, progress = null, finished_at = ?3
           where changes() > 0 and id = ?4 and status in ('queued', 'running')`,
        )
        .bind(
          outcome === "success" ? "failed" : outcome,
          outcome === "success" ? SILENT_SUCCESS : errorMessage || "the agent gave no reason",
          now(),
          run.recordId,
        ),
    ];
  }
  return [];
}
