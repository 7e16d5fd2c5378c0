import type { z } from "zod";
import { type adminApi, objects } from "../../protocol/index.ts";
import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { isPackedByOurs } from "../records/object-key.ts";
import { commandPrograms } from "../tasks/can-read.ts";
import { isGoAgent, whyItCannotRead, whyItCannotStart } from "../tasks/can-run.ts";
import type { Actor } from "../users/actor.ts";
import { chooseCopy } from "./choose-copy.ts";
import { type ReadingNode, readingNode, requireOpener } from "./reading-node.ts";

type Request = z.output<typeof adminApi.restoreRecord.body>;
type Restorable = {
  id: number;
  taskId: number;
  nodeId: number | null;
  status: string;
  encrypted: number;
  engine: string;
  baseId: number | null;
  deletedAt: number | null;
  fileName: string;
  source: string;
};

/**
 * Starts a restore: its row, command and audit entry in one batch. The copy is the one asked for, or the one that the
 * node reaches best; what lies on a node's own disk can be restored by that node alone.
 */
export async function startRestore(
  deps: Deps,
  actor: Actor,
  recordId: number,
  request: Request,
): Promise<{ restoreId: number; commandId: number; nodeId: number }> {
  const record = await restorableRecord(deps, recordId);
  const node = await readingNode(deps, request.nodeId ?? record.nodeId);
  requireAbleAgent(node, record, request);
  const place = { node, recordNodeId: record.nodeId };
  const copy = await chooseCopy(deps, { recordId, targetId: request.targetId, ...place });
  if (record.baseId !== null) await chooseCopy(deps, { recordId: record.baseId, ...place });
  const results = await deps.db.batch<{ id: number }>([
    restoreStatement(deps, recordId, copy.targetId, node.id, request),
    commandStatement(deps),
    deps.db.prepare(
      `update restore_records set command_id = last_insert_rowid()
       where changes() > 0 and id = (select restore_id from agent_commands where id = last_insert_rowid())`,
    ),
    auditIfChanged(deps, actor, {
      action: "record.restore",
      entity: "backup_record",
      entityId: recordId,
      after: { node: node.name, target: copy.targetName, ...request },
    }),
  ]);
  const restoreId = results[0]?.results[0]?.id;
  const commandId = results[1]?.results[0]?.id;
  if (restoreId === undefined || commandId === undefined) {
    throw new DomainError("RECORD_NOT_RESTORABLE", `record ${recordId} has just been removed`);
  }
  await deps.bell.ring([node.id]);
  return { restoreId, commandId, nodeId: node.id };
}

async function restorableRecord({ db }: Deps, id: number): Promise<Restorable> {
  const record = await db
    .prepare(
      `select id, task_id as taskId, node_id as nodeId, status, deleted_at as deletedAt, file_name as fileName,
         source, base_record_id as baseId, (pipeline ->> 'encryption') is not null as encrypted,
         coalesce(pipeline ->> 'engine', 'archive') as engine from backup_records where id = ?`,
    )
    .bind(id)
    .first<Restorable>();
  if (!record) throw new DomainError("BACKUP_RECORD_NOT_FOUND", `there is no record ${id}`);
  if (record.status !== "success" || record.deletedAt !== null) {
    const state = record.deletedAt === null ? record.status : "being deleted";
    throw new DomainError("RECORD_NOT_RESTORABLE", `record ${id} cannot be restored: it is ${state}`);
  }
  return record;
}

/**
 * Both kinds of agent pack the same files under other names: ours by their absolute paths, a Go agent from the parent
 * of each source path. What one has packed, the other would put into the wrong place.
 */
function requireAbleAgent(node: ReadingNode, record: Restorable, request: Request): void {
  requireOpener(node, { encrypted: record.encrypted === 1, byRestic: record.engine === "restic" });
  const source = objects.source.parse(JSON.parse(record.source));
  if (request.dryRun && (source.type !== "file" || record.engine === "restic"))
    throw new DomainError(
      "INVALID_INPUT",
      "dryRun: only a restore of an archive of files can be tried without writing",
    );
  const isOurs = isPackedByOurs(record);
  // To a destination, what was dumped is written as it is, which needs no program.
  const unable =
    request.destination === null
      ? (whyItCannotRead(node, source.type) ?? whyItCannotStart(node, commandPrograms(source, ["restore"])))
      : null;
  if (unable) throw new DomainError("NODE_CANNOT_RUN_TASK", unable);
  const obstacle = isGoAgent(node)
    ? goAgentLacks(source, isOurs, request)
    : isOurs
      ? null
      : agentLacks(source, request);
  if (obstacle) throw new DomainError("NODE_CANNOT_RUN_TASK", `${node.name} runs ${obstacle}`);
}

function goAgentLacks(source: objects.Source, isOurs: boolean, request: Request): string | null {
  const agent = "a BackupX Go agent, which";
  if (request.dryRun) return `${agent} cannot tell what a restore would do: try it on another node`;
  const { databases, renameDatabases } = request.options;
  const partly = databases !== null || Object.keys(renameDatabases).length > 0;
  if (request.destination !== null || request.selectedPaths !== null || partly) {
    return `${agent} restores whole backups to their own place only`;
  }
  if (isOurs) return `${agent} cannot restore what backupx-agent has packed: restore it by another node`;
  if (source.type === "file" && new Set(source.paths.map(parentOf)).size > 1) {
    return `${agent} restores everything beside the first of the paths, and these lie in different folders: install backupx-agent on it and restore to a destination`;
  }
  return request.conflict === "overwrite"
    ? null
    : `${agent} replaces the files that exist: choose the conflict policy overwrite if it may`;
}

function agentLacks({ type }: objects.Source, request: Request): string | null {
  const agent = "backupx-agent, but a BackupX Go agent has packed this backup:";
  if (type === "sqlite") return `${agent} only a Go agent can restore its SQLite file`;
  if (type !== "file") return `${agent} only a Go agent can restore its databases`;
  return request.destination !== null && request.selectedPaths === null
    ? null
    : `${agent} it can be restored whole, and to a destination, where its folders appear without their parents`;
}

const parentOf = (path: string) => path.replace(/[\\/]+$/, "").replace(/[\\/][^\\/]*$/, "");

function restoreStatement(
  { db, now }: Deps,
  recordId: number,
  targetId: number,
  nodeId: number,
  request: Request,
): D1PreparedStatement {
  return db
    .prepare(
      `insert into restore_records
         (record_id, target_id, node_id, status, destination, selected_paths, conflict, identity_file,
          created_at, options, dry_run)
       select r.id, ?2, n.id, 'queued', ?4, ?5, ?6, ?7, ?8, ?9, ?10
       from backup_records r join nodes n on n.id = ?3
       where r.id = ?1 and r.status = 'success' and r.deleted_at is null
       returning id`,
    )
    .bind(
      recordId,
      targetId,
      nodeId,
      request.destination,
      request.selectedPaths === null ? null : JSON.stringify(request.selectedPaths),
      request.conflict,
      request.identityFile,
      now(),
      JSON.stringify(request.options),
      request.dryRun ? 1 : 0,
    );
}

function commandStatement({ db, now }: Deps): D1PreparedStatement {
  return db
    .prepare(
      `insert into agent_commands (node_id, type, lane, payload, restore_id, created_at, updated_at)
       select node_id, 'restore_record', 'work', json_object('restoreRecordId', id), id, ?1, ?1
       from restore_records where changes() > 0 and id = last_insert_rowid()
       returning id`,
    )
    .bind(now());
}
