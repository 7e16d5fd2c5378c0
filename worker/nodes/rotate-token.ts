import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { hashToken } from "../secrets/hash.ts";
import type { Actor } from "../users/actor.ts";
import { noSuchNode } from "./status.ts";

const DAY_MS = 86_400_000;

/**
 * Gives a node a new token, told this once. The old one stays valid for 24 hours, so that the agent's file can be
 * changed in peace; the one before it ends now.
 */
export async function rotateNodeToken(
  deps: Deps,
  actor: Actor,
  id: number,
): Promise<{ token: string; previousValidUntil: number }> {
  const token = deps.newToken();
  const previousValidUntil = deps.now() + DAY_MS;
  const [rotated] = await deps.db.batch([
    deps.db
      .prepare(
        `update nodes set previous_token_sha256 = token_sha256, previous_token_until = ?2, token_sha256 = ?3,
           updated_at = ?4
         where id = ?1`,
      )
      .bind(id, previousValidUntil, await hashToken(token), deps.now()),
    auditIfChanged(deps, actor, {
      action: "node.rotate_token",
      entity: "node",
      entityId: id,
      after: { previousValidUntil },
    }),
  ]);
  if (rotated?.meta.changes !== 1) throw noSuchNode(id);
  return { token, previousValidUntil };
}
