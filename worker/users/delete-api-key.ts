import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import type { Actor } from "./actor.ts";

/** Revokes an API key: its value is worth nothing from now on. */
export async function deleteApiKey(deps: Deps, actor: Actor, id: number): Promise<void> {
  const [, deleted] = await deps.db.batch([
    deps.db
      .prepare(
        `insert into audit_logs (at, actor, action, entity, entity_id, before, ip_address)
         select ?2, ?3, 'api_key.delete', 'api_key', id,
           json_object('name', name, 'role', role, 'expiresAt', expires_at), ?4 from api_keys where id = ?1`,
      )
      .bind(id, deps.now(), actor.name, actor.ipAddress),
    deps.db.prepare("delete from api_keys where id = ?").bind(id),
  ]);
  if (deleted?.meta.changes !== 1) throw new DomainError("API_KEY_NOT_FOUND", `there is no API key ${id}`);
}
