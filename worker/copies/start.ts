import { z } from "zod";
import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { objectPrefix } from "../records/object-key.ts";
import { type Copy, chooseCopy } from "../restores/choose-copy.ts";
import { readTarget } from "../targets/read.ts";
import type { TargetRow } from "../targets/shown.ts";
import { type Able, capabilitiesOf, isGoAgent } from "../tasks/can-run.ts";
import type { Actor } from "../users/actor.ts";

type Request = { targetId: number; fromTargetId?: number | undefined; nodeId?: number | undefined };
type Copyable = {
  id: number;
  nodeId: number | null;
  status: string;
  sourceType: string;
  fileName: string;
  sizeBytes: number;
  baseRecordId: number | null;
  isSnapshot: number;
  createdAt: number;
  deletedAt: number | null;
};
type Node = Able & { id: number };

/**
 * Has a node copy a record's artifact from one of its copies to a further target: the copy's row, command and audit
 * entry in one batch. What lies on a node's own disk is copied by that node alone, and so is what is to lie there.
 */
export async function startCopy(
  deps: Deps,
  actor: Actor,
  recordId: number,
  request: Request,
): Promise<{ commandId: number; nodeId: number; fromTargetId: number; warning: string | null }> {
  const record = await copyableRecord(deps, recordId);
  const target = await readTarget(deps, request.targetId);
  await requireAnotherPlace(deps, recordId, target);
  const node = await copyingNode(deps, record, target, request.nodeId);
  const from = await chooseCopy(deps, {
    recordId,
    recordNodeId: record.nodeId,
    node,
    targetId: request.fromTargetId,
  });
  requireAbleAgent(node, [from.type, target.type], target);
  requireRoom(record, target);
  const results = await deps.db.batch<{ id: number }>([
    commandStatement(deps, record, node.id, target, from),
    copyStatement(deps, record, target),
    auditIfChanged(deps, actor, {
      action: "record.copy",
      entity: "backup_record",
      entityId: recordId,
      after: { to: target.name, from: from.targetName, node: node.name },
    }),
  ]);
  const commandId = results[0]?.results[0]?.id;
  if (commandId === undefined) throw await whyNot(deps, record, target);
  await deps.bell.ring([node.id]);
  const warning = await missingBase(deps, record, target);
  return { commandId, nodeId: node.id, fromTargetId: from.targetId, warning };
}

async function copyableRecord({ db }: Deps, id: number): Promise<Copyable> {
  const record = await db
    .prepare(
      `select id, node_id as nodeId, status, source_type as sourceType, file_name as fileName,
         size_bytes as sizeBytes, base_record_id as baseRecordId, 
         pipeline ->> 'engine' is 'restic' as isSnapshot,
         created_at as createdAt, deleted_at as deletedAt from backup_records where id = ?`,
    )
    .bind(id)
    .first<Copyable>();
  if (!record) throw new DomainError("BACKUP_RECORD_NOT_FOUND", `there is no record ${id}`);
  if (record.status !== "success" || record.deletedAt !== null) {
    const state = record.deletedAt === null ? record.status : "being deleted";
    throw new DomainError("RECORD_NOT_COPYABLE", `record ${id} cannot be copied: it is ${state}`);
  }
  if (record.isSnapshot === 1 || record.fileName === "") {
    throw new DomainError(
      "RECORD_NOT_COPYABLE",
      `record ${id} is a snapshot in a restic repository and no single object: use restic copy`,
    );
  }
  return record;
}

/** The node asked for; else the record's own; else, for what every node reaches, one of ours that was seen last. */
async function copyingNode(
  { db }: Deps,
  record: Copyable,
  target: TargetRow,
  wanted: number | undefined,
): Promise<Node> {
  const node = await db
    .prepare(
      `select id, name, last_seen as lastSeen, protocol_version as protocolVersion, capabilities from nodes
       where case when ?1 is not null then id = ?1
         else id = ?2 or (protocol_version is not null and not exists (select 1 from nodes where id = ?2)) end
       order by last_seen desc limit 1`,
    )
    .bind(wanted ?? null, record.nodeId)
    .first<Node>();
  if (!node) {
    throw new DomainError("NODE_NOT_FOUND", `there is no node ${wanted ?? "that could copy this: name one"}`);
  }
  if (target.type === "local_disk" && node.id !== record.nodeId) {
    throw new DomainError(
      "RECORD_NOT_COPYABLE",
      `${target.name} is the disk of the node that backs up: only node ${record.nodeId} can copy there, not ${node.name}`,
    );
  }
  return node;
}

function requireAbleAgent(node: Node, types: string[], target: TargetRow): void {
  if (isGoAgent(node)) {
    throw new DomainError(
      "NODE_CANNOT_RUN_TASK",
      `${node.name} runs a BackupX Go agent, which cannot copy: name a node with backupx-agent`,
    );
  }
  if (node.capabilities === null) return;
  const { storages } = capabilitiesOf(node.capabilities);
  const lacking = types.find((type) => !storages.includes(type));
  if (lacking === undefined) return;
  throw new DomainError(
    "NODE_CANNOT_RUN_TASK",
    `the agent of ${node.name} has no driver for ${lacking}, which copying to ${target.name} needs: update it, or name another node`,
  );
}

