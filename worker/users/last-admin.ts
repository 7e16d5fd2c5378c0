import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";

/** SQL, for a row of `users`: without this one there still is an administrator who can sign in, if there was. */
export const canBeSpared = `(role <> 'admin' or disabled = 1 or exists (select 1 from users as other
  where other.role = 'admin' and other.disabled = 0 and other.id <> users.id))`;

/** Why a change of a user was not made: there is no such user, or nobody would be left to administer. */
export async function whyNotChanged({ db }: Deps, userId: number): Promise<DomainError> {
  const row = await db.prepare("select 1 from users where id = ?").bind(userId).first();
  if (row === null) return new DomainError("USER_NOT_FOUND", `there is no user ${userId}`);
  return new DomainError(
    "LAST_ADMIN",
    "this is the last administrator who can sign in; make another one first",
  );
}
