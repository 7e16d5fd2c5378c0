import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { hashToken } from "../secrets/hash.ts";
import { hashPassword, passwordMatches } from "../secrets/password.ts";
import type { Actor } from "./actor.ts";
import { countAttempt, forgiveStatements } from "./attempts.ts";

/**
 * Changes a person's own password; all sessions but the one of `token` end. Wrong attempts count like those of
 * signing in: a stolen session must not become a way to guess.
 */
export async function changePassword(
  deps: Deps,
  actor: Actor,
  token: string,
  { current, next }: { current: string; next: string },
): Promise<void> {
  if (actor.kind !== "user") throw new DomainError("FORBIDDEN", "an API key has no password");
  const attempt = await countAttempt(deps, actor.name, actor.ipAddress);
  const stored = await storedPassword(deps, actor.id);
  if (!(await passwordMatches(deps.keys, current, stored))) throw wrongPassword();

  const [changed] = await deps.db.batch([
    deps.db
      .prepare("update users set password_hash = ? where id = ? and password_hash = ?")
      .bind(await hashPassword(deps.keys, next), actor.id, stored),
    auditIfChanged(deps, actor, {
      action: "user.change_password",
      entity: "user",
      entityId: actor.id,
      after: { passwordChanged: true },
    }),
    deps.db
      .prepare("delete from sessions where user_id = ? and token_sha256 <> ? and changes() > 0")
      .bind(actor.id, await hashToken(token)),
  ]);
  if (changed?.meta.changes !== 1) throw wrongPassword();
  await deps.db.batch(forgiveStatements(deps, attempt));
}

async function storedPassword({ db }: Deps, userId: number): Promise<string | null> {
  const row = await db
    .prepare("select password_hash as passwordHash from users where id = ?")
    .bind(userId)
    .first<{ passwordHash: string }>();
  return row?.passwordHash ?? null;
}

const wrongPassword = () => new DomainError("INVALID_INPUT", "current: is not your password");
