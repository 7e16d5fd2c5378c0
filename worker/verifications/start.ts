import type { z } from "zod";
import type { adminApi, states } from "../../protocol/index.ts";
import type { Grade } from "../../protocol/verification.ts";
import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { DomainError, violates } from "../errors.ts";
import { type ReadingNode, readingNode, requireOpener } from "../restores/reading-node.ts";
import { isGoAgent } from "../tasks/can-run.ts";
import type { Actor } from "../users/actor.ts";

type Request = z.output<typeof adminApi.verifyRecord.body>;
type Started = z.input<typeof adminApi.verifyRecord.reply>;
type Verifiable = {
  id: number;
  taskId: number;
  nodeId: number | null;
  status: string;
  encrypted: number;
  engine: string | null;
  deletedAt: number | null;
};
type Copy = { targetId: number; targetName: string; type: string };
type VerifyDue = { expected: number; next: number | null };
/** The schedule's turn that this takes: it starts only if `next_verify_at` still is `expected`, and sets it to `next`. */
type Turn = { trigger: states.Trigger; due: VerifyDue };

/** Up to this grade nothing needs to be decrypted. */
const READABLE_BY_ALL: Grade = 2;

/**
 * Starts a verification of each copy that the node reaches, or of the named one: rows, commands and audit entry in one
 * batch. Throws RECORD_NOT_VERIFIABLE, NODE_NOT_FOUND, NODE_CANNOT_RUN_TASK, or RECORD_BUSY while one of the copies is
 * being verified; returns null when another sweep has taken this turn of the schedule, or one of the task is going on.
 */
export async function startVerification(
  deps: Deps,
  actor: Actor,
  recordId: number,
  request: Request,
  turn?: Turn,
): Promise<Started | null> {
  const record = await verifiableRecord(deps, recordId);
  const node = await readingNode(deps, request.nodeId ?? record.nodeId);
  requireAbleAgent(node, record, request.grade);
  const { reachable, unreachable } = await copiesFor(deps, record, node, request.targetId);
  const results = await deps.db
    .batch<{ id: number; targetId: number }>([
      ...(turn ? [turnStatement(deps, record.taskId, turn.due)] : []),
      insertStatement(deps, record.id, node.id, reachable, request, turn),
      commandsStatement(deps, record.id),
      linkStatement(deps, record.id),
      auditIfChanged(deps, actor, {
        action: "record.verify",
        entity: "backup_record",
        entityId: recordId,
        after: { ...request, node: node.name, targets: reachable.map(({ targetName }) => targetName) },
      }),
    ])
    .catch((error: unknown) => {
      throw violates(error, "verifications.task_id") ? beingVerified(recordId) : error;
    });
  const inserted = results[turn ? 1 : 0]?.results ?? [];
  const verifications = inserted.map(({ id, targetId }) => ({ verificationId: id, targetId }));
  if (verifications.length === 0) {
    if (turn) return null;
    throw new DomainError("RECORD_NOT_VERIFIABLE", `record ${recordId} or its node has just been removed`);
  }
  await deps.bell.ring([node.id]);
  return { nodeId: node.id, verifications, unreachable };
}

const beingVerified = (recordId: number) =>
  new DomainError("RECORD_BUSY", `record ${recordId} is being verified already`);

async function verifiableRecord({ db }: Deps, id: number): Promise<Verifiable> {
  const record = await db
    .prepare(
      `select id, task_id as taskId, node_id as nodeId, status, deleted_at as deletedAt,
         (pipeline ->> 'encryption') is not null as encrypted, pipeline ->> 'engine' as engine
       from backup_records where id = ?`,
    )
    .bind(id)
    .first<Verifiable>();
  if (!record) throw new DomainError("BACKUP_RECORD_NOT_FOUND", `there is no record ${id}`);
  if (record.status !== "success" || record.deletedAt !== null) {
    const state = record.deletedAt === null ? record.status : "being deleted";
    throw new DomainError("RECORD_NOT_VERIFIABLE", `record ${id} cannot be verified: it is ${state}`);
  }
  return record;
}

