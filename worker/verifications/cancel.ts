import { auditIfChanged } from "../audit/entry.ts";
import { cancelCommand } from "../commands/cancel.ts";
import type { Deps } from "../deps.ts";
import type { Actor } from "../users/actor.ts";
import { readVerification } from "./read.ts";

/** Stops a verification: a queued one at once, a running one as soon as its agent hears of it. */
export async function cancelVerification(deps: Deps, actor: Actor, id: number): Promise<void> {
  const verification = await readVerification(deps, id);
  await cancelCommand(
    deps,
    { ...verification, commandId: verification.commandId ?? null },
    {
      closing: deps.db
        .prepare(
          `update verifications set status = 'cancelled', error_message = ?1, finished_at = ?2
           where changes() > 0 and id = ?3 and status = 'queued'`,
        )
        .bind(`cancelled by ${actor.name} before it started`, deps.now(), id),
      audit: auditIfChanged(deps, actor, {
        action: "verification.cancel",
        entity: "verification",
        entityId: id,
      }),
    },
  );
}
