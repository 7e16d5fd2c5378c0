import type { states } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { hashPassword } from "../secrets/password.ts";
import type { Actor } from "./actor.ts";
import { canBeSpared, whyNotChanged } from "./last-admin.ts";
import { type ShownUser, type ShownUserRow, shownUserColumns, showUser } from "./shown.ts";

type Changes = {
  role?: states.Role | undefined;
  disabled?: boolean | undefined;
  password?: string | undefined;
};

/**
 * Changes a user's role or password, disables or enables; all their sessions end with it. The last administrator
 * who can sign in stays one: LAST_ADMIN.
 */
export async function updateUser(
  deps: Deps,
  actor: Actor,
  userId: number,
  changes: Changes,
): Promise<ShownUser> {
  if (Object.values(changes).every((value) => value === undefined)) {
    throw new DomainError("INVALID_INPUT", "body: says nothing to change");
  }
  const role = changes.role ?? null;
  const disabled = changes.disabled === undefined ? null : Number(changes.disabled);
  const passwordHash =
    changes.password === undefined ? null : await hashPassword(deps.keys, changes.password);
  const allowed = `id = ?1 and ((coalesce(?2, role) = 'admin' and coalesce(?3, disabled) = 0) or ${canBeSpared})`;
  const [, updated] = await deps.db.batch<ShownUserRow>([
    // Written first, while the row still is what it was before.
    deps.db
      .prepare(
        `insert into audit_logs (at, actor, action, entity, entity_id, before, after, ip_address)
         select ?4, ?5, 'user.update', 'user', id, ${asJson}, ?6, ?7 from users where ${allowed}`,
      )
      .bind(userId, role, disabled, deps.now(), actor.name, toldOf(changes), actor.ipAddress),
    deps.db
      .prepare(
        `update users set role = coalesce(?2, role), disabled = coalesce(?3, disabled),
           password_hash = coalesce(?4, password_hash)
         where ${allowed} returning ${shownUserColumns}`,
      )
      .bind(userId, role, disabled, passwordHash),
    deps.db.prepare("delete from sessions where user_id = ? and changes() > 0").bind(userId),
  ]);
  const row = updated?.results[0];
  if (!row) throw await whyNotChanged(deps, userId);
  return showUser(row);
}

const asJson = `json_object('role', role, 'disabled', json(iif(disabled, 'true', 'false')))`;

function toldOf({ password, ...visible }: Changes): string {
  return JSON.stringify({ ...visible, ...(password === undefined ? {} : { passwordChanged: true }) });
}
