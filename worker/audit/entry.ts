import type { Deps } from "../deps.ts";
import type { Actor } from "../users/actor.ts";

export type AuditEntry = {
  action: string;
  entity: string;
  /** Null while the row is not yet made; then the entry takes the id of the statement before it. */
  entityId: number | null;
  before?: unknown;
  after?: unknown;
};

/**
 * The statement that records a change; put it right after the change in the same batch: it is written only when that
 * one changed a row. The id, when none is given, is the one that it inserted. Secrets never go in here.
 */
export function auditIfChanged({ db, now }: Deps, actor: Actor, entry: AuditEntry): D1PreparedStatement {
  return db
    .prepare(
      `insert into audit_logs (at, actor, action, entity, entity_id, before, after, ip_address)
       select ?, ?, ?, ?, coalesce(?, last_insert_rowid()), ?, ?, ? where changes() > 0`,
    )
    .bind(
      now(),
      actor.name,
      entry.action,
      entry.entity,
      entry.entityId,
      toJson(entry.before),
      toJson(entry.after),
      actor.ipAddress,
    );
}

const toJson = (value: unknown) => (value === undefined ? null : JSON.stringify(value));
