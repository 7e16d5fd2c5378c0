import { type objects, timing } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import type { AgentNode } from "../nodes/authenticate.ts";
import { explainLostLease } from "./explain.ts";

type Renewed = {
  recordId: number | null;
  restoreId: number | null;
  verificationId: number | null;
  cancelRequestedAt: number | null;
};

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
       returning record_id as recordId, restore_id as restoreId, verification_id as verificationId,
         cancel_requested_at as cancelRequestedAt`,
    )
    .bind(now() + timing.leaseSeconds * 1000, now(), commandId, node.id, renewal.leaseToken)
    .first<Renewed>();
  if (!row) throw await explainLostLease(deps, node, commandId, renewal.leaseToken);
  const run = runOf(row);
  if (renewal.progress && run !== null) {
    await db
      .prepare(`update ${run.table} set progress = ? where id = ? and status in ('queued', 'running')`)
      .bind(JSON.stringify(renewal.progress), run.id)
      .run();
  }
  return { cancelRequested: row.cancelRequestedAt !== null };
}

function runOf({ recordId, restoreId, verificationId }: Renewed): { table: string; id: number } | null {
  if (recordId !== null) return { table: "backup_records", id: recordId };
  if (restoreId !== null) return { table: "restore_records", id: restoreId };
  return verificationId === null ? null : { table: "verifications", id: verificationId };
}
