import { objects } from "../../protocol/index.ts";
import type { Trigger } from "../../protocol/states.ts";
import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { DomainError, violates } from "../errors.ts";
import { readTargets } from "../targets/read.ts";
import type { Needs } from "../tasks/can-run.ts";
import { chooseNode } from "../tasks/choose-node.ts";
import type { Actor } from "../users/actor.ts";
import { joinBase } from "./base.ts";

export type Started = { recordId: number; commandId: number; nodeId: number };
/** The schedule's turn that this run takes: it starts only if `next_run_at` still is `expected`, and sets it to `next`. */
export type Due = { expected: number; next: number | null };

type TaskToRun = { name: string; nodeId: number | null; poolLabel: string | null; needs: Needs };

/**
 * Starts a backup: record, command and audit entry in one batch, so there is never one without the others. Throws
 * TASK_ALREADY_RUNNING with the record's id while one is queued or running, and NODE_NOT_FOUND or NODE_POOL_EMPTY when
 * nobody can run it; returns null when another sweep has taken this turn of the schedule.
 */
export async function startRun(
  deps: Deps,
  actor: Actor,
  run: { taskId: number; trigger: Trigger; due?: Due },
): Promise<Started | null> {
  const task = await taskToRun(deps, run.taskId);
  const node = await chooseNode(deps, task, task.needs);
  const results = await deps.db
    .batch<{ id: number }>([
      turnStatement(deps, run.taskId, node.id, run.due),
      recordStatement(deps, run.taskId, node.id, run.trigger),
      commandStatement(deps),
      linkStatement(deps),
      auditIfChanged(deps, actor, { action: "task.run", entity: "backup_task", entityId: run.taskId }),
    ])
    .catch(async (error: unknown) => {
      throw violates(error, "backup_records.task_id")
        ? await alreadyRunning(deps, run.taskId, task.name)
        : error;
    });
  const recordId = results[1]?.results[0]?.id;
  const commandId = results[2]?.results[0]?.id;
  if (recordId === undefined || commandId === undefined) {
    if (run.due) return null;
    throw new DomainError("BACKUP_TASK_NOT_FOUND", `task ${run.taskId} or its node has just been removed`);
  }
  await deps.bell.ring([node.id]);
  return { recordId, commandId, nodeId: node.id };
}

async function taskToRun(deps: Deps, id: number): Promise<TaskToRun> {
  const row = await deps.db
    .prepare(
      `select name, node_id as nodeId, pool_label as poolLabel, source, pipeline, hooks,
         (select json_group_array(target_id) from task_targets where task_id = ?1) as targetIds
       from backup_tasks where id = ?1`,
    )
    .bind(id)
    .first<
      Omit<TaskToRun, "needs"> & { source: string; pipeline: string; hooks: string | null; targetIds: string }
    >();
  if (!row) throw new DomainError("BACKUP_TASK_NOT_FOUND", `there is no task ${id}`);
  const { compression, encryption, differential, engine } = objects.pipeline.parse(JSON.parse(row.pipeline));
  const needs = {
    source: objects.source.parse(JSON.parse(row.source)),
    compression,
    engine,
    encrypted: encryption !== null,
    differential: differential !== null,
    hooks: row.hooks === null ? null : objects.hooks.parse(JSON.parse(row.hooks)),
    targets: await readTargets(deps, JSON.parse(row.targetIds)),
  };
  return { name: row.name, nodeId: row.nodeId, poolLabel: row.poolLabel, needs };
}

/**
 * Takes the turn, or (by hand) only touches the task: either way the next statement looks whether a row changed. A turn
 * is not taken for a node that has just been removed, or it would be lost without a record.
 */
function turnStatement(
  { db }: Deps,
  taskId: number,
  nodeId: number,
  due: Due | undefined,
): D1PreparedStatement {
  return due
    ? db
        .prepare(
          `update backup_tasks set next_run_at = ? where id = ? and next_run_at = ? and enabled = 1
             and exists (select 1 from nodes where id = ?)`,
        )
        .bind(due.next, taskId, due.expected, nodeId)
    : db.prepare("update backup_tasks set updated_at = updated_at where id = ?").bind(taskId);
}

function recordStatement(
  { db, now }: Deps,
  taskId: number,
  nodeId: number,
  trigger: string,
): D1PreparedStatement {
  return db
    .prepare(
      `insert into backup_records
         (task_id, task_name, node_id, status, trigger, source_type, compression, source, pipeline, target_ids,
          created_at, kind, base_record_id)
       select t.id, t.name, n.id, 'queued', ?3, t.source ->> 'type', t.pipeline ->> 'compression', t.source, t.pipeline,
         t.target_ids, ?4, iif(b.id is null, 'full', 'differential'), b.id
       from (select *, (select json_group_array(target_id) from (
            select target_id from task_targets where task_id = ?1 order by position)) as target_ids
          from backup_tasks where id = ?1) t
         join nodes n on n.id = ?2
         ${joinBase}
       where changes() > 0
       returning id`,
    )
    .bind(taskId, nodeId, trigger, now());
}

function commandStatement({ db, now }: Deps): D1PreparedStatement {
  return db
    .prepare(
      `insert into agent_commands (node_id, type, lane, payload, record_id, created_at, updated_at)
       select node_id, 'run_task', 'work', json_object('taskId', task_id, 'recordId', id), id, ?1, ?1
       from backup_records where changes() > 0 and id = last_insert_rowid()
       returning id`,
    )
    .bind(now());
}

function linkStatement({ db }: Deps): D1PreparedStatement {
  return db.prepare(
    `update backup_records set command_id = last_insert_rowid()
     where changes() > 0 and id = (select record_id from agent_commands where id = last_insert_rowid())`,
  );
}

async function alreadyRunning({ db }: Deps, taskId: number, name: string): Promise<DomainError> {
  const active = await db
    .prepare("select id from backup_records where task_id = ? and status in ('queued', 'running')")
    .bind(taskId)
    .first<{ id: number }>();
  return new DomainError(
    "TASK_ALREADY_RUNNING",
    `task ${name} is already running: record ${active?.id ?? "just ended"}`,
    active ? { details: { recordId: active.id } } : {},
  );
}