/** Two targets may name one place: a copy there would replace the very object it is read from. */
async function requireAnotherPlace({ db }: Deps, recordId: number, target: TargetRow): Promise<void> {
  const { results } = await db
    .prepare(
      `select t.id, t.name, t.config, c.status from record_copies c join storage_targets t on t.id = c.target_id
       where c.record_id = ?1 and c.status not in ('failed', 'damaged') and t.type = ?2`,
    )
    .bind(recordId, target.type)
    .all<{ id: number; name: string; config: string; status: string }>();
  const there = results.find(({ id }) => id === target.id);
  if (there) throw copyExists(recordId, target, there.status);
  const same = results.find(({ config }) => placeOf(config) === placeOf(target.config));
  if (same) {
    throw new DomainError("COPY_EXISTS", `${target.name} and ${same.name} are the same place: it is there`);
  }
}

function copyExists(recordId: number, { name }: TargetRow, status: string): DomainError {
  const state = { success: "has a copy", copying: "is being copied" }[status] ?? "is being removed";
  return new DomainError("COPY_EXISTS", `record ${recordId} ${state} in ${name}`);
}

/** Settings without the slashes that make no difference. */
const placeOf = (config: string) =>
  JSON.stringify(
    Object.entries(z.record(z.string(), z.unknown()).parse(JSON.parse(config)))
      .map(([name, value]) => [
        name,
        typeof value === "string" ? value.replace(/^\/*(?=\/)|\/+$/g, "") : value,
      ])
      .sort(),
  );

function requireRoom(record: Copyable, { name, quotaBytes, usedBytes }: TargetRow): void {
  if (quotaBytes === null || usedBytes + record.sizeBytes <= quotaBytes) return;
  throw new DomainError(
    "STORAGE_QUOTA_EXCEEDED",
    `target ${name} has no room for ${record.sizeBytes} bytes: ${usedBytes} of ${quotaBytes} bytes are used`,
  );
}

function commandStatement(
  { db, now }: Deps,
  record: Copyable,
  nodeId: number,
  target: TargetRow,
  from: Copy,
): D1PreparedStatement {
  return db
    .prepare(
      `insert into agent_commands (node_id, type, lane, payload, record_id, created_at, updated_at)
       select n.id, 'copy_record', 'work', json_object('recordId', r.id, 'toTargetId', ?3, 'fromTargetId', ?4,
           'targetKey', ?6), r.id, ?5, ?5
       from backup_records r join nodes n on n.id = ?2
       where r.id = ?1 and r.status = 'success' and r.deleted_at is null
         and exists (select 1 from storage_targets where id = ?3)
         and exists (select 1 from record_copies where record_id = ?1 and target_id = ?4 and status = 'success')
         and not exists (select 1 from record_copies where record_id = ?1 and target_id = ?3
           and status not in ('failed', 'damaged'))
       returning id`,
    )
    .bind(record.id, nodeId, target.id, from.targetId, now(), copyKey(record));
}

/**
 * A copy that failed before is begun anew. So is one that was found damaged: until the new one replaces it, it lies there
 * and its size counts.
 */
function copyStatement({ db, now }: Deps, record: Copyable, target: TargetRow): D1PreparedStatement {
  return db
    .prepare(
      `insert into record_copies (record_id, target_id, target_name, status, storage_path, command_id, updated_at)
       select ?1, ?2, ?3, 'copying', ?4, last_insert_rowid(), ?5 where changes() > 0
       on conflict do update set status = 'copying', storage_path = ?4, command_id = last_insert_rowid(),
         checksum = null, error = '', progress = null, updated_at = ?5`,
    )
    .bind(record.id, target.id, target.name, copyKey(record), now());
}

/** Below the record's own folder, whatever the copy that it is made from is called. */
const copyKey = (record: { id: number; sourceType: string; createdAt: number; fileName: string }) =>
  `${objectPrefix(record.sourceType, record.createdAt, record.id)}${record.fileName}`;

async function whyNot(deps: Deps, record: Copyable, target: TargetRow): Promise<DomainError> {
  const there = await deps.db
    .prepare(
      "select status from record_copies where record_id = ? and target_id = ? and status not in ('failed', 'damaged')",
    )
    .bind(record.id, target.id)
    .first<{ status: string }>();
  if (there) return copyExists(record.id, target, there.status);
  return new DomainError(
    "RECORD_NOT_COPYABLE",
    `record ${record.id}, its copy, the target or the node has just been removed`,
  );
}

/** A differential backup is worth nothing without its base: said, not refused, for the base may be copied next. */
async function missingBase({ db }: Deps, record: Copyable, target: TargetRow): Promise<string | null> {
  if (record.baseRecordId === null) return null;
  const there = await db
    .prepare("select 1 from record_copies where record_id = ? and target_id = ? and status = 'success'")
    .bind(record.baseRecordId, target.id)
    .first();
  if (there) return null;
  return `this is a differential backup, and its full backup, record ${record.baseRecordId}, has no copy in ${target.name}: copy that too`;
}
