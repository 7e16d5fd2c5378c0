import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { hashToken } from "../secrets/hash.ts";
import type { Actor } from "./actor.ts";

/** Ends one session: its token is worth nothing from now on. */
export async function logout(deps: Deps, actor: Actor, token: string): Promise<void> {
  await deps.db.batch([
    deps.db
      .prepare("delete from sessions where token_sha256 = ? and user_id = ?")
      .bind(await hashToken(token), actor.id),
    auditIfChanged(deps, actor, { action: "user.logout", entity: "user", entityId: actor.id }),
  ]);
}
