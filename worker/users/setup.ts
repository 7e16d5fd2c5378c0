import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { hashPassword } from "../secrets/password.ts";
import { type ShownUser, type ShownUserRow, shownUserColumns, showUser } from "./shown.ts";

/** Whether nobody can sign in yet. */
export async function setupNeeded({ db }: Deps): Promise<boolean> {
  return (await db.prepare("select 1 from users limit 1").first()) === null;
}

/** Makes the first administrator. Of several that try at once, one wins; afterwards nobody can. */
export async function makeFirstAdmin(
  deps: Deps,
  ipAddress: string,
  { username, password }: { username: string; password: string },
): Promise<ShownUser> {
  // Spares a master that is set up the work of hashing for strangers; the insert below is what decides.
  if (!(await setupNeeded(deps))) throw alreadySetUp();
  const actor = { kind: "user", id: 0, name: username, role: "admin", ipAddress } as const;
  const [made] = await deps.db.batch<ShownUserRow>([
    deps.db
      .prepare(
        `insert into users (username, password_hash, role, disabled, created_at)
         select ?, ?, 'admin', 0, ? where not exists (select 1 from users) returning ${shownUserColumns}`,
      )
      .bind(username, await hashPassword(deps.keys, password), deps.now()),
    auditIfChanged(deps, actor, {
      action: "user.setup",
      entity: "user",
      entityId: null,
      after: { username, role: "admin" },
    }),
  ]);
  const row = made?.results[0];
  if (!row) throw alreadySetUp();
  return showUser(row);
}

const alreadySetUp = () =>
  new DomainError("ALREADY_SET_UP", "the first administrator is already made; sign in");
