import type { z } from "zod";
import { type adminApi, type objects, verification } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";

type Verification = z.input<typeof objects.verification>;
type Detail = z.input<typeof adminApi.getVerification.reply>;
type Row = Omit<Verification, "progress" | "damaged"> & { progress: string | null; report: string | null };

const columns = `v.id, v.task_id as taskId, v.record_id as recordId, v.target_id as targetId, t.name as targetName,
  v.node_id as nodeId, n.name as nodeName, v.command_id as commandId, v.status, v.trigger, v.grade,
  v.reached_grade as reachedGrade, v.identity_file as identityFile, v.report, v.error_message as errorMessage,
  v.progress, v.created_at as createdAt, v.started_at as startedAt, v.finished_at as finishedAt`;
const from = `from verifications v left join nodes n on n.id = v.node_id
  left join storage_targets t on t.id = v.target_id`;

/** A page of verifications, newest first, of all records or of one. */
export async function listVerifications(
  { db }: Deps,
  page: z.output<typeof adminApi.listVerifications.query>,
): Promise<{ items: Verification[]; next: number | null }> {
  const ofRecord = page.recordId === undefined ? "?3 is null" : "v.record_id = ?3";
  const { results } = await db
    .prepare(`select ${columns} ${from} where v.id < ?1 and ${ofRecord} order by v.id desc limit ?2`)
    .bind(page.before ?? Number.MAX_SAFE_INTEGER, page.limit, page.recordId ?? null)
    .all<Row>();
  return {
    items: results.map(toVerification),
    next: results.length === page.limit ? (results.at(-1)?.id ?? null) : null,
  };
}

/** One verification with its findings; VERIFICATION_NOT_FOUND when there is none. */
export async function readVerification({ db }: Deps, id: number): Promise<Detail> {
  const row = await db.prepare(`select ${columns} ${from} where v.id = ?`).bind(id).first<Row>();
  if (!row) throw new DomainError("VERIFICATION_NOT_FOUND", `there is no verification ${id}`);
  return toVerification(row);
}

/** The newest verification of a record, whatever became of it. */
export async function lastVerificationOf({ db }: Deps, recordId: number): Promise<Verification | null> {
  const row = await db
    .prepare(`select ${columns} ${from} where v.record_id = ? order by v.id desc limit 1`)
    .bind(recordId)
    .first<Row>();
  return row && toVerification(row);
}

function toVerification(row: Row): Detail {
  const report = row.report === null ? null : verification.report.parse(JSON.parse(row.report));
  return {
    ...row,
    report,
    damaged: report !== null && verification.isDamaged(report.checks),
    progress: row.progress === null ? null : JSON.parse(row.progress),
  };
}
