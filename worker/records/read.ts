import type { z } from "zod";
import { type adminApi, objects } from "../../protocol/index.ts";
import { cutPage } from "../db/cut-page.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { lastVerificationOf } from "../verifications/read.ts";
import { countDifferentials } from "./base.ts";
import { firstIdAt } from "./first-id-at.ts";

type Record = z.input<typeof objects.record>;
type Row = Omit<Record, "progress" | "late" | "encrypted" | "locked"> & {
  progress: string | null;
  late: number;
  encrypted: number;
  locked: number;
};
type Filter = z.output<typeof adminApi.listRecords.query>;

const columns = `r.id, r.task_id as taskId, r.task_name as taskName, r.node_id as nodeId, n.name as nodeName,
  r.command_id as commandId, r.attempt, r.status, r.trigger, r.source_type as sourceType, r.compression,
  coalesce(r.pipeline ->> 'engine', 'archive') as engine, r.snapshot_id as snapshotId,
  (r.pipeline ->> 'encryption') is not null as encrypted, r.kind, r.base_record_id as baseRecordId,
  r.file_name as fileName, r.size_bytes as sizeBytes, r.source_bytes as sourceBytes, r.entries, r.checksum,
  r.warning_count as warningCount, r.verified_grade as verifiedGrade, r.verified_at as verifiedAt,
  r.verified_node_id as verifiedNodeId, r.runs, r.late, r.error_message as errorMessage, r.progress,
  r.created_at as createdAt, r.started_at as startedAt, r.finished_at as finishedAt, r.deleted_at as deletedAt, r.locked`;
const from = "from backup_records r left join nodes n on n.id = r.node_id";

/** A page of records, newest first; each filter follows an index. */
export async function listRecords(
  deps: Deps,
  filter: Filter,
): Promise<{ items: Record[]; next: number | null }> {
  const { from: since, until } = filter;
  const first = since === undefined ? 0 : await firstIdAt(deps, since);
  const end = until === undefined ? Number.MAX_SAFE_INTEGER : await firstIdAt(deps, until);
  const conditions = [
    "r.id < ?1 and r.id >= ?5",
    ...(filter.taskId === undefined ? [] : ["r.task_id = ?3"]),
    ...(filter.nodeId === undefined ? [] : ["r.node_id = ?4"]),
    // Literals, and the partial index's own condition: the planner uses it only when it sees that it fits.
    ...(filter.status === undefined ? [] : [`r.status = '${filter.status}'`]),
    ...(filter.status === undefined || filter.status === "success" ? [] : ["r.status <> 'success'"]),
    ...(filter.kind === undefined ? [] : [`r.kind = '${filter.kind}'`]),
  ];
  const { results } = await deps.db
    .prepare(`select ${columns} from backup_records r ${indexFor(filter)} left join nodes n on n.id = r.node_id
              where ${conditions.join(" and ")} and ?3 is ?3 and ?4 is ?4
              order by r.id desc limit ?2`)
    .bind(
      Math.min(filter.before ?? Number.MAX_SAFE_INTEGER, end),
      filter.limit + 1,
      filter.taskId ?? null,
      filter.nodeId ?? null,
      first,
    )
    .all<Row>();
  const { items, next } = cutPage(results, filter.limit);
  return { items: items.map(toRecord), next };
}

/** Named, because the planner would rather walk through a range of ids than follow the index of a filter. */
function indexFor({ taskId, nodeId, status, kind }: Filter): string {
  if (taskId !== undefined) return "indexed by backup_records_of_task";
  if (status !== undefined && status !== "success") return "indexed by backup_records_of_status";
  if (nodeId !== undefined) return "indexed by backup_records_of_node";
  return kind === "differential" ? "indexed by backup_records_differential" : "";
}

/** One record; BACKUP_RECORD_NOT_FOUND when there is none. */
export async function readRecord({ db }: Deps, id: number): Promise<Record> {
  const row = await db.prepare(`select ${columns} ${from} where r.id = ?`).bind(id).first<Row>();
  if (!row) throw new DomainError("BACKUP_RECORD_NOT_FOUND", `there is no record ${id}`);
  return toRecord(row);
}

/** One record with its copies, its last verification, warnings and timings. */
export async function readRecordDetail(
  deps: Deps,
  id: number,
): Promise<z.input<typeof adminApi.getRecord.reply>> {
  const record = await readRecord(deps, id);
  const [copies, more] = await deps.db.batch([
    deps.db
      .prepare(
        `select target_id as targetId, target_name as targetName, status, storage_path as storagePath,
           size_bytes as sizeBytes, checksum, error, command_id as commandId, progress, updated_at as updatedAt
         from record_copies where record_id = ? order by target_id`,
      )
      .bind(id),
    deps.db.prepare("select warnings, timings, source, pipeline from backup_records where id = ?").bind(id),
  ]);
  const { warnings, timings, source, pipeline } = (more?.results[0] ?? {}) as Partial<MoreRow>;
  return {
    ...record,
    copies: ((copies?.results ?? []) as CopyRow[]).map(toCopy),
    lastVerification: await lastVerificationOf(deps, id),
    warnings: JSON.parse(warnings ?? "[]"),
    timings: timings ? JSON.parse(timings) : null,
    // An older release may have written them, and a record must stay readable for all that.
    source: objects.source.safeParse(JSON.parse(source ?? "null")).data ?? null,
    pipeline: objects.pipeline.safeParse(JSON.parse(pipeline ?? "null")).data ?? null,
    differentials: await countDifferentials(deps, id),
  };
}

type MoreRow = { warnings: string; timings: string | null; source: string; pipeline: string };

type CopyRow = Omit<z.input<typeof objects.copy>, "progress"> & { progress: string | null };

const toCopy = (row: CopyRow): z.input<typeof objects.copy> => ({
  ...row,
  progress: row.progress === null ? null : JSON.parse(row.progress),
});

const toRecord = (row: Row): Record => ({
  ...row,
  late: row.late === 1,
  encrypted: row.encrypted === 1,
  locked: row.locked === 1,
  progress: row.progress === null ? null : JSON.parse(row.progress),
});