function requireAbleAgent(node: ReadingNode, record: Verifiable, grade: Grade): void {
  if (isGoAgent(node)) {
    throw new DomainError(
      "NODE_CANNOT_RUN_TASK",
      `${node.name} runs a BackupX Go agent, which verifies nothing: name another node, or install backupx-agent on it`,
    );
  }
  requireOpener(node, {
    encrypted: record.encrypted === 1 && grade > READABLE_BY_ALL,
    byRestic: record.engine === "restic",
  });
}

/** What lies on a node's own disk is there for that node alone. */
async function copiesFor(
  { db }: Deps,
  record: Verifiable,
  node: ReadingNode,
  targetId: number | undefined,
): Promise<{ reachable: Copy[]; unreachable: { targetId: number; targetName: string }[] }> {
  const { results } = await db
    .prepare(
      `select c.target_id as targetId, t.name as targetName, t.type from record_copies c
       join storage_targets t on t.id = c.target_id
       where c.record_id = ?1 and c.status in ('success', 'damaged') and (?2 is null or c.target_id = ?2)
       order by c.target_id`,
    )
    .bind(record.id, targetId ?? null)
    .all<Copy>();
  const isReachable = ({ type }: Copy) => type !== "local_disk" || node.id === record.nodeId;
  const reachable = results.filter(isReachable);
  if (reachable.length > 0) {
    const others = results.filter((copy) => !isReachable(copy));
    return { reachable, unreachable: others.map(({ targetId, targetName }) => ({ targetId, targetName })) };
  }
  throw new DomainError(
    "RECORD_NOT_VERIFIABLE",
    results.length === 0
      ? `record ${record.id} has no copy${targetId === undefined ? "" : ` in target ${targetId}`}`
      : `the only copy lies on the disk of node ${record.nodeId}; ${node.name} cannot reach it`,
  );
}

/** Takes the turn, unless a verification of this task is still going on. */
const turnStatement = ({ db }: Deps, taskId: number, due: VerifyDue): D1PreparedStatement =>
  db
    .prepare(
      `update backup_tasks set next_verify_at = ?1 where id = ?2 and next_verify_at = ?3 and not exists (
         select 1 from verifications where task_id = ?2 and status in ('queued', 'running'))`,
    )
    .bind(due.next, taskId, due.expected);

function insertStatement(
  { db, now }: Deps,
  recordId: number,
  nodeId: number,
  copies: Copy[],
  request: Request,
  turn: Turn | undefined,
): D1PreparedStatement {
  return db
    .prepare(
      `insert into verifications
         (task_id, record_id, target_id, node_id, status, trigger, grade, identity_file, created_at)
       select r.task_id, r.id, c.target_id, n.id, 'queued', ?1, ?2, ?3, ?4
       from backup_records r join nodes n on n.id = ?5
         join record_copies c on c.record_id = r.id and c.status in ('success', 'damaged')
       where ${turn ? "changes() > 0 and " : ""} r.id = ?6 and r.status = 'success' and r.deleted_at is null
         and c.target_id in (select value from json_each(?7))
       order by c.target_id returning id, target_id as targetId`,
    )
    .bind(
      turn?.trigger ?? "manual",
      request.grade,
      request.identityFile,
      now(),
      nodeId,
      recordId,
      JSON.stringify(copies.map(({ targetId }) => targetId)),
    );
}

const NEW = "record_id = ?1 and status = 'queued' and command_id is null";

const commandsStatement = ({ db, now }: Deps, recordId: number): D1PreparedStatement =>
  db
    .prepare(
      `insert into agent_commands (node_id, type, lane, payload, verification_id, created_at, updated_at)
       select node_id, 'verify_record', 'work', json_object('verificationId', id), id, ?2, ?2
       from verifications where changes() > 0 and ${NEW}`,
    )
    .bind(recordId, now());

/** What is open of a node has no completed_at, so its history is not read. */
const linkStatement = ({ db }: Deps, recordId: number): D1PreparedStatement =>
  db
    .prepare(
      `update verifications set command_id = (select c.id from agent_commands c
         where c.node_id = verifications.node_id and c.completed_at is null and c.verification_id = verifications.id)
       where changes() > 0 and ${NEW}`,
    )
    .bind(recordId);
