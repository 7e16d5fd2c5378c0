import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import type { Actor } from "../users/actor.ts";
import { isUnused, targetInUse } from "./in-use.ts";
import { readTarget } from "./read.ts";
import { showTarget } from "./shown.ts";

/** Removes a target that no task uses, no run writes to and that holds no copy; else STORAGE_TARGET_IN_USE. */
export async function deleteTarget(deps: Deps, actor: Actor, id: number): Promise<void> {
  const row = await readTarget(deps, id);
  const { name, type, config } = showTarget(row);
  const [deleted] = await deps.db.batch([
    deps.db.prepare(`delete from storage_targets where id = ?1 and ${isUnused}`).bind(id),
    auditIfChanged(deps, actor, {
      action: "storage_target.delete",
      entity: "storage_target",
      entityId: id,
      before: { name, type, config },
    }),
  ]);
  if (deleted?.meta.changes === 1) return;
  await readTarget(deps, id);
  throw await targetInUse(deps, row, "be removed");
}
