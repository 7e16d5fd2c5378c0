import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import type { Actor } from "../users/actor.ts";
import { readRecord } from "./read.ts";

/** Locks a record against removal, by hand or by retention, or unlocks it. BACKUP_RECORD_NOT_FOUND. */
export async function lockRecord(deps: Deps, actor: Actor, id: number, locked: boolean) {
  await deps.db.batch([
    deps.db
      .prepare("update backup_records set locked = ?1 where id = ?2 and locked <> ?1")
      .bind(Number(locked), id),
    auditIfChanged(deps, actor, {
      action: locked ? "record.lock" : "record.unlock",
      entity: "backup_record",
      entityId: id,
    }),
  ]);
  return readRecord(deps, id);
}
