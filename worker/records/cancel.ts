import { auditIfChanged } from "../audit/entry.ts";
import { cancelCommand } from "../commands/cancel.ts";
import type { Deps } from "../deps.ts";
import type { Actor } from "../users/actor.ts";
import { readRecord } from "./read.ts";

/**
 * Stops a backup: a queued one at once, a running one as soon as its agent hears of it. ALREADY_ENDED when it has
 * ended; RECORD_BUSY when it runs on an agent that cannot be stopped.
 */
export async function cancelRecord(deps: Deps, actor: Actor, id: number): Promise<void> {
  const record = await readRecord(deps, id);
  await cancelCommand(deps, record, {
    closing: deps.db
      .prepare(
        `update backup_records set status = 'cancelled', error_message = ?1, finished_at = ?2
         where changes() > 0 and id = ?3 and status = 'queued'`,
      )
      .bind(`cancelled by ${actor.name} before it started`, deps.now(), id),
    audit: auditIfChanged(deps, actor, { action: "record.cancel", entity: "backup_record", entityId: id }),
  });
}
