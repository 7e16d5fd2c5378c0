import { type objects, timing } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import type { AgentNode } from "../nodes/authenticate.ts";
import { explainLostLease } from "./explain.ts";

/** Renews a lease and stores the progress that came with it; tells whether somebody asked to cancel. */
export async function renewLease(
  deps: Deps,
  node: AgentNode,
  commandId: number,
  renewal: { leaseToken: string; progress?: objects.Progress | undefined },
): Promise<{ cancelRequested: boolean }> {
  const { db, now } = deps;
  const row = await db
    .prepare(
      `update agent_commands set lease_expires_at = ?1, updated_at = ?2
       where id = ?3 and node_id = ?4 and status = 'dispatched' and lease_token = ?5
       returning record_id as recordId, restore_id as restoreId, cancel_requested_at as cancelRequestedAt`,
    )
    .bind(now() + timing.leaseSeconds * 1000, now(), commandId, node.id, renewal.leaseToken)
    .first<{ recordId: number | null; restoreId: number | null; cancelRequestedAt: number | null }>();
  if (!row) throw await explainLostLease(deps, node, commandId, renewal.leaseToken);
  const table = row.recordId !== null ? "backup_records" : "restore_records";
  const runId = row.recordId ?? row.restoreId;
  if (renewal.progress && runId !== null) {
    await db
      .prepare(`update ${table} set progress = ? where id = ? and status in ('queued', 'running')`)
      .bind(JSON.stringify(renewal.progress), runId)
      .run();
  }
  return { cancelRequested: row.cancelRequestedAt !== null };
}
