import type { Deps } from "../deps.ts";
import type { Actor } from "./actor.ts";
import { canBeSpared, whyNotChanged } from "./last-admin.ts";

/** Removes a user and their sessions; the last administrator who can sign in cannot be removed: LAST_ADMIN. */
export async function deleteUser(deps: Deps, actor: Actor, userId: number): Promise<void> {
  const allowed = `id = ?1 and ${canBeSpared}`;
  const [, deleted] = await deps.db.batch([
    deps.db
      .prepare(
        `insert into audit_logs (at, actor, action, entity, entity_id, before, ip_address)
         select ?2, ?3, 'user.delete', 'user', id, json_object('username', username, 'role', role), ?4
         from users where ${allowed}`,
      )
      .bind(userId, deps.now(), actor.name, actor.ipAddress),
    deps.db.prepare(`delete from users where ${allowed}`).bind(userId),
    deps.db.prepare("delete from sessions where user_id = ? and changes() > 0").bind(userId),
  ]);
  if (deleted?.meta.changes !== 1) throw await whyNotChanged(deps, userId);
}
