import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { DomainError, violates } from "../errors.ts";
import { countTasksStatement, tallyIfChanged } from "../overview/tally.ts";
import type { Actor } from "../users/actor.ts";
import {
  checkSettings,
  checkSurroundings,
  nextRunOf,
  nextVerifyOf,
  surroundingsAreThere,
  type TaskSettings,
} from "./check.ts";
import { readTask } from "./read.ts";
import { requireResticPassword } from "./restic.ts";
import { type SealedTask, sealNew } from "./secrets.ts";
import type { ShownTask } from "./shown.ts";

/**
 * Adds a backup task with its targets. Throws INVALID_INPUT, SCHEDULE_INVALID, NODE_NOT_FOUND,
 * STORAGE_TARGET_NOT_FOUND, NODE_CANNOT_RUN_TASK or NAME_TAKEN.
 */
export async function createTask(
  deps: Deps,
  actor: Actor,
  { secrets, ...task }: TaskSettings & { secrets: Record<string, unknown> },
): Promise<ShownTask> {
  checkSettings(task);
  const sealed = await sealNew(deps, task.source, secrets);
  requireResticPassword(task, sealed.secretNames);
  await checkSurroundings(deps, task);
  const [inserted] = await deps.db
    .batch<{ id: number }>([
      insertStatement(deps, task, sealed),
      auditIfChanged(deps, actor, {
        action: "task.create",
        entity: "backup_task",
        entityId: null,
        after: { ...task, secretsSet: JSON.parse(sealed.secretNames) },
      }),
      tallyIfChanged(deps, "tasks", 1),
      // The audit entry was written only if the task was, so one look at changes() is enough.
      deps.db
        .prepare(
          `insert into task_targets (task_id, target_id, position)
           select t.id, target.value, target.key from backup_tasks t, json_each(?2) target
           where changes() > 0 and t.name = ?1`,
        )
        .bind(task.name, JSON.stringify(task.targetIds)),
      deps.db
        .prepare(
          `insert into task_tags (tag, task_id)
           select tag.value, t.id from backup_tasks t, json_each(t.tags) tag where changes() > 0 and t.name = ?`,
        )
        .bind(task.name),
      countTasksStatement(deps, [task.nodeId]),
    ])
    .catch((error: unknown) => {
      throw violates(error, "backup_tasks.name") ? taskNameTaken(task.name) : error;
    });
  const id = inserted?.results[0]?.id;
  if (id === undefined) throw await vanished(deps, task);
  return readTask(deps, id);
}

export const taskNameTaken = (name: string) =>
  new DomainError("NAME_TAKEN", `there already is a backup task named ${name}`);

/** The node or a target was there a moment ago and is not any more: says which. */
export async function vanished(deps: Deps, task: TaskSettings): Promise<DomainError> {
  await checkSurroundings(deps, task);
  return new DomainError("MASTER_OVERLOADED", "this task is being changed by others; try again in a moment");
}

function insertStatement({ db, now }: Deps, task: TaskSettings, sealed: SealedTask): D1PreparedStatement {
  return db
    .prepare(
      `insert into backup_tasks (node_id, name, source, pipeline, pool_label, schedule, time_zone, next_run_at,
         enabled, created_at, updated_at, secrets, secret_names, seal_id, hooks, verification, next_verify_at,
         retention, tags)
       select ?1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19
       where ${surroundingsAreThere} returning id`,
    )
    .bind(
      task.nodeId,
      JSON.stringify(task.targetIds),
      task.name,
      JSON.stringify(task.source),
      JSON.stringify(task.pipeline),
      task.poolLabel,
      task.schedule,
      task.timeZone,
      nextRunOf(task, now()),
      Number(task.enabled),
      now(),
      sealed.secrets,
      sealed.secretNames,
      sealed.sealId,
      task.hooks && JSON.stringify(task.hooks),
      task.verification && JSON.stringify(task.verification),
      nextVerifyOf(task, now()),
      task.retention && JSON.stringify(task.retention),
      JSON.stringify(task.tags),
    );
}
