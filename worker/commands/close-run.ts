import type { EndedRun } from "../../protocol/index.ts";
import { closeCopyStatement } from "../copies/close.ts";
import type { Deps } from "../deps.ts";
import { tellingEnd } from "../live/news.ts";
import { noteEndStatements } from "../overview/note-end.ts";

type Ending = "succeeded" | "failed" | "cancelled" | "timeout";
type Run = {
  id: number;
  recordId: number | null;
  restoreId: number | null;
  verificationId: number | null;
  type: string;
};
/** What a command works on. `silence`: why its success counts for nothing while what it made was not told. */
type Work = { table: string; kind: EndedRun["kind"]; id: number | null; silence: string | null };

const outcomes = { succeeded: "success", failed: "failed", cancelled: "cancelled", timeout: "failed" };

/**
 * Statements that close the record, restore, verification or copy of a command which has just ended, if it is still
 * open. Put them right after the statement that ended the command: they do nothing unless that one did. A backup whose
 * stored copies were never told is not called a success, nor is a verification whose findings were not.
 */
export function closeRunStatements(
  deps: Deps,
  run: Run,
  ending: Ending,
  errorMessage: string,
): D1PreparedStatement[] {
  if (run.type === "copy_record" && run.recordId !== null) {
    return [closeCopyStatement(deps, { id: run.id, recordId: run.recordId }, ending, errorMessage)];
  }
  const work = workOf(run);
  if (!work || work.id === null) return [];
  const { status, reason } = verdict(work, ending, errorMessage);
  const at = deps.now();
  return [
    deps.db
      .prepare(
        `update ${work.table} set status = ?1, error_message = ?2, progress = null, finished_at = ?3
         where changes() > 0 and id = ?4 and status in ('queued', 'running')
         ${tellingEnd(work.kind)}`,
      )
      .bind(status, reason, at, work.id),
    ...(work.kind === "backup" ? noteEndStatements(deps, work.id, at) : []),
  ];
}

function workOf({ type, recordId, restoreId, verificationId }: Run): Work | null {
  switch (type) {
    case "run_task":
      return {
        table: "backup_records",
        kind: "backup",
        id: recordId,
        silence:
          "the agent reported success, but what it stored (file, checksum, copies) never reached the master",
      };
    case "verify_record":
      return {
        table: "verifications",
        kind: "verification",
        id: verificationId,
        silence: "the agent reported success, but what it found never reached the master",
      };
    case "restore_record":
      return { table: "restore_records", kind: "restore", id: restoreId, silence: null };
    default:
      return null;
  }
}

function verdict({ silence }: Work, ending: Ending, errorMessage: string) {
  const status = outcomes[ending];
  if (silence === null) return { status, reason: errorMessage };
  if (status === "success") return { status: "failed", reason: silence };
  return { status, reason: errorMessage || "the agent gave no reason" };
}
