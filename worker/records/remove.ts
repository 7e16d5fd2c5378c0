import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import type { Actor } from "../users/actor.ts";
import { countDifferentials } from "./base.ts";
import { forgetUnreachable } from "./forget.ts";
import { readRecord } from "./read.ts";
import { removeAll } from "./remove-all.ts";

/**
 * Removes a record and every copy of it; asking again tries again what could not be reached. With `forget`, what an
 * earlier call could not remove is given up instead. RECORD_LOCKED, RECORD_BUSY while it runs, is restored,
 * verified or copied, or RECORD_HAS_DIFFERENTIALS, with their count, while others cannot be restored without it.
 */
export async function removeRecord(
  deps: Deps,
  actor: Actor,
  id: number,
  { forget = false }: { forget?: boolean } = {},
): Promise<{ pendingCopies: number }> {
  if (forget) await forgetUnreachable(deps, actor, id);
  const [marked] = await removeAll(deps, actor, "record.delete", [{ id, reason: null }]);
  if (marked === undefined && !forget) throw await whyNot(deps, id);
  const left = await deps.db
    .prepare(
      "select count(*) as n from record_copies where record_id = ? and status in ('deleting', 'delete_failed')",
    )
    .bind(id)
    .first<{ n: number }>();
  return { pendingCopies: left?.n ?? 0 };
}

async function whyNot(deps: Deps, id: number): Promise<DomainError> {
  const { locked } = await readRecord(deps, id);
  if (locked) return recordLocked(id);
  const differentials = await countDifferentials(deps, id);
  if (differentials === 0) {
    return new DomainError(
      "RECORD_BUSY",
      `record ${id} is running or being restored, verified or copied; cancel that first`,
    );
  }
  const them =
    differentials === 1 ? "a differential backup builds" : `${differentials} differential backups build`;
  return new DomainError(
    "RECORD_HAS_DIFFERENTIALS",
    `${them} on record ${id}: remove what builds on it first`,
    { details: { differentials } },
  );
}

export const recordLocked = (id: number) =>
  new DomainError("RECORD_LOCKED", `record ${id} is locked: unlock it first`);
