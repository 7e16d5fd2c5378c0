import type { objects } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { readNode } from "../nodes/read.ts";
import { nextRun, validateSchedule } from "../schedules/expression.ts";
import { readTargets } from "../targets/read.ts";
import { commandPrograms, hookPrograms } from "./can-read.ts";
import { type Able, whyItCannotRun, whyItCannotStart } from "./can-run.ts";
import { poolMembers } from "./choose-node.ts";
import { checkResticSettings, checkResticTargets } from "./restic.ts";

/** What a person says of a task. */
export type TaskSettings = {
  name: string;
  source: objects.Source;
  pipeline: objects.Pipeline;
  nodeId: number | null;
  poolLabel: string | null;
  targetIds: number[];
  hooks: objects.Hooks | null;
  schedule: string | null;
  timeZone: string;
  verification: objects.TaskVerification | null;
  retention: objects.Retention | null;
  enabled: boolean;
  tags: string[];
};

const GZIP_LEVELS = 9;

/** Refuses settings that contradict themselves, whatever the master knows of nodes and targets. */
export function checkSettings(task: TaskSettings): void {
  if ((task.nodeId === null) === (task.poolLabel === null)) {
    throw invalid("nodeId: give either a node or a poolLabel, not both");
  }
  if (new Set(task.targetIds).size !== task.targetIds.length) throw invalid("targetIds: one is there twice");
  const { compression, level, differential } = task.pipeline;
  if (compression === "gzip" && level !== null && level > GZIP_LEVELS) {
    throw invalid(`pipeline.level: gzip has levels 1 to ${GZIP_LEVELS}`);
  }
  if (compression === "none" && level !== null) throw invalid("pipeline.level: nothing is compressed");
  if (differential && (task.source.type !== "file" || compression !== "zstd")) {
    throw invalid(
      "pipeline.differential: only backups of files that are packed with zstd can be differential",
    );
  }
  checkResticSettings(task);
  // A time zone is checked also while there is no schedule, for one may follow.
  validateSchedule(task.schedule ?? "0 0 * * *", task.timeZone);
  if (task.verification !== null) validateSchedule(task.verification.schedule, task.timeZone);
}

/** Refuses a node or targets that are not there, and a node whose agent is known to be unable to run it. */
export async function checkSurroundings(deps: Deps, task: TaskSettings): Promise<void> {
  const targets = await readTargets(deps, task.targetIds);
  const missing = task.targetIds.filter((id) => !targets.some((target) => target.id === id));
  if (missing.length > 0) {
    throw new DomainError("STORAGE_TARGET_NOT_FOUND", `there is no storage target ${missing.join(", ")}`);
  }
  // There is one vault, and a record has one key in it: a second copy there would be the first one again.
  const vaults = targets.filter((target) => target.type === "vault");
  if (vaults.length > 1) {
    throw invalid(
      `targetIds: ${vaults.map(({ name }) => name).join(" and ")} are both the vault: choose one`,
    );
  }
  if (task.pipeline.engine === "restic") checkResticTargets(targets);
  const { compression, encryption, differential, engine } = task.pipeline;
  const needs = {
    source: task.source,
    compression,
    engine,
    encrypted: encryption !== null,
    differential: differential !== null,
    hooks: task.hooks,
    targets,
  };
  const verifier = task.verification?.nodeId ?? null;
  // Whoever makes a record also restores and verifies it, unless another node is named.
  const later = [
    ...commandPrograms(task.source, verifier === null ? ["restore", "verify"] : ["restore"]),
    ...hookPrograms(task.hooks),
  ];
  const obstacleOf: ObstacleOf = (node) => whyItCannotRun(node, needs) ?? whyItCannotStart(node, later);
  if (task.nodeId !== null) requireAble(await readNode(deps, task.nodeId), obstacleOf);
  if (task.poolLabel !== null) await requireAbleMember(deps, task.poolLabel, obstacleOf);
  if (verifier !== null) {
    const verify = commandPrograms(task.source, ["verify"]);
    requireAble(await readNode(deps, verifier), (node) => whyItCannotStart(node, verify));
  }
}

/** Why a node is not fit for a task, in words that end with what to do; null when nothing is known against it. */
type ObstacleOf = (node: Able) => string | null;

function requireAble(node: Able, obstacleOf: ObstacleOf): void {
  const obstacle = obstacleOf(node);
  if (obstacle) throw new DomainError("NODE_CANNOT_RUN_TASK", obstacle);
}

/** Who is in a pool changes, so an empty one is no obstacle; but nobody waits for a node that is not there yet. */
async function requireAbleMember(deps: Deps, label: string, obstacleOf: ObstacleOf): Promise<void> {
  const members = await poolMembers(deps, label);
  const obstacles = members.map(obstacleOf);
  const [first] = obstacles;
  if (!first || obstacles.includes(null)) return;
  throw new DomainError("NODE_CANNOT_RUN_TASK", `no node of pool ${label} can: ${first}`);
}

/** When its schedule says so next; null while it has none or is disabled. */
export function nextRunOf(
  task: Pick<TaskSettings, "schedule" | "timeZone" | "enabled">,
  now: number,
): number | null {
  return task.enabled && task.schedule !== null ? nextRun(task.schedule, task.timeZone, now) : null;
}

/** When its newest record is to be verified next; null while it has no schedule for that or is disabled. */
export function nextVerifyOf(
  { verification, timeZone, enabled }: Pick<TaskSettings, "verification" | "timeZone" | "enabled">,
  now: number,
): number | null {
  return enabled && verification !== null ? nextRun(verification.schedule, timeZone, now) : null;
}

/** The same checks of nodes and targets as conditions of the statement that writes: ?1 a node's id, ?2 targets as JSON. */
export const surroundingsAreThere = `(?1 is null or exists (select 1 from nodes where id = ?1))
  and not exists (select 1 from json_each(?2) where value not in (select id from storage_targets))`;

const invalid = (message: string) => new DomainError("INVALID_INPUT", message);
