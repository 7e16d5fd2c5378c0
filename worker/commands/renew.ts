import { type objects, timing } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { noNews } from "../live/news.ts";
import type { AgentNode } from "../nodes/authenticate.ts";
import { explainLostLease } from "./explain.ts";

type Renewed = {
  id: number;
  type: string;
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
      noNews(
        `update agent_commands set lease_expires_at = ?1, updated_at = ?2
         where id = ?3 and node_id = ?4 and status = 'dispatched' and lease_token = ?5
         returning id, type, record_id as recordId, restore_id as restoreId, verification_id as verificationId,
           cancel_requested_at as cancelRequestedAt`,
      ),
    )
    .bind(now() + timing.leaseSeconds * 1000, now(), commandId, node.id, renewal.leaseToken)
    .first<Renewed>();
  if (!row) throw await explainLostLease(deps, node, commandId, renewal.leaseToken);
  const moving = renewal.progress === undefined ? null : movingRow(row);
  if (moving !== null) {
    await db
      .prepare(noNews(`update ${moving.row} set progress = ?1 where ${moving.is}`))
      .bind(JSON.stringify(renewal.progress), ...moving.ids)
      .run();
  }
  return { cancelRequested: row.cancelRequestedAt !== null };
}

/** What a command works on, while it does. */
function movingRow(command: Renewed): { row: string; is: string; ids: number[] } | null {
  const { recordId, restoreId, verificationId } = command;
  const open = "id = ?2 and status in ('queued', 'running')";
  if (command.type === "copy_record" && recordId !== null) {
    const is = "record_id = ?2 and command_id = ?3 and status = 'copying'";
    return { row: "record_copies", is, ids: [recordId, command.id] };
  }
  if (recordId !== null) return { row: "backup_records", is: open, ids: [recordId] };
  if (restoreId !== null) return { row: "restore_records", is: open, ids: [restoreId] };
  return verificationId === null ? null : { row: "verifications", is: open, ids: [verificationId] };
}
