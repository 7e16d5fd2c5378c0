import type { states } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { noNews } from "../live/news.ts";
import { hashToken } from "../secrets/hash.ts";

export type Identity = { kind: "user" | "api_key"; id: number; name: string; role: states.Role };

/** What every API key begins with, so that people and scanners know one when they see it. */
export const API_KEY_PREFIX = "bxk_";

const HOUR_MS = 3_600_000;

/** The user of a session, if it lives and the user is not disabled: asked anew on every call. */
export async function userOfSession({ db, now }: Deps, token: string): Promise<Identity | null> {
  const row = await db
    .prepare(
      `select u.id, u.username as name, u.role from sessions s join users u on u.id = s.user_id
       where s.token_sha256 = ? and s.expires_at > ? and u.disabled = 0`,
    )
    .bind(await hashToken(token), now())
    .first<Omit<Identity, "kind">>();
  return row && { kind: "user", ...row };
}

/** The API key's identity, if it has not expired. Its last use is noted at most once an hour: writes cost. */
export async function identityOfApiKey({ db, now }: Deps, key: string): Promise<Identity | null> {
  const row = await db
    .prepare(
      `select id, name, role, last_used_at as lastUsedAt from api_keys
       where key_sha256 = ?1 and (expires_at is null or expires_at > ?2)`,
    )
    .bind(await hashToken(key), now())
    .first<Omit<Identity, "kind"> & { lastUsedAt: number | null }>();
  if (!row) return null;
  if ((row.lastUsedAt ?? 0) < now() - HOUR_MS) {
    await db.prepare(noNews("update api_keys set last_used_at = ? where id = ?")).bind(now(), row.id).run();
  }
  return { kind: "api_key", id: row.id, name: row.name, role: row.role };
}
