import type { z } from "zod";
import { objects } from "../../protocol/index.ts";
import type { backupTasks } from "../db/schema.ts";
import type { Deps } from "../deps.ts";

export type TaskRow = typeof backupTasks.$inferSelect;
export type ShownTask = z.input<typeof objects.task>;

/** Rows as people see them, with their targets in order; one query for all of them. */
export async function showTasks({ db }: Deps, rows: TaskRow[]): Promise<ShownTask[]> {
  const { results } = await db
    .prepare(
      `select task_id as taskId, target_id as targetId from task_targets
       where task_id in (select value from json_each(?)) order by task_id, position`,
    )
    .bind(JSON.stringify(rows.map(({ id }) => id)))
    .all<{ taskId: number; targetId: number }>();
  const targetIds = Map.groupBy(results, ({ taskId }) => taskId);
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    source: objects.source.parse(JSON.parse(row.source)),
    pipeline: objects.pipeline.parse(JSON.parse(row.pipeline)),
    nodeId: row.nodeId,
    poolLabel: row.poolLabel,
    targetIds: (targetIds.get(row.id) ?? []).map(({ targetId }) => targetId),
    secretsSet: JSON.parse(row.secretNames),
    hooks: row.hooks === null ? null : objects.hooks.parse(JSON.parse(row.hooks)),
    schedule: row.schedule,
    timeZone: row.timeZone,
    nextRunAt: row.nextRunAt,
    verification:
      row.verification === null ? null : objects.taskVerification.parse(JSON.parse(row.verification)),
    nextVerifyAt: row.nextVerifyAt,
    verifiedAt: row.verifiedAt,
    verifiedGrade: row.verifiedGrade as ShownTask["verifiedGrade"],
    retention: row.retention === null ? null : objects.retention.parse(JSON.parse(row.retention)),
    enabled: row.enabled,
    tags: JSON.parse(row.tags),
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  }));
}
