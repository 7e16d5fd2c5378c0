import { desc, lt } from "drizzle-orm";
import type { z } from "zod";
import type { objects } from "../../protocol/index.ts";
import { auditLogs } from "../db/schema.ts";
import type { Deps } from "../deps.ts";

type Page<T> = { items: T[]; next: number | null };

/** Who changed what, newest first; `before` is the `next` of the page before. */
export async function listAudit(
  { orm }: Deps,
  { before, limit }: { before?: number | undefined; limit: number },
): Promise<Page<z.output<typeof objects.auditEntry>>> {
  const rows = await orm
    .select()
    .from(auditLogs)
    .where(before === undefined ? undefined : lt(auditLogs.id, before))
    .orderBy(desc(auditLogs.id))
    .limit(limit + 1);
  const items = rows.slice(0, limit).map((row) => ({
    ...row,
    before: fromJson(row.before),
    after: fromJson(row.after),
  }));
  return { items, next: rows.length > limit ? (items.at(-1)?.id ?? null) : null };
}

const fromJson = (text: string | null): unknown => (text === null ? null : JSON.parse(text));
