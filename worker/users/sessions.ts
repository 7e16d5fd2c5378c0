import type { z } from "zod";
import type { objects } from "../../protocol/index.ts";
import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { hashToken } from "../secrets/hash.ts";
import type { Actor } from "./actor.ts";

type Session = z.output<typeof objects.session>;

/** More than anybody has open; the oldest are left out. */
const MOST_SHOWN = 100;

/** Where a person is signed in, newest first; `token` is the session that asks. */
export async function listSessions({ db, now }: Deps, actor: Actor, token: string): Promise<Session[]> {
  if (actor.kind !== "user") return [];
  const { results } = await db
    .prepare(
      `select created_at as createdAt, expires_at as expiresAt, ip_address as ipAddress, user_agent as userAgent,
         token_sha256 = ?3 as current
       from sessions where user_id = ?1 and expires_at > ?2 order by created_at desc limit ${MOST_SHOWN}`,
    )
    .bind(actor.id, now(), await hashToken(token))
    .all<Omit<Session, "current"> & { current: number }>();
  return results.map((row) => ({ ...row, current: row.current === 1 }));
}

/** Ends all sessions of a person but the one of `token`; how many. */
export async function endOtherSessions(deps: Deps, actor: Actor, token: string): Promise<number> {
  if (actor.kind !== "user") return 0;
  const [ended] = await deps.db.batch([
    deps.db
      .prepare("delete from sessions where user_id = ? and token_sha256 <> ?")
      .bind(actor.id, await hashToken(token)),
    auditIfChanged(deps, actor, { action: "user.end_sessions", entity: "user", entityId: actor.id }),
  ]);
  return ended?.meta.changes ?? 0;
}
