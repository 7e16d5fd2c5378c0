import type { z } from "zod";
import { type agentApi, objects } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import type { AgentNode } from "../nodes/authenticate.ts";
import { lowerCap } from "../targets/lower-cap.ts";
import { openTargetById } from "../targets/open-target.ts";
import { whyItCannotEncrypt, whyItHasNoRestic } from "../tasks/can-run.ts";
import { portOf } from "../tasks/database-port.ts";
import { openSourceSecrets, type SourceSecrets } from "../tasks/secrets.ts";
import { baseToCompare } from "./base.ts";
import { fileNameStem, objectPrefix, resticRepositoryKey } from "./object-key.ts";

type Spec = z.input<typeof agentApi.taskSpec.reply>;
type Row = {
  taskId: number;
  name: string;
  source: string;
  pipeline: string;
  recordId: number;
  targetIds: string;
  baseId: number | null;
  sealId: string;
  taskSource: string;
  secrets: string | null;
  hooks: string | null;
  createdAt: number;
  node: string;
  lastSeen: number | null;
  protocolVersion: number | null;
  capabilities: string | null;
};

/**
 * What to back up and where to, secrets opened: only while this node has a command for the task in hand. The first
 * fields are what BackupX Go agents read, the last ones ours.
 */
export async function taskSpec(
  deps: Deps,
  node: AgentNode,
  taskId: number,
  recordId: number | undefined,
): Promise<Spec> {
  const row = await commandInHand(deps, node, taskId, recordId);
  if (!row) throw await whyNot(deps, taskId);
  const source = objects.source.parse(JSON.parse(row.source));
  const pipeline = objects.pipeline.parse(JSON.parse(row.pipeline));
  if (pipeline.encryption) requireAge(row);
  if (pipeline.engine === "restic") requireRestic(row);
  const sourceSecrets = await openSourceSecrets(
    deps,
    { sealId: row.sealId, secrets: row.secrets, source: row.taskSource },
    source,
  );
  const targets = await openAll(deps, JSON.parse(row.targetIds));
  return {
    taskId: row.taskId,
    name: row.name,
    ...forGoAgents(source, sourceSecrets),
    compression: pipeline.compression,
    encrypt: pipeline.encryption !== null,
    storageTargets: targets,
    source,
    sourceSecrets,
    hooks: row.hooks === null ? null : objects.hooks.parse(JSON.parse(row.hooks)),
    pipeline: {
      ...pipeline,
      bandwidthBytesPerSecond: lowerCap(pipeline.bandwidthBytesPerSecond, node.bandwidthBytesPerSecond),
    },
    recordId: row.recordId,
    fileNameStem: fileNameStem(row.name, row.taskId, row.recordId),
    objectPrefix: objectPrefix(source.type, row.createdAt, row.recordId),
    targets,
    base: await baseToCompare(deps, row.baseId),
    restic: pipeline.engine === "restic" ? await repositoryOf(deps, node, row) : null,
  };
}

async function commandInHand({ db }: Deps, node: AgentNode, taskId: number, recordId: number | undefined) {
  return db
    .prepare(
      `select t.id as taskId, t.name, r.source, r.pipeline, r.id as recordId, r.target_ids as targetIds, r.base_record_id as baseId,
         t.seal_id as sealId, t.secrets, t.source as taskSource, t.hooks,
         r.created_at as createdAt, n.name as node, n.last_seen as lastSeen,
         n.protocol_version as protocolVersion, n.capabilities
       from agent_commands c join backup_records r on r.id = c.record_id join backup_tasks t on t.id = r.task_id
         join nodes n on n.id = c.node_id
       where c.node_id = ?1 and c.completed_at is null and c.status = 'dispatched' and c.type = 'run_task'
         and r.task_id = ?2 and (?3 is null or r.id = ?3)
       order by c.id limit 1`,
    )
    .bind(node.id, taskId, recordId ?? null)
    .first<Row>();
}

/** Asked again here: when the run was started, nothing may have been known of this node. */
function requireAge({ node, ...able }: Row): void {
  const obstacle = whyItCannotEncrypt({ ...able, name: node });
  if (obstacle) throw new DomainError("NODE_CANNOT_RUN_TASK", `this backup is to be encrypted: ${obstacle}`);
}

function requireRestic({ node, ...able }: Row): void {
  const obstacle = whyItHasNoRestic({ ...able, name: node });
  if (obstacle)
    throw new DomainError("NODE_CANNOT_RUN_TASK", `this backup is to be made by restic: ${obstacle}`);
}

/** Looks no further back than this for what a repository holds, whatever the task's history. */
const RECENT_RECORDS = 100;

/** A repository on a node's own disk holds only what that node has made. */
async function repositoryOf({ db }: Deps, node: AgentNode, row: Row): Promise<Spec["restic"]> {
  const { results } = await db
    .prepare(
      `select distinct c.target_id as id from (
         select id, node_id, pipeline from backup_records where task_id = ?1 order by id desc limit ${RECENT_RECORDS}) r
       join record_copies c on c.record_id = r.id and c.status = 'success'
       join storage_targets t on t.id = c.target_id
       where r.pipeline ->> 'engine' = 'restic' and (t.type <> 'local_disk' or r.node_id = ?2)`,
    )
    .bind(row.taskId, node.id)
    .all<{ id: number }>();
  return { key: resticRepositoryKey(row.taskId), holdsBackups: results.map(({ id }) => id) };
}

async function whyNot({ db }: Deps, taskId: number): Promise<DomainError> {
  const exists = await db.prepare("select 1 from backup_tasks where id = ?").bind(taskId).first();
  return exists
    ? new DomainError("BACKUP_TASK_FORBIDDEN", `this node has no command for task ${taskId} in hand`)
    : new DomainError("BACKUP_TASK_NOT_FOUND", `there is no task ${taskId}`);
}

const openAll = (deps: Deps, ids: number[]) => Promise.all(ids.map((id) => openTargetById(deps, id)));

/**
 * The same source in the fields of BackupX Go. Both of its generations read lists as lines; only a name with a line
 * break in it needs the JSON array that today's knows.
 */
export function forGoAgents(source: objects.Source, { password }: SourceSecrets) {
  const file = source.type === "file";
  const server = "host" in source ? source : null;
  return {
    type: source.type,
    sourcePath: file ? (source.paths[0] ?? "") : "",
    sourcePaths: file ? listAsText(source.paths) : "",
    excludePatterns: file ? listAsText(source.excludes) : "",
    dbHost: server?.host ?? "",
    dbPort: server ? portOf(server) : 0,
    dbUser: server?.user ?? "",
    dbPassword: password ?? "",
    dbName: server?.databases.join(",") ?? "",
    dbPath: source.type === "sqlite" ? (source.paths[0] ?? "") : "",
    extraConfig: "",
  };
}

const listAsText = (items: string[]) =>
  items.some((item) => item.includes("\n")) ? JSON.stringify(items) : items.join("\n");
