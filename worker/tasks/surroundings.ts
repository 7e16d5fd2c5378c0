import type { z } from "zod";
import type { objects } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import type { ShownTask } from "./shown.ts";

export type SurroundedTask = ShownTask & z.input<typeof objects.taskSurroundings>;
type LastRecord = NonNullable<SurroundedTask["lastRecord"]> & { taskId: number };

/** Tasks with their nodes' names and last runs: one batch for all of them, and one index look-up for each. */
export async function withSurroundings({ db }: Deps, tasks: ShownTask[]): Promise<SurroundedTask[]> {
  const [names, records] = await db.batch([
    db
      .prepare("select id, name from nodes where id in (select value from json_each(?))")
      .bind(JSON.stringify(tasks.map(({ nodeId }) => nodeId))),
    db
      .prepare(
        `select r.task_id as taskId, r.id, r.status, r.error_message as errorMessage,
           r.warning_count as warningCount, r.size_bytes as sizeBytes, r.created_at as createdAt,
           r.finished_at as finishedAt
         from json_each(?) t join backup_records r
           on r.id = (select id from backup_records where task_id = t.value order by id desc limit 1)`,
      )
      .bind(JSON.stringify(tasks.map(({ id }) => id))),
  ]);
  const nameOf = new Map(
    ((names?.results ?? []) as { id: number; name: string }[]).map(({ id, name }) => [id, name]),
  );
  const lastOf = new Map(
    ((records?.results ?? []) as LastRecord[]).map(({ taskId, ...record }) => [taskId, record] as const),
  );
  return tasks.map((task) => ({
    ...task,
    nodeName: task.nodeId === null ? null : (nameOf.get(task.nodeId) ?? null),
    lastRecord: lastOf.get(task.id) ?? null,
  }));
}
