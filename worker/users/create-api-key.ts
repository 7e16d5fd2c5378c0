import type { z } from "zod";
import type { objects, states } from "../../protocol/index.ts";
import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { DomainError, violates } from "../errors.ts";
import { hashToken } from "../secrets/hash.ts";
import type { Actor } from "./actor.ts";
import { API_KEY_PREFIX } from "./authenticate.ts";

export type ShownApiKey = z.output<typeof objects.apiKey>;

/** Makes an API key. Its value is returned this once; only a hash of it is kept. */
export async function createApiKey(
  deps: Deps,
  actor: Actor,
  { name, role, expiresAt }: { name: string; role: states.Role; expiresAt: number | null },
): Promise<{ apiKey: ShownApiKey; key: string }> {
  if (expiresAt !== null && expiresAt <= deps.now()) {
    throw new DomainError("INVALID_INPUT", "expiresAt: must be in the future");
  }
  const key = `${API_KEY_PREFIX}${deps.newToken()}`;
  const [made] = await deps.db
    .batch<ShownApiKey>([
      deps.db
        .prepare(
          `insert into api_keys (name, key_sha256, role, created_at, expires_at) values (?, ?, ?, ?, ?)
           returning id, name, role, created_at as createdAt, expires_at as expiresAt, last_used_at as lastUsedAt`,
        )
        .bind(name, await hashToken(key), role, deps.now(), expiresAt),
      auditIfChanged(deps, actor, {
        action: "api_key.create",
        entity: "api_key",
        entityId: null,
        after: { name, role, expiresAt },
      }),
    ])
    .catch((error: unknown) => {
      if (!violates(error, "api_keys.name")) throw error;
      throw new DomainError("NAME_TAKEN", `there is already an API key ${name}`);
    });
  const apiKey = made?.results[0];
  if (!apiKey) throw new Error("the database returned no new API key");
  return { apiKey, key };
}
