import { desc, lt } from "drizzle-orm";
import type { z } from "zod";
import { objects } from "../../protocol/index.ts";
import { cutPage } from "../db/cut-page.ts";
import { notifications } from "../db/schema.ts";
import type { Deps } from "../deps.ts";

type Page<T> = { items: T[]; next: number | null };

/** What happened that people should know, newest first; `before` is the `next` of the page before. */
export async function listNotifications(
  { orm }: Deps,
  { before, limit }: { before?: number | undefined; limit: number },
): Promise<Page<z.output<typeof objects.notification>>> {
  const rows = await orm
    .select()
    .from(notifications)
    .where(before === undefined ? undefined : lt(notifications.id, before))
    .orderBy(desc(notifications.id))
    .limit(limit + 1);
  const { items, next } = cutPage(rows, limit);
  const shown = items.map(({ details, ...row }) => ({
    ...row,
    details: objects.notificationDetails.parse(JSON.parse(details)),
  }));
  return { items: shown, next };
}
