import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { violates } from "../errors.ts";
import { countTasksStatement } from "../overview/tally.ts";
import type { Actor } from "../users/actor.ts";
import {
  checkSettings,
  checkSurroundings,
  nextRunOf,
  nextVerifyOf,
  surroundingsAreThere,
  type TaskSettings,
} from "./check.ts";
import { taskNameTaken, vanished } from "./create.ts";
import { readSealed, readTask } from "./read.ts";
import { requireResticPassword } from "./restic.ts";
import { type SealedTask, sealChanged } from "./secrets.ts";
import type { ShownTask } from "./shown.ts";
import { tagStatements } from "./tags.ts";

export type TaskChanges = { [K in keyof TaskSettings]?: TaskSettings[K] | undefined } & {
  secrets?: Record<string, unknown> | undefined;
};

const ATTEMPTS = 3;

/**
 * Changes what was given. Runs that have started keep what they started with. A turn that is already due is not lost
 * by a change of anything but the schedule.
 */
export async function updateTask(
  deps: Deps,
  actor: Actor,
  id: number,
  { secrets, ...changes }: TaskChanges,
): Promise<ShownTask> {
  let next: TaskSettings | undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const before = await readTask(deps, id);
    const old = await readSealed(deps, id);
    next = { ...settingsOf(before), ...withoutUndefined(changes) };
    checkSettings(next);
    const sealed = await sealChanged(
      deps,
      { ...old, source: settingsOf(before).source },
      next.source,
      secrets,
    );
    requireResticPassword(next, sealed.secretNames);
    const surroundings = [
      "nodeId",
      "poolLabel",
      "source",
      "pipeline",
      "targetIds",
      "hooks",
      "verification",
    ] as const;
    if (touches(changes, surroundings)) await checkSurroundings(deps, next);
    if (await write(deps, actor, { ...before, ...old }, next, sealed, Object.keys(secrets ?? {}).sort()))
      return readTask(deps, id);
  }
  throw await vanished(deps, next as TaskSettings);
}

/** Writes unless the task has changed since it was read; says whether it did. */
async function write(
  deps: Deps,
  actor: Actor,
  before: ShownTask & SealedTask,
  next: TaskSettings,
  sealed: SealedTask,
  replacedSecrets: string[],
): Promise<boolean> {
  const [updated] = await deps.db
    .batch([
      updateStatement(deps, before, next, sealed),
      auditIfChanged(deps, actor, {
        action: "task.update",
        entity: "backup_task",
        entityId: before.id,
        before: { ...settingsOf(before), secretsSet: before.secretsSet },
        after: { ...next, secretsSet: JSON.parse(sealed.secretNames), replacedSecrets },
      }),
      // Each only when the one before it did something: the audit entry, then the removal of at least one target.
      deps.db.prepare("delete from task_targets where changes() > 0 and task_id = ?").bind(before.id),
      deps.db
        .prepare(
          `insert into task_targets (task_id, target_id, position)
           select ?1, value, key from json_each(?2) where changes() > 0`,
        )
        .bind(before.id, JSON.stringify(next.targetIds)),
      ...tagStatements(deps, before.id),
      ...(before.nodeId === next.nodeId ? [] : [countTasksStatement(deps, [before.nodeId, next.nodeId])]),
    ])
    .catch((error: unknown) => {
      throw violates(error, "backup_tasks.name") ? taskNameTaken(next.name) : error;
    });
  return updated?.meta.changes === 1;
}

function updateStatement(
  { db, now }: Deps,
  before: ShownTask & SealedTask,
  next: TaskSettings,
  sealed: SealedTask,
): D1PreparedStatement {
  const reschedule =
    before.schedule !== next.schedule || before.timeZone !== next.timeZone || before.enabled !== next.enabled;
  const reverify =
    JSON.stringify(before.verification) !== JSON.stringify(next.verification) ||
    before.timeZone !== next.timeZone ||
    before.enabled !== next.enabled;
  return db
    .prepare(
      `update backup_tasks set node_id = ?1, name = ?3, source = ?4, pipeline = ?5, pool_label = ?6, schedule = ?7,
         time_zone = ?8, next_run_at = case when ?9 then ?10 else next_run_at end,
         overdue_at = iif(?9, null, overdue_at), enabled = ?11, updated_at = ?12,
         secrets = ?15, secret_names = ?16, seal_id = ?17, hooks = ?18,
         verification = ?19, next_verify_at = case when ?20 then ?21 else next_verify_at end,
         retention = ?22, tags = ?23
       where id = ?13 and updated_at = ?14 and ${surroundingsAreThere}`,
    )
    .bind(
      next.nodeId,
      JSON.stringify(next.targetIds),
      next.name,
      JSON.stringify(next.source),
      JSON.stringify(next.pipeline),
      next.poolLabel,
      next.schedule,
      next.timeZone,
      Number(reschedule),
      nextRunOf(next, now()),
      Number(next.enabled),
      // Also two changes within a millisecond must tell each other apart.
      Math.max(now(), before.updatedAt + 1),
      before.id,
      before.updatedAt,
      sealed.secrets,
      sealed.secretNames,
      sealed.sealId,
      next.hooks && JSON.stringify(next.hooks),
      next.verification && JSON.stringify(next.verification),
      Number(reverify),
      nextVerifyOf(next, now()),
      next.retention && JSON.stringify(next.retention),
      JSON.stringify(next.tags),
    );
}

const settingsOf = (task: ShownTask): TaskSettings => ({
  name: task.name,
  source: task.source as TaskSettings["source"],
  pipeline: task.pipeline as TaskSettings["pipeline"],
  nodeId: task.nodeId,
  poolLabel: task.poolLabel,
  targetIds: task.targetIds,
  hooks: task.hooks as TaskSettings["hooks"],
  schedule: task.schedule,
  timeZone: task.timeZone,
  verification: task.verification as TaskSettings["verification"],
  retention: task.retention as TaskSettings["retention"],
  enabled: task.enabled,
  tags: task.tags,
});

const touches = (changes: TaskChanges, fields: readonly (keyof TaskSettings)[]) =>
  fields.some((field) => changes[field] !== undefined);

const withoutUndefined = (changes: TaskChanges) =>
  Object.fromEntries(
    Object.entries(changes).filter(([, value]) => value !== undefined),
  ) as Partial<TaskSettings>;
