import type { z } from "zod";
import { type agentApi, objects } from "../../protocol/index.ts";
import { keepAliveStatements } from "../commands/keep-alive.ts";
import { retryCopyStatements } from "../copies/retry.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { noNews, tellingEnd } from "../live/news.ts";
import type { AgentNode } from "../nodes/authenticate.ts";
import { noteEndStatements } from "../overview/note-end.ts";
import { expireAfterRun } from "../retention/expire.ts";
import { abortUploads } from "../vault/abort-uploads.ts";
import { appendLogStatements } from "./log.ts";
import { requireOwnKey } from "./object-key.ts";
import { cameTooLate, type HeldRecord, isOpen, recordOfNode, requireLease } from "./of-node.ts";
import { parseReportedStatus } from "./reported-status.ts";

type Report = z.output<typeof agentApi.updateRecord.body>;
type Upload = NonNullable<Report["storageUploadResults"]>[number];
type Ending = "success" | "failed";

const MAX_WARNINGS_KEPT = 200;

/**
 * Takes an agent's report of its backup; any order, any number. A record that is closed stays as it is, though a late
 * log is kept; only one that was given up for silence still learns that it succeeded.
 */
export async function updateRecord(deps: Deps, node: AgentNode, id: number, report: Report): Promise<void> {
  const held = await recordOfNode(deps, node, id);
  requireLease(held, report.leaseToken);
  const status = parseReportedStatus(report.status, "BACKUP_RECORD_STATUS_INVALID");
  requireValid(report, held);
  const log = appendLogStatements(deps, "backup", id, report);
  if (!isOpen(held)) {
    if (log.length > 0) await deps.db.batch(log);
    return;
  }
  const ending = status === "success" || status === "failed" ? status : null;
  const statements = ending
    ? endStatements(deps, node, held, ending, report)
    : cameTooLate(held)
      ? []
      : [progressStatement(deps, held, report)];
  await deps.db.batch([...statements, ...log, ...keepAliveStatements(deps, node, held)]);
  // After a success too: an upload whose beginning was answered in vain has been begun a second time.
  if (ending) await abortUploads(deps, id);
  if (ending === "success") await expireAfterRun(deps, held.taskId);
}

function requireValid(report: Report, held: HeldRecord): void {
  if (report.checksum && !objects.sha256.safeParse(report.checksum).success) {
    throw new DomainError("INVALID_INPUT", "checksum: must be 64 lower-case hex characters");
  }
  if (report.fileName && /[/\\\0]/.test(report.fileName)) {
    throw new DomainError("AGENT_ARTIFACT_INVALID_PATH", "fileName: must not contain a slash");
  }
  const paths = [
    report.storagePath,
    ...(report.storageUploadResults ?? []).map((upload) => upload.storagePath),
  ];
  for (const path of paths) if (path) requireOwnKey(path, held);
  const targets = [
    report.storageTargetId,
    ...(report.storageUploadResults ?? []).map((u) => u.storageTargetId),
  ];
  for (const id of targets) {
    if (id && !held.targetIds.includes(id)) {
      throw new DomainError("BACKUP_STORAGE_TARGET_FORBIDDEN", `target ${id} is not a target of this record`);
    }
  }
}

function progressStatement({ db, now }: Deps, held: HeldRecord, report: Report): D1PreparedStatement {
  const moving = `update backup_records set status = 'running', started_at = coalesce(started_at, ?1),
      attempt = coalesce((select attempt from agent_commands where id = command_id), attempt),
      progress = coalesce(?2, progress), file_name = coalesce(?3, file_name),
      size_bytes = coalesce(?4, size_bytes), checksum = coalesce(?5, checksum)
    where id = ?6 and status in ('queued', 'running')`;
  return db
    .prepare(noNews(moving, held.status === "running"))
    .bind(
      now(),
      report.progress ? JSON.stringify(report.progress) : null,
      report.fileName || null,
      report.fileSize ?? null,
      report.checksum || null,
      held.id,
    );
}

/** A record's end: the condition on its state comes first, and the rest of the batch happens only if that one won. */
function endStatements(
  deps: Deps,
  node: AgentNode,
  held: HeldRecord,
  ending: Ending,
  report: Report,
): D1PreparedStatement[] {
  const uploads = uploadsOf(held, report);
  const stored = uploads.some((upload) => upload.status === "success");
  const outcome = ending === "success" && !stored ? "failed" : ending;
  const reason =
    ending === "success" && !stored
      ? "the agent reported success but named no stored copy"
      : report.errorMessage;
  const late = cameTooLate(held);
  // A late failure says nothing that the record does not say already.
  if (late && outcome === "failed") return [];
  const lost = uploads.filter((upload) => upload.status === "failed");
  // One reading of the clock: the copies are stored by the time that the record was closed.
  const at = deps.now();
  return [
    closeStatement(deps, held, { outcome, reason: reason ?? "", late, at }, report),
    ...noteEndStatements(deps, held.id, at, { late }),
    ...uploads.flatMap((upload) => copyStatements(deps, held.id, upload, report, at)),
    // BackupX Go agents cannot copy.
    ...(outcome === "success" && node.protocolVersion !== null ? lost : []).flatMap((upload) =>
      retryCopyStatements(deps, held.id, upload.storageTargetId, at),
    ),
  ];
}

