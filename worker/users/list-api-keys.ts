import { asc } from "drizzle-orm";
import type { states } from "../../protocol/index.ts";
import { apiKeys } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import type { ShownApiKey } from "./create-api-key.ts";

/** All API keys by id, without their values. */
export async function listApiKeys({ orm }: Deps): Promise<ShownApiKey[]> {
  const rows = await orm
    .select({
      id: apiKeys.id,
      name: apiKeys.name,
      role: apiKeys.role,
      createdAt: apiKeys.createdAt,
      expiresAt: apiKeys.expiresAt,
      lastUsedAt: apiKeys.lastUsedAt,
    })
    .from(apiKeys)
    .orderBy(asc(apiKeys.id));
  return rows.map((row) => ({ ...row, role: row.role as states.Role }));
}
