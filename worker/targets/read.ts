import { desc, eq, lt, sql } from "drizzle-orm";
import { cutPage } from "../db/cut-page.ts";
import { storageTargets } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { type ShownTarget, showTarget, type TargetRow } from "./shown.ts";

/** A page of storage targets, newest first. */
export async function listTargets(
  { orm }: Deps,
  page: { before?: number | undefined; limit: number },
): Promise<{ items: ShownTarget[]; next: number | null }> {
  const rows = await orm
    .select()
    .from(storageTargets)
    .where(lt(storageTargets.id, page.before ?? Number.MAX_SAFE_INTEGER))
    .orderBy(desc(storageTargets.id))
    .limit(page.limit + 1);
  const { items, next } = cutPage(rows, page.limit);
  return { items: items.map(showTarget), next };
}

/** One storage target without its secrets. */
export async function getTarget(deps: Deps, id: number): Promise<ShownTarget> {
  return showTarget(await readTarget(deps, id));
}

/** The row as it is, its secrets sealed. Throws STORAGE_TARGET_NOT_FOUND. */
export async function readTarget({ orm }: Deps, id: number): Promise<TargetRow> {
  const [row] = await orm.select().from(storageTargets).where(eq(storageTargets.id, id));
  if (!row) throw noSuchTarget(id);
  return row;
}

/** Those of these targets that exist, in the order asked for. */
export async function readTargets({ orm }: Deps, ids: number[]): Promise<TargetRow[]> {
  const rows = await orm
    .select()
    .from(storageTargets)
    .where(sql`${storageTargets.id} in (select value from json_each(${JSON.stringify(ids)}))`);
  return rows.sort((a, b) => ids.indexOf(a.id) - ids.indexOf(b.id));
}

const noSuchTarget = (id: number) =>
  new DomainError("STORAGE_TARGET_NOT_FOUND", `there is no storage target ${id}`);
