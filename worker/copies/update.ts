import type { z } from "zod";
import type { agentApi } from "../../protocol/index.ts";
import { enqueueStatement } from "../commands/enqueue.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { noNews } from "../live/news.ts";
import type { AgentNode } from "../nodes/authenticate.ts";
import { appendLogStatements } from "../records/log.ts";
import { requireLease } from "../records/of-node.ts";
import { parseReportedStatus } from "../records/reported-status.ts";
import { abortUploads } from "../vault/abort-uploads.ts";
import { notMade } from "./close.ts";
import { copyOfNode, type HeldCopy } from "./in-hand.ts";

type Report = z.output<typeof agentApi.updateCopy.body>;

/**
 * A record's log holds its copies' lines too. Each command counts its own chunks from 1, a million for each attempt: a
 * range of its own per command keeps them apart from those of the backup.
 */
const SEQ_RANGE = 100_000_000;

/**
 * Takes an agent's report of a copy that it makes. A success counts also when its command was given up before, as long
 * as nobody else has begun that copy anew; what then nobody knows of any more is removed from the target again.
 */
export async function updateCopy(
  deps: Deps,
  node: AgentNode,
  commandId: number,
  report: Report,
): Promise<void> {
  const held = await copyOfNode(deps, node, commandId);
  requireLease(held, report.leaseToken);
  const status = parseReportedStatus(report.status, "INVALID_INPUT");
  const log = logStatements(deps, held, report);
  if (held.status === null) {
    if (status === "success") await removeOrphan(deps, node, held);
    return;
  }
  const change =
    status === "success"
      ? successStatements(deps, held, report)
      : [status === "failed" ? failureStatement(deps, held, report) : movingStatement(deps, held, report)];
  await deps.db.batch([...change, ...log]);
  if (status === "failed") await abortUploads(deps, held.recordId);
}

function logStatements(deps: Deps, held: HeldCopy, { log = [] }: Report): D1PreparedStatement[] {
  const shifted = log.map(({ seq, text }) => ({ seq: held.commandId * SEQ_RANGE + seq, text }));
  return appendLogStatements(deps, "backup", held.recordId, { log: shifted });
}

/** A copy that is tried again by itself shows its old failure until its agent has begun. */
function movingStatement({ db, now }: Deps, held: HeldCopy, report: Report): D1PreparedStatement {
  const moving = `update record_copies set status = 'copying', error = '', progress = coalesce(?1, progress),
      updated_at = ?2, storage_path = ?6
    where record_id = ?3 and target_id = ?4 and command_id = ?5 and status in ('copying', 'failed')
      and (select status from agent_commands where id = ?5) = 'dispatched'`;
  return db
    .prepare(noNews(moving, held.status === "copying"))
    .bind(
      report.progress ? JSON.stringify(report.progress) : null,
      now(),
      held.recordId,
      held.targetId,
      held.commandId,
      held.targetKey,
    );
}

/** Nothing of it is left at the target, so it has no path either. */
function failureStatement({ db, now }: Deps, held: HeldCopy, report: Report): D1PreparedStatement {
  return db
    .prepare(
      `update record_copies set status = ${notMade}, error = ?1, progress = null,
         storage_path = case when size_bytes > 0 then storage_path else '' end, updated_at = ?2
       where record_id = ?3 and target_id = ?4 and command_id = ?5 and status in ('copying', 'failed')`,
    )
    .bind(
      report.errorMessage || "the agent gave no reason",
      now(),
      held.recordId,
      held.targetId,
      held.commandId,
    );
}

/** Counted into its target's use once, when it becomes good: only with the size and the hash of the record. */
function successStatements({ db, now }: Deps, held: HeldCopy, report: Report): D1PreparedStatement[] {
  const { sizeBytes, checksum } = report;
  if (sizeBytes === undefined || checksum === undefined) {
    throw new DomainError("INVALID_INPUT", "sizeBytes, checksum: a copy that succeeded has both");
  }
  const fits = `record_id = ?3 and target_id = ?4 and command_id = ?5 and status in ('copying', 'failed')
    and exists (select 1 from backup_records where id = ?3 and deleted_at is null
      and (checksum is null or checksum = ?2) and (size_bytes = 0 or size_bytes = ?1))`;
  const values = [sizeBytes, checksum, held.recordId, held.targetId, held.commandId];
  return [
    db
      .prepare(
        `update storage_targets set used_bytes = max(0, used_bytes + ?1 - (
           select size_bytes from record_copies where ${fits}))
         where id = ?4 and exists (select 1 from record_copies where ${fits})`,
      )
      .bind(...values),
    db
      .prepare(
        `update record_copies set status = 'success', size_bytes = ?1, checksum = ?2, error = '', progress = null,
           updated_at = ?6, storage_path = ?7 where ${fits}`,
      )
      .bind(...values, now(), held.targetKey),
  ];
}

/** Its record was removed meanwhile. Only if nobody copies there again: the object would be that one's. */
async function removeOrphan(deps: Deps, node: AgentNode, held: HeldCopy): Promise<void> {
  const known = await deps.db
    .prepare("select 1 from backup_records where id = ?")
    .bind(held.recordId)
    .first();
  if (known) return;
  await enqueueStatement(deps, {
    nodeId: node.id,
    type: "delete_storage_object",
    payload: { targetId: held.targetId, storagePath: held.targetKey },
  }).run();
  await deps.bell.ring([node.id]);
}