function closeStatement(
  { db }: Deps,
  held: HeldRecord,
  { outcome, reason, late, at }: { outcome: Ending; reason: string; late: boolean; at: number },
  report: Report,
): D1PreparedStatement {
  return db
    .prepare(
      `update backup_records set status = ?1, error_message = ?2, late = ?3, progress = null,
         started_at = coalesce(started_at, ?4), finished_at = ?4,
         attempt = coalesce((select attempt from agent_commands where id = command_id), attempt),
         file_name = coalesce(?5, file_name), size_bytes = coalesce(?6, size_bytes),
         checksum = coalesce(?7, checksum), source_bytes = coalesce(?8, source_bytes),
         entries = coalesce(?9, entries), warnings = coalesce(?10, warnings),
         warning_count = coalesce(?11, warning_count), timings = coalesce(?12, timings),
         archive_index = coalesce(?14, archive_index), snapshot_id = coalesce(?15, snapshot_id),
         ${kindAsReported(outcome, report)}
       where id = ?13 and status in (${late ? "'failed'" : "'queued', 'running'"})
         ${late ? baseIsThere : ""} ${tellingEnd("backup")}`,
    )
    .bind(
      outcome,
      outcome === "success" ? "" : reason || "the agent gave no reason",
      late ? 1 : 0,
      at,
      report.fileName || null,
      report.fileSize ?? null,
      report.checksum || null,
      report.sourceBytes ?? null,
      report.entries ?? null,
      report.warnings ? JSON.stringify(report.warnings.slice(0, MAX_WARNINGS_KEPT)) : null,
      report.warningCount ?? report.warnings?.length ?? null,
      report.timings ? JSON.stringify(report.timings) : null,
      held.id,
      report.archiveIndex ? JSON.stringify(report.archiveIndex) : null,
      report.snapshotId ?? null,
    );
}

/** An agent that could not compare, or knows nothing of it, has made a full backup. */
const kindAsReported = (outcome: Ending, { kind }: Report): string =>
  outcome === "success" && kind !== "differential"
    ? "kind = 'full', base_record_id = null"
    : "kind = iif(base_record_id is null, 'full', 'differential')";

/** While this was taken for failed, the backup that it builds on may have been removed. */
const baseIsThere = `and (base_record_id is null or exists (
  select 1 from backup_records b where b.id = backup_records.base_record_id and b.deleted_at is null))`;

/** First-generation agents name one path and no results: they report success only once every target has taken it. */
function uploadsOf(
  held: HeldRecord,
  { storageUploadResults, storagePath, storageTargetId }: Report,
): Upload[] {
  if (storageUploadResults && storageUploadResults.length > 0) return storageUploadResults;
  if (!storagePath) return [];
  const targetIds = storageTargetId ? [storageTargetId] : held.targetIds;
  return targetIds.map((id) => ({ storageTargetId: id, status: "success", storagePath }));
}

/** Each copy is counted into its target's use exactly once, when its row is made. */
function copyStatements(
  { db }: Deps,
  recordId: number,
  upload: Upload,
  report: Report,
  at: number,
): D1PreparedStatement[] {
  const ok = upload.status === "success";
  const size = ok ? (upload.fileSize ?? report.fileSize ?? 0) : 0;
  return [
    db
      .prepare(
        `insert into record_copies (record_id, target_id, target_name, status, storage_path, size_bytes, checksum, error, updated_at)
         select r.id, ?2, coalesce((select name from storage_targets where id = ?2), ''), ?3, ?4, ?5, ?6, ?7, ?8
         from backup_records r where r.id = ?1 and r.finished_at = ?8
         on conflict do nothing`,
      )
      .bind(
        recordId,
        upload.storageTargetId,
        ok ? "success" : "failed",
        upload.storagePath ?? report.storagePath ?? "",
        size,
        ok ? (upload.checksum ?? (report.checksum || null)) : null,
        upload.error ?? "",
        at,
      ),
    db
      .prepare("update storage_targets set used_bytes = used_bytes + ?1 where changes() > 0 and id = ?2")
      .bind(size, upload.storageTargetId),
  ];
}
