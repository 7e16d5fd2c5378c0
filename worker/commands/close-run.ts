import { closeCopyStatement } from "../copies/close.ts";
import type { Deps } from "../deps.ts";

const SILENT_SUCCESS =
  "the agent reported success, but what it stored (file, checksum, copies) never reached the master";

const SILENT_FINDINGS = "the agent reported success, but what it found never reached the master";

/**
 * Statements that close the record, restore, verification or copy of a command which has just ended, if it is still
 * open. Put them right after the statement that ended the command: they do nothing unless that one did. A backup whose stored copies were
 * never told is not called a success, nor is a verification whose findings were not.
 */
export function closeRunStatements(
  deps: Deps,
  run: {
    id: number;
    recordId: number | null;
    restoreId: number | null;
    verificationId: number | null;
    type: string;
  },
  ending: "succeeded" | "failed" | "cancelled" | "timeout",
  errorMessage: string,
): D1PreparedStatement[] {
  const { db, now } = deps;
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
  if (run.type === "verify_record" && run.verificationId !== null) {
    return [
      db
        .prepare(
          `update verifications set status = ?1, error_message = ?2, progress = null, finished_at = ?3
           where changes() > 0 and id = ?4 and status in ('queued', 'running')`,
        )
        .bind(
          outcome === "success" ? "failed" : outcome,
          outcome === "success" ? SILENT_FINDINGS : errorMessage || "the agent gave no reason",
          now(),
          run.verificationId,
        ),
    ];
  }
  if (run.type === "copy_record" && run.recordId !== null) {
    return [closeCopyStatement(deps, { id: run.id, recordId: run.recordId }, ending, errorMessage)];
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
