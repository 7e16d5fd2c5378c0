import type { z } from "zod";
import type { adminApi, objects } from "../../protocol/index.ts";
import { cutPage } from "../db/cut-page.ts";
import type { Deps } from "../deps.ts";

type Filter = z.output<typeof adminApi.listAudit.query>;
type Entry = z.output<typeof objects.auditEntry>;
type Row = Omit<Entry, "before" | "after"> & { before: string | null; after: string | null };

/** Who changed what, newest first; `before` is the `next` of the page before. */
export async function listAudit(
  { db }: Deps,
  filter: Filter,
): Promise<{ items: Entry[]; next: number | null }> {
  const { source, values } = walkOf(filter);
  const { results } = await db
    .prepare(
      `select id, at, actor, action, entity, entity_id as entityId, before, after, ip_address as ipAddress
       from audit_logs ${source} id < ? order by id desc limit ?`,
    )
    .bind(...values, filter.before ?? Number.MAX_SAFE_INTEGER, filter.limit + 1)
    .all<Row>();
  const { items, next } = cutPage(results, filter.limit);
  const shown = items.map((row) => ({ ...row, before: fromJson(row.before), after: fromJson(row.after) }));
  return { items: shown, next };
}

/** The index is named, since the planner may take another one for as good and read everything between. */
function walkOf({ by, actor, action, entity, entityId }: Filter): { source: string; values: unknown[] } {
  const of = (index: string, condition: string, ...values: unknown[]) => ({
    source: `indexed by ${index} where ${condition} actor <> 'system' and`,
    values,
  });
  if (actor !== undefined) return of("audit_logs_of_actor", "actor = ? and", actor);
  if (action !== undefined) return of("audit_logs_of_action", "action = ? and", action);
  if (entity !== undefined)
    return of("audit_logs_of_entity", "entity = ? and entity_id = ? and", entity, entityId);
  if (by === "people") return of("audit_logs_of_people", "");
  return { source: "where", values: [] };
}

const fromJson = (text: string | null): unknown => (text === null ? null : JSON.parse(text));
