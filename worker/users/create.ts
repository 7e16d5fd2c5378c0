import type { states } from "../../protocol/index.ts";
import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { DomainError, violates } from "../errors.ts";
import { hashPassword } from "../secrets/password.ts";
import type { Actor } from "./actor.ts";
import { type ShownUser, type ShownUserRow, shownUserColumns, showUser } from "./shown.ts";

/** Adds somebody who may sign in; NAME_TAKEN when the name is in use. */
export async function createUser(
  deps: Deps,
  actor: Actor,
  { username, password, role }: { username: string; password: string; role: states.Role },
): Promise<ShownUser> {
  const [made] = await deps.db
    .batch<ShownUserRow>([
      deps.db
        .prepare(
          `insert into users (username, password_hash, role, disabled, created_at) values (?, ?, ?, 0, ?)
           returning ${shownUserColumns}`,
        )
        .bind(username, await hashPassword(deps.keys, password), role, deps.now()),
      auditIfChanged(deps, actor, {
        action: "user.create",
        entity: "user",
        entityId: null,
        after: { username, role },
      }),
    ])
    .catch((error: unknown) => {
      if (!violates(error, "users.username")) throw error;
      throw new DomainError("NAME_TAKEN", `there is already a user ${username}`);
    });
  const row = made?.results[0];
  if (!row) throw new Error("the database returned no new user");
  return showUser(row);
}
