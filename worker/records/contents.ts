import type { z } from "zod";
import { type adminApi, objects } from "../../protocol/index.ts";
import { runControlCommand } from "../commands/run-control-command.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import type { AgentNode } from "../nodes/authenticate.ts";
import { chooseCopy } from "../restores/choose-copy.ts";
import { type ReadingNode, readingNode, requireOpener } from "../restores/reading-node.ts";
import { isGoAgent } from "../tasks/can-run.ts";
import { openArtifact } from "../vault/download.ts";

type Query = z.output<typeof adminApi.recordContents.query>;
type Row = {
  nodeId: number | null;
  status: string;
  deletedAt: number | null;
  type: string;
  engine: string;
  compression: string;
  sizeBytes: number;
  checksum: string | null;
  archiveIndex: string | null;
  encrypted: number;
};

/** Lists what an archive holds, asked of an agent that can reach a copy of it; waits for the answer. */
export async function readContents(
  deps: Deps,
  recordId: number,
  query: Query,
): Promise<z.output<typeof objects.contents>> {
  const record = await listableRecord(deps, recordId);
  const node = await readingNode(deps, query.nodeId ?? record.nodeId);
  requireLister(node, record);
  const copy = await chooseCopy(deps, { recordId, recordNodeId: record.nodeId, node });
  const { path, name, after, limit, identityFile } = query;
  const payload = {
    targetId: copy.targetId,
    storagePath: copy.storagePath,
    sizeBytes: record.sizeBytes,
    checksum: record.checksum,
    archiveIndex: record.archiveIndex === null ? null : JSON.parse(record.archiveIndex),
    compression: record.compression || "none",
    encrypted: record.encrypted === 1,
    identityFile: identityFile ?? null,
    path,
    name: name ?? null,
    after: after ?? null,
    limit,
  };
  const answer = objects.contents.safeParse(
    await runControlCommand(deps, { nodeId: node.id, type: "inspect_archive", payload }),
  );
  if (answer.success) return answer.data;
  throw new DomainError("NODE_COMMAND_FAILED", "the agent's answer is not a listing of an archive");
}

/** The vault's bytes of the archive that this node is asked to list, while it has that command in hand. */
export async function inspectedArtifact(
  deps: Deps,
  node: AgentNode,
  commandId: number,
  range: { offset: number; length?: number } | null,
) {
  const row = await deps.db
    .prepare(
      `select node_id as nodeId, status, payload ->> 'storagePath' as storagePath from agent_commands
       where id = ? and type = 'inspect_archive'`,
    )
    .bind(commandId)
    .first<{ nodeId: number; status: string; storagePath: string }>();
  if (!row) throw new DomainError("AGENT_COMMAND_NOT_FOUND", `there is no such command ${commandId}`);
  if (row.nodeId !== node.id || row.status !== "dispatched")
    throw new DomainError("AGENT_COMMAND_FORBIDDEN", `this node does not have command ${commandId} in hand`);
  return openArtifact(deps, row.storagePath, range);
}

async function listableRecord({ db }: Deps, id: number): Promise<Row> {
  const record = await db
    .prepare(
      `select node_id as nodeId, status, deleted_at as deletedAt, source ->> 'type' as type, compression,
         size_bytes as sizeBytes, checksum, archive_index as archiveIndex,
         coalesce(pipeline ->> 'engine', 'archive') as engine,
         (pipeline ->> 'encryption') is not null as encrypted from backup_records where id = ?`,
    )
    .bind(id)
    .first<Row>();
  if (!record) throw new DomainError("BACKUP_RECORD_NOT_FOUND", `there is no record ${id}`);
  if (record.type !== "file")
    throw new DomainError("INVALID_INPUT", `record ${id} is no backup of files: it has no contents to list`);
  if (record.status === "success" && record.deletedAt === null) return record;
  const state = record.deletedAt === null ? record.status : "being deleted";
  throw new DomainError("RECORD_NOT_RESTORABLE", `record ${id} cannot be read: it is ${state}`);
}

function requireLister(node: ReadingNode, { encrypted, engine }: Row): void {
  if (isGoAgent(node))
    throw new DomainError(
      "NODE_CANNOT_RUN_TASK",
      `${node.name} runs a BackupX Go agent, which cannot list an archive: name another node`,
    );
  requireOpener(node, { encrypted: encrypted === 1, byRestic: engine === "restic" });
}
