import type { z } from "zod";
import type { objects } from "../../protocol/index.ts";

/** A user as people see one. */
export type ShownUser = z.output<typeof objects.user>;

/** The columns that people may see; the password's hash is not among them. */
export const shownUserColumns =
  "id, username, role, disabled, created_at as createdAt, last_login_at as lastLoginAt";

export type ShownUserRow = Omit<ShownUser, "disabled"> & { disabled: number };

export const showUser = (row: ShownUserRow): ShownUser => ({ ...row, disabled: row.disabled === 1 });
