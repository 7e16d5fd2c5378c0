import type { z } from "zod";
import { type agentApi, objects, type states } from "../../protocol/index.ts";
import type { Grade } from "../../protocol/verification.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import type { AgentNode } from "../nodes/authenticate.ts";
import { openBase, pathOfBase } from "../restores/open-base.ts";
import { openTargetById } from "../targets/open-target.ts";
import { resticPasswordOf } from "../tasks/secrets.ts";
import { openArtifact } from "../vault/download.ts";
import { verificationInHand } from "./of-node.ts";

type Row = {
  recordId: number;
  recordNodeId: number | null;
  baseId: number | null;
  archiveIndex: string | null;
  taskName: string;
  source: string;
  compression: z.output<typeof states.compression>;
  encrypted: number;
  engine: z.output<typeof states.engine>;
  taskId: number;
  sourceBytes: number | null;
  fileName: string;
  storagePath: string;
  sizeBytes: number;
  checksum: string | null;
  grade: Grade;
  identityFile: string | null;
};

/** What to verify, where it lies and how far to look, secrets opened: only while this node has its command in hand. */
export async function verificationSpec(
  deps: Deps,
  node: AgentNode,
  id: number,
): Promise<z.input<typeof agentApi.verificationSpec.reply>> {
  const held = await verificationInHand(deps, node, id);
  const row = await copyToVerify(deps, id);
  const storage = await openTargetById(deps, held.targetId);
  return {
    verificationId: id,
    recordId: row.recordId,
    taskName: row.taskName,
    grade: row.grade,
    source: objects.source.parse(JSON.parse(row.source)),
    compression: row.compression,
    encrypt: row.encrypted === 1,
    storage,
    bandwidthBytesPerSecond: node.bandwidthBytesPerSecond,
    storagePath: row.storagePath,
    fileName: row.fileName,
    checksum: row.checksum,
    fileSize: row.sizeBytes,
    sourceBytes: row.sourceBytes,
    vaultSize: storage.type === "vault" ? ((await deps.vault.head(row.storagePath))?.size ?? null) : null,
    identityFile: row.identityFile,
    archiveIndex: row.archiveIndex === null ? null : objects.archiveIndex.parse(JSON.parse(row.archiveIndex)),
    base: await openBase(deps, node, { ...row, besides: held.targetId }),
    engine: row.engine,
    resticPassword: row.engine === "restic" ? await resticPasswordOf(deps, row.taskId) : null,
  };
}

/** The vault's bytes of the copy that this verification reads, or of the backup that it builds on. */
export async function verificationArtifact(
  deps: Deps,
  node: AgentNode,
  id: number,
  of: "record" | "base",
  range: { offset: number; length?: number } | null,
) {
  const held = await verificationInHand(deps, node, id);
  const row = await copyToVerify(deps, id);
  const path =
    of === "base" ? await pathOfBase(deps, node, { ...row, besides: held.targetId }) : row.storagePath;
  return openArtifact(deps, path, range);
}

async function copyToVerify({ db }: Deps, id: number): Promise<Row> {
  const row = await db
    .prepare(
      `select r.id as recordId, r.node_id as recordNodeId, r.base_record_id as baseId,
         r.archive_index as archiveIndex, r.task_name as taskName, r.source, r.compression,
         (r.pipeline ->> 'encryption') is not null as encrypted,
         coalesce(r.pipeline ->> 'engine', 'archive') as engine, r.task_id as taskId,
         r.source_bytes as sourceBytes, r.file_name as fileName,
         c.storage_path as storagePath, c.size_bytes as sizeBytes, coalesce(c.checksum, r.checksum) as checksum,
         v.grade, v.identity_file as identityFile
       from verifications v join backup_records r on r.id = v.record_id
         join record_copies c on c.record_id = v.record_id and c.target_id = v.target_id
           and c.status in ('success', 'damaged')
       where v.id = ?`,
    )
    .bind(id)
    .first<Row>();
  if (!row) throw new DomainError("ARTIFACT_NOT_FOUND", "the copy to verify has been removed");
  return row;
}
