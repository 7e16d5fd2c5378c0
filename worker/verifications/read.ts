import type { z } from "zod";
import { type adminApi, type objects, verification } from "../../protocol/index.ts";
import { type Condition, pageOf } from "../db/walk.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";

type Verification = z.input<typeof objects.verification>;
type Detail = z.input<typeof adminApi.getVerification.reply>;
type Filter = z.output<typeof adminApi.listVerifications.query>;
type Row = Omit<Verification, "progress" | "damaged"> & { progress: string | null; report: string | null };

const columns = `s.id, s.task_id as taskId, s.record_id as recordId, s.target_id as targetId, t.name as targetName,
  s.node_id as nodeId, n.name as nodeName, s.command_id as commandId, s.status, s.trigger, s.grade,
  s.reached_grade as reachedGrade, s.identity_file as identityFile, s.report, s.error_message as errorMessage,
  s.progress, s.created_at as createdAt, s.started_at as startedAt, s.finished_at as finishedAt`;
const joins = `left join nodes n on n.id = s.node_id left join storage_targets t on t.id = s.target_id`;
const from = `from verifications s ${joins}`;

/** A page of verifications, newest first. */
export async function listVerifications(
  deps: Deps,
  filter: Filter,
): Promise<{ items: Verification[]; next: number | null }> {
  const { recordId } = filter;
  const { items, next } = await pageOf<Row>(
    deps,
    {
      table: "verifications",
      columns,
      joins,
      along: recordId === undefined ? [] : [{ sql: "s.record_id = ?", value: recordId }],
      seen: "task_id, node_id, status",
      fits: unindexed(filter),
    },
    filter,
  );
  return { items: items.map(toVerification), next };
}

function unindexed({ status, damaged, nodeId, taskId }: Filter): Condition[] {
  return [
    ...(status === undefined ? [] : [{ sql: "w.status = ?", value: status }]),
    ...(nodeId === undefined ? [] : [{ sql: "w.node_id = ?", value: nodeId }]),
    ...(taskId === undefined ? [] : [{ sql: "w.task_id = ?", value: taskId }]),
    ...(damaged === undefined ? [] : [damaged ? IS_DAMAGED : { sql: `not (${IS_DAMAGED.sql})` }]),
  ];
}

/** As the report is stored: in a text inside it, quotes would have a backslash before them. */
const IS_DAMAGED = {
  sql: `w.status = 'failed' and instr(coalesce(s.report, ''), '"outcome":"damaged"') > 0`,
};

/** One verification with its findings; VERIFICATION_NOT_FOUND when there is none. */
export async function readVerification({ db }: Deps, id: number): Promise<Detail> {
  const row = await db.prepare(`select ${columns} ${from} where s.id = ?`).bind(id).first<Row>();
  if (!row) throw new DomainError("VERIFICATION_NOT_FOUND", `there is no verification ${id}`);
  return toVerification(row);
}

/** The newest verification of a record, whatever became of it. */
export async function lastVerificationOf({ db }: Deps, recordId: number): Promise<Verification | null> {
  const row = await db
    .prepare(`select ${columns} ${from} where s.record_id = ? order by s.id desc limit 1`)
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
