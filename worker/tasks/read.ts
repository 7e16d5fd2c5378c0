import { desc, eq } from "drizzle-orm";
import { backupRecords, backupTasks } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import type { SealedTask } from "./secrets.ts";
import { type ShownTask, showTasks } from "./shown.ts";
import { type SurroundedTask, withSurroundings } from "./surroundings.ts";

type Recent = { runs: number; succeeded: number; successRate: number | null; verified: number };

const RECENT_RECORDS = 30;

/** One task and how its last runs went. */
export async function getTask(deps: Deps, id: number): Promise<SurroundedTask & { recent: Recent }> {
  const task = await readTask(deps, id);
  const [surrounded] = await withSurroundings(deps, [task]);
  return { nodeName: null, lastRecord: null, ...task, ...surrounded, recent: await recentRuns(deps, id) };
}

/** One task. Throws BACKUP_TASK_NOT_FOUND. */
export async function readTask(deps: Deps, id: number): Promise<ShownTask> {
  const [task] = await showTasks(
    deps,
    await deps.orm.select().from(backupTasks).where(eq(backupTasks.id, id)),
  );
  if (!task) throw noSuchTask(id);
  return task;
}

/** The columns that hold a task's secrets, sealed. */
export async function readSealed({ orm }: Deps, id: number): Promise<SealedTask> {
  const { secrets, secretNames, sealId } = backupTasks;
  const [row] = await orm
    .select({ secrets, secretNames, sealId })
    .from(backupTasks)
    .where(eq(backupTasks.id, id));
  if (!row) throw noSuchTask(id);
  return row;
}

export const noSuchTask = (id: number) =>
  new DomainError("BACKUP_TASK_NOT_FOUND", `there is no backup task ${id}`);

/** A missed record counts for every run it stands for; one that a person cancelled says nothing of success. */
async function recentRuns({ orm }: Deps, taskId: number): Promise<Recent> {
  const records = await orm
    .select({
      status: backupRecords.status,
      runs: backupRecords.runs,
      verifiedGrade: backupRecords.verifiedGrade,
    })
    .from(backupRecords)
    .where(eq(backupRecords.taskId, taskId))
    .orderBy(desc(backupRecords.id))
    // One more: at most one record of a task is not finished.
    .limit(RECENT_RECORDS + 1);
  const finished = records.filter(({ status }) => status !== "queued" && status !== "running");
  const counted = finished.slice(0, RECENT_RECORDS).filter(({ status }) => status !== "cancelled");
  const runs = counted.reduce((sum, record) => sum + record.runs, 0);
  const succeeded = counted.filter(({ status }) => status === "success").length;
  const verified = counted.filter(({ verifiedGrade }) => verifiedGrade !== null).length;
  return { runs, succeeded, verified, successRate: runs === 0 ? null : succeeded / runs };
}
