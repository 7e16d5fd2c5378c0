import type { z } from "zod";
import { type agentApi, objects } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { openTargetById } from "../targets/open-target.ts";
import { type Copy, chooseCopy } from "./choose-copy.ts";

type Base = z.output<typeof agentApi.restoreSpec.reply>["base"];
/** A record that is read on a node from the target `besides`, and the full backup that it builds on, if on any. */
type Differential = { baseId: number | null; recordNodeId: number | null; besides: number };
type Node = { id: number; name: string };

/** The backup that a differential one builds on, as who reads both needs it; null for a full one. */
export async function openBase(deps: Deps, node: Node, differential: Differential): Promise<Base> {
  const { baseId } = differential;
  if (baseId === null) return null;
  const copy = await copyOfBase(deps, node, { ...differential, baseId });
  const base = await deps.db
    .prepare(
      `select file_name as fileName, size_bytes as fileSize, checksum, archive_index as archiveIndex
       from backup_records where id = ?`,
    )
    .bind(baseId)
    .first<{ fileName: string; fileSize: number; checksum: string; archiveIndex: string | null }>();
  if (!base)
    throw new DomainError("ARTIFACT_NOT_FOUND", "the backup that this one builds on has been removed");
  const storage = await openTargetById(deps, copy.targetId);
  const archiveIndex =
    base.archiveIndex === null ? null : objects.archiveIndex.parse(JSON.parse(base.archiveIndex));
  return { ...base, recordId: baseId, storage, storagePath: copy.storagePath, archiveIndex };
}

/** Where it lies in its storage. */
export async function pathOfBase(deps: Deps, node: Node, differential: Differential): Promise<string> {
  const { baseId } = differential;
  if (baseId === null) throw new DomainError("ARTIFACT_NOT_FOUND", "this is a full backup: it has no base");
  return (await copyOfBase(deps, node, { ...differential, baseId })).storagePath;
}

/** Chosen anew each time: since the work was started, a copy may have gone. */
const copyOfBase = (
  deps: Deps,
  node: Node,
  { baseId, recordNodeId, besides }: Differential & { baseId: number },
): Promise<Copy> => chooseCopy(deps, { recordId: baseId, recordNodeId, node, besides });
