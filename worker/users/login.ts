import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { noNews } from "../live/news.ts";
import { hashToken } from "../secrets/hash.ts";
import { passwordMatches } from "../secrets/password.ts";
import { countAttempt, forgiveStatements } from "./attempts.ts";
import { type ShownUser, type ShownUserRow, shownUserColumns, showUser } from "./shown.ts";

type Account = ShownUserRow & { passwordHash: string };

/**
 * Starts a session and returns its token, of which only a hash is kept. A wrong password, an unknown account and a
 * disabled one are refused alike.
 */
export async function login(
  deps: Deps,
  { ipAddress, userAgent }: { ipAddress: string; userAgent: string },
  { username, password }: { username: string; password: string },
): Promise<{ user: ShownUser; token: string }> {
  const attempt = await countAttempt(deps, username, ipAddress);
  const account = await deps.db
    .prepare(`select ${shownUserColumns}, password_hash as passwordHash from users where username = ?`)
    .bind(username)
    .first<Account>();
  const matches = await passwordMatches(deps.keys, password, account?.passwordHash ?? null);
  if (!account || !matches) throw loginFailed();

  const token = deps.newToken();
  const { passwordHash, ...row } = account;
  const user = showUser({ ...row, lastLoginAt: deps.now() });
  const [session] = await deps.db.batch([
    // The account is asked again: it may have been disabled or given another password since.
    deps.db
      .prepare(
        `insert into sessions (token_sha256, user_id, ip_address, user_agent, created_at, expires_at)
         select ?, id, ?, ?, ?, ? from users where id = ? and disabled = 0 and password_hash = ?`,
      )
      .bind(
        await hashToken(token),
        ipAddress,
        userAgent,
        deps.now(),
        deps.now() + deps.config.sessionMs,
        account.id,
        passwordHash,
      ),
    auditIfChanged(
      deps,
      { kind: "user", id: user.id, name: user.username, role: user.role, ipAddress },
      { action: "user.login", entity: "user", entityId: user.id },
    ),
    deps.db
      .prepare(noNews("update users set last_login_at = ? where id = ? and changes() > 0"))
      .bind(deps.now(), account.id),
  ]);
  if (session?.meta.changes !== 1) throw loginFailed();
  await deps.db.batch(forgiveStatements(deps, attempt));
  return { user, token };
}

const loginFailed = () => new DomainError("LOGIN_FAILED", "the user name or the password is wrong");
