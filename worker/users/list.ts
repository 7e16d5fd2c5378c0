import { asc } from "drizzle-orm";
import type { states } from "../../protocol/index.ts";
import { users } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import type { ShownUser } from "./shown.ts";

/** Everybody who may sign in, by id. */
export async function listUsers({ orm }: Deps): Promise<ShownUser[]> {
  const rows = await orm
    .select({
      id: users.id,
      username: users.username,
      role: users.role,
      disabled: users.disabled,
      createdAt: users.createdAt,
      lastLoginAt: users.lastLoginAt,
    })
    .from(users)
    .orderBy(asc(users.id));
  return rows.map((row) => ({ ...row, role: row.role as states.Role }));
}
