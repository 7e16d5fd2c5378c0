import type { z } from "zod";
import { type adminApi, objects } from "../../protocol/index.ts";
import { type Condition, pageOf } from "../db/walk.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";

type Restore = z.input<typeof objects.restore>;
type Filter = z.output<typeof adminApi.listRestores.query>;
type Row = Omit<Restore, "progress" | "selectedPaths" | "databases" | "renameDatabases" | "dryRun"> & {
  progress: string | null;
  selectedPaths: string | null;
  options: string | null;
  dryRun: number;
  warnings: string;
};

const columns = `s.id, s.record_id as recordId, s.target_id as targetId, s.node_id as nodeId, n.name as nodeName,
  s.command_id as commandId, s.status, s.destination, s.selected_paths as selectedPaths, s.options, s.conflict,
  s.identity_file as identityFile, s.dry_run as dryRun, s.entries,
  s.bytes, s.warnings, s.warning_count as warningCount, s.error_message as errorMessage, s.progress,
  s.created_at as createdAt, s.started_at as startedAt, s.finished_at as finishedAt`;
const joins = "left join nodes n on n.id = s.node_id";

/** A page of restores, newest first. */
export async function listRestores(
  deps: Deps,
  filter: Filter,
): Promise<{ items: Restore[]; next: number | null }> {
  const { recordId } = filter;
  const { items, next } = await pageOf<Row>(
    deps,
    {
      table: "restore_records",
      columns,
      joins,
      along: recordId === undefined ? [] : [{ sql: "s.record_id = ?", value: recordId }],
      seen: "record_id, node_id, status",
      fits: unindexed(filter),
    },
    filter,
  );
  return { items: items.map(toRestore), next };
}

function unindexed({ status, nodeId, taskId }: Filter): Condition[] {
  return [
    ...(status === undefined ? [] : [{ sql: "w.status = ?", value: status }]),
    ...(nodeId === undefined ? [] : [{ sql: "w.node_id = ?", value: nodeId }]),
    ...(taskId === undefined ? [] : [{ sql: `(${TASK}) = ?`, value: taskId }]),
  ];
}

const TASK = "select task_id from backup_records where id = w.record_id";

/** One restore with its warnings; RESTORE_RECORD_NOT_FOUND when there is none. */
export async function readRestore(
  { db }: Deps,
  id: number,
): Promise<z.input<typeof adminApi.getRestore.reply>> {
  const row = await db
    .prepare(`select ${columns}, s.outcome from restore_records s ${joins} where s.id = ?`)
    .bind(id)
    .first<Row & { outcome: string | null }>();
  if (!row) throw new DomainError("RESTORE_RECORD_NOT_FOUND", `there is no restore ${id}`);
  const outcome = row.outcome === null ? null : JSON.parse(row.outcome);
  return { ...toRestore(row), warnings: JSON.parse(row.warnings), outcome };
}

function toRestore({ options, ...row }: Row): Restore {
  const { databases, renameDatabases } = objects.restoreOptions.parse(JSON.parse(options ?? "{}"));
  return {
    ...row,
    dryRun: row.dryRun === 1,
    progress: row.progress === null ? null : JSON.parse(row.progress),
    selectedPaths: row.selectedPaths === null ? null : JSON.parse(row.selectedPaths),
    databases,
    renameDatabases,
  };
}
