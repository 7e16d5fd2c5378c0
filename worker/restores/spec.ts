import type { z } from "zod";
import { type agentApi, objects, type states } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import type { AgentNode } from "../nodes/authenticate.ts";
import { forGoAgents } from "../records/spec.ts";
import { openTargetById } from "../targets/open-target.ts";
import { openSourceSecrets } from "../tasks/secrets.ts";
import { openArtifact } from "../vault/download.ts";
import { restoreInHand } from "./of-node.ts";
import { openBase, pathOfBase } from "./open-base.ts";

type Row = {
  recordId: number;
  baseId: number | null;
  recordNodeId: number | null;
  taskId: number;
  taskName: string;
  source: string;
  compression: string;
  fileName: string;
  storagePath: string;
  sizeBytes: number;
  checksum: string | null;
  destination: string | null;
  selectedPaths: string | null;
  conflict: z.output<typeof states.conflictPolicy>;
  encrypted: number;
  engine: z.output<typeof states.engine>;
  identityFile: string | null;
  options: string | null;
  archiveIndex: string | null;
  dryRun: number;
  sealId: string | null;
  taskSource: string | null;
  secrets: string | null;
};

/** What to restore, where from and where to, secrets opened: only while this node has its command in hand. */
export async function restoreSpec(
  deps: Deps,
  node: AgentNode,
  id: number,
): Promise<z.input<typeof agentApi.restoreSpec.reply>> {
  const held = await restoreInHand(deps, node, id);
  const row = await copyToRestore(deps, id);
  const source = objects.source.parse(JSON.parse(row.source));
  const sourceSecrets = await openSourceSecrets(
    deps,
    { sealId: row.sealId ?? "", secrets: row.secrets, source: row.taskSource ?? row.source },
    source,
  );
  return {
    restoreRecordId: id,
    backupRecordId: row.recordId,
    taskId: row.taskId,
    taskName: row.taskName,
    ...forGoAgents(source, sourceSecrets),
    // Also of SQLite: a restore in place, or into a directory under the old name, needs to know them.
    sourcePaths: "paths" in source ? source.paths : [],
    source,
    sourceSecrets,
    options: objects.restoreOptions.parse(JSON.parse(row.options ?? "{}")),
    compression: row.compression,
    encrypt: row.encrypted === 1,
    storage: await openTargetById(deps, held.targetId),
    bandwidthBytesPerSecond: node.bandwidthBytesPerSecond,
    storagePath: row.storagePath,
    fileName: row.fileName,
    checksum: row.checksum ?? "",
    fileSize: row.sizeBytes,
    destination: row.destination,
    selectedPaths: row.selectedPaths === null ? null : JSON.parse(row.selectedPaths),
    conflict: row.conflict,
    identityFile: row.identityFile,
    engine: row.engine,
    archiveIndex: row.archiveIndex === null ? null : objects.archiveIndex.parse(JSON.parse(row.archiveIndex)),
    dryRun: row.dryRun === 1,
    base: await openBase(deps, node, { ...row, besides: held.targetId }),
  };
}

/** The vault's bytes of the copy that this restore reads, or of the backup that it builds on. */
export async function restoreArtifact(
  deps: Deps,
  node: AgentNode,
  id: number,
  of: "record" | "base",
  range: { offset: number; length?: number } | null,
) {
  const held = await restoreInHand(deps, node, id);
  const row = await copyToRestore(deps, id);
  const path =
    of === "base" ? await pathOfBase(deps, node, { ...row, besides: held.targetId }) : row.storagePath;
  return openArtifact(deps, path, range);
}

async function copyToRestore({ db }: Deps, id: number): Promise<Row> {
  const row = await db
    .prepare(
      `select r.id as recordId, r.base_record_id as baseId, r.node_id as recordNodeId, r.archive_index as archiveIndex,
         r.task_id as taskId, r.task_name as taskName, r.source, r.compression, s.dry_run as dryRun,
         r.file_name as fileName, c.storage_path as storagePath, c.size_bytes as sizeBytes,
         coalesce(c.checksum, r.checksum) as checksum, s.destination, s.selected_paths as selectedPaths, s.conflict,
         (r.pipeline ->> 'encryption') is not null as encrypted, s.identity_file as identityFile,
         coalesce(r.pipeline ->> 'engine', 'archive') as engine,
         s.options, t.seal_id as sealId, t.secrets, t.source as taskSource
       from restore_records s join backup_records r on r.id = s.record_id
         join record_copies c on c.record_id = s.record_id and c.target_id = s.target_id and c.status = 'success'
         left join backup_tasks t on t.id = r.task_id
       where s.id = ?`,
    )
    .bind(id)
    .first<Row>();
  if (!row) throw new DomainError("ARTIFACT_NOT_FOUND", "the copy to restore from has been removed");
  return row;
}
