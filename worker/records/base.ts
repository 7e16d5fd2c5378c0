import type { z } from "zod";
import { type agentApi, objects } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import type { AgentNode } from "../nodes/authenticate.ts";
import { openArtifact } from "../vault/download.ts";
import { recordOfNode } from "./of-node.ts";

type Base = NonNullable<z.output<typeof agentApi.taskSpec.reply>["base"]>;

/** Records of a task that are looked at for its last good one: more would be rows that grow with history. */
const MAX_LOOKED_AT = 200;
/** A schedule's turns are some seconds early or late: a full backup that is due within the hour is due. */
const SLACK_MS = 3_600_000;

/**
 * Joins the full backup `b` that a run of task `t` on node `n` at the time `?4` is compared with, if there is one that
 * fits: the task's last, of the same source, encryption and targets, held by each of these, and not too old.
 */
export const joinBase = `left join backup_records b on t.pipeline ->> '$.differential.fullEveryDays' is not null
  and b.id = (
    select coalesce(base_record_id, id) from (
      select * from backup_records where task_id = t.id order by id desc limit ${MAX_LOOKED_AT})
    where status = 'success' and node_id = n.id and deleted_at is null limit 1)
  and b.status = 'success' and b.deleted_at is null and b.archive_index is not null
  and b.source = t.source and b.target_ids = t.target_ids
  and (b.pipeline ->> '$.encryption') is (t.pipeline ->> '$.encryption')
  and b.created_at > ?4 + ${SLACK_MS} - 86400000 * (t.pipeline ->> '$.differential.fullEveryDays')
  and not exists (select 1 from json_each(b.target_ids) target where not exists (
    select 1 from record_copies where record_id = b.id and target_id = target.value and status = 'success'))`;

/** What cannot be restored any more once record ?N is gone; a run that failed has stored nothing. */
const differentialsOf = (
  parameter: string,
) => `select 1 from backup_records where base_record_id = ${parameter}
  and deleted_at is null and status in ('queued', 'running', 'success')`;

/** A condition over a record's id. */
export const isNoBase = (parameter: string) => `not exists (${differentialsOf(parameter)})`;

/** How many backups need this one. */
export async function countDifferentials({ db }: Deps, recordId: number): Promise<number> {
  const row = await db
    .prepare(`select count(*) as n from (${differentialsOf("?1")} limit 1000)`)
    .bind(recordId)
    .first<{ n: number }>();
  return row?.n ?? 0;
}

/** The base as the agent that compares needs it; null when this record has none. */
export async function baseToCompare({ db }: Deps, baseId: number | null): Promise<Base | null> {
  if (baseId === null) return null;
  const [records, copies] = await db.batch<Record<string, unknown>>([
    db
      .prepare(
        `select id as recordId, file_name as fileName, size_bytes as sizeBytes, checksum,
           archive_index as archiveIndex from backup_records where id = ?`,
      )
      .bind(baseId),
    db
      .prepare(
        `select target_id as targetId, storage_path as storagePath from record_copies
         where record_id = ? and status = 'success' order by target_id`,
      )
      .bind(baseId),
  ]);
  const row = records?.results[0] as (Omit<Base, "archiveIndex"> & { archiveIndex: string }) | undefined;
  if (!row) return null;
  const archiveIndex = objects.archiveIndex.parse(JSON.parse(row.archiveIndex));
  return { ...row, archiveIndex, copies: (copies?.results ?? []) as Base["copies"] };
}

/** The vault's bytes of the base, while this node makes the differential backup that needs it. */
export async function baseArtifact(
  deps: Deps,
  node: AgentNode,
  recordId: number,
  range: { offset: number; length?: number } | null,
) {
  const held = await recordOfNode(deps, node, recordId);
  if (held.commandStatus !== "dispatched") {
    throw new DomainError(
      "BACKUP_RECORD_FORBIDDEN",
      `this node has no command for record ${recordId} in hand`,
    );
  }
  const copy = await deps.db
    .prepare(
      `select c.storage_path as storagePath from backup_records r
         join record_copies c on c.record_id = r.base_record_id and c.status = 'success'
         join storage_targets t on t.id = c.target_id and t.type = 'vault'
       where r.id = ?`,
    )
    .bind(recordId)
    .first<{ storagePath: string }>();
  if (!copy) throw new DomainError("ARTIFACT_NOT_FOUND", `record ${recordId} has no base in the vault`);
  return openArtifact(deps, copy.storagePath, range);
}
