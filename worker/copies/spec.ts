import type { z } from "zod";
import type { agentApi } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import type { AgentNode } from "../nodes/authenticate.ts";
import { chooseCopy } from "../restores/choose-copy.ts";
import { openTargetById } from "../targets/open-target.ts";
import { openArtifact } from "../vault/download.ts";
import { copyInHand, type HeldCopy } from "./in-hand.ts";

type Row = {
  id: number;
  taskName: string;
  nodeId: number | null;
  checksum: string | null;
  sourceKey: string;
  sizeBytes: number;
};

/** What to copy, where from and where to, secrets opened: only while this node has its command in hand. */
export async function copySpec(
  deps: Deps,
  node: AgentNode,
  commandId: number,
): Promise<z.input<typeof agentApi.copySpec.reply>> {
  const held = await copyInHand(deps, node, commandId);
  const row = await copyToRead(deps, node, held);
  return {
    recordId: row.id,
    taskName: row.taskName,
    sizeBytes: row.sizeBytes,
    sha256: row.checksum,
    source: await openTargetById(deps, row.sourceId),
    sourceKey: row.sourceKey,
    target: await openTargetById(deps, held.targetId),
    targetKey: held.targetKey,
    bandwidthBytesPerSecond: node.bandwidthBytesPerSecond,
  };
}

/** The vault's bytes of the copy that this one is made from. */
export async function copyArtifact(
  deps: Deps,
  node: AgentNode,
  commandId: number,
  range: { offset: number; length?: number } | null,
) {
  const row = await copyToRead(deps, node, await copyInHand(deps, node, commandId));
  if (row.sourceType !== "vault") {
    throw new DomainError("ARTIFACT_NOT_FOUND", "this copy is not made from the vault");
  }
  return openArtifact(deps, row.sourceKey, range);
}

async function copyToRead(deps: Deps, node: AgentNode, held: HeldCopy) {
  const record = await deps.db
    .prepare("select id, node_id as nodeId from backup_records where id = ?")
    .bind(held.recordId)
    .first<{ id: number; nodeId: number | null }>();
  if (!record) throw new DomainError("ARTIFACT_NOT_FOUND", "the record has been removed");
  const source = await chooseCopy(deps, {
    recordId: record.id,
    recordNodeId: record.nodeId,
    node,
    targetId: held.fromTargetId ?? undefined,
  });
  const row = await deps.db
    .prepare(
      `select r.id, r.task_name as taskName, r.node_id as nodeId, coalesce(r.checksum, c.checksum) as checksum,
         c.storage_path as sourceKey, c.size_bytes as sizeBytes
       from backup_records r join record_copies c on c.record_id = r.id and c.target_id = ?2
       where r.id = ?1`,
    )
    .bind(held.recordId, source.targetId)
    .first<Row>();
  if (!row) throw new DomainError("ARTIFACT_NOT_FOUND", "the copy to read from has been removed");
  return { ...row, sourceId: source.targetId, sourceType: source.type };
}
