import { auditIfChanged } from "../audit/entry.ts";
import { cancelCommand } from "../commands/cancel.ts";
import type { Deps } from "../deps.ts";
import type { Actor } from "../users/actor.ts";
import { readRestore } from "./read.ts";

/** Stops a restore: a queued one at once, a running one as soon as its agent hears of it. */
export async function cancelRestore(deps: Deps, actor: Actor, id: number): Promise<void> {
  const restore = await readRestore(deps, id);
  await cancelCommand(
    deps,
    { ...restore, commandId: restore.commandId ?? null },
    {
      closing: deps.db
        .prepare(
          `update restore_records set status = 'cancelled', error_message = ?1, finished_at = ?2
         where changes() > 0 and id = ?3 and status = 'queued'`,
        )
        .bind(`cancelled by ${actor.name} before it started`, deps.now(), id),
      audit: auditIfChanged(deps, actor, {
        action: "restore.cancel",
        entity: "restore_record",
        entityId: id,
      }),
    },
  );
}
