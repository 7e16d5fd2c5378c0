import { and, desc, eq, gte, lt, sql } from "drizzle-orm";
import type { z } from "zod";
import type { objects } from "../../protocol/index.ts";
import { agentCommands, nodes } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { type NodeRow, type ShownNode, showNodes } from "./shown.ts";
import { noSuchNode } from "./status.ts";

type Activity = z.input<typeof objects.nodeActivity>;
type Page = { before?: number | undefined; limit: number; label?: string | undefined };

/** Rows that one page of a filtered list looks at; a page may come back short and still have a next one. */
const SCAN_LIMIT = 1000;
const MAX_RUNNING_SHOWN = 200;

/** A page of nodes, newest first. */
export async function listNodes(
  deps: Deps,
  page: Page,
): Promise<{ items: ShownNode[]; next: number | null }> {
  const before = page.before ?? Number.MAX_SAFE_INTEGER;
  const floor = page.label === undefined ? null : await endOfScan(deps, before);
  const rows = await deps.orm
    .select()
    .from(nodes)
    .where(
      and(
        lt(nodes.id, before),
        floor === null ? undefined : gte(nodes.id, floor),
        page.label === undefined ? undefined : hasLabel(page.label),
      ),
    )
    .orderBy(desc(nodes.id))
    .limit(page.limit);
  const next = rows.length === page.limit ? (rows.at(-1)?.id ?? null) : floor;
  return { items: await showNodes(deps, rows), next };
}

/** One node, what waits for it and what it runs. */
export async function getNode(deps: Deps, id: number): Promise<ShownNode & Activity> {
  const [row] = await deps.orm.select().from(nodes).where(eq(nodes.id, id));
  if (!row) throw noSuchNode(id);
  const [shown] = await showNodes(deps, [row]);
  return { ...(shown as ShownNode), ...(await activityOf(deps, id)) };
}

/** The row as it is, for verbs that must tell of what was before. */
export async function readNode({ orm }: Deps, id: number): Promise<NodeRow> {
  const [row] = await orm.select().from(nodes).where(eq(nodes.id, id));
  if (!row) throw noSuchNode(id);
  return row;
}

/** Rows by their ids, oldest first. */
export async function readNodes({ orm }: Deps, ids: number[]): Promise<NodeRow[]> {
  return orm
    .select()
    .from(nodes)
    .where(sql`${nodes.id} in (select value from json_each(${JSON.stringify(ids)}))`)
    .orderBy(nodes.id);
}

const hasLabel = (label: string) =>
  sql`exists (select 1 from json_each(${nodes.labels}) where value = ${label})`;

/** The id at which a scan from `before` downwards stops; null when it reaches the end of the table. */
async function endOfScan({ db }: Deps, before: number): Promise<number | null> {
  const row = await db
    .prepare("select id from nodes where id < ? order by id desc limit 1 offset ?")
    .bind(before, SCAN_LIMIT - 1)
    .first<{ id: number }>();
  return row?.id ?? null;
}

async function activityOf({ orm }: Deps, nodeId: number): Promise<Activity> {
  const open = and(eq(agentCommands.nodeId, nodeId), sql`completed_at is null`);
  const [queued, running] = await orm.batch([
    orm
      .select({ count: sql<number>`count(*)` })
      .from(agentCommands)
      .where(and(open, eq(agentCommands.status, "pending"))),
    orm
      .select({
        commandId: agentCommands.id,
        type: agentCommands.type,
        recordId: agentCommands.recordId,
        since: agentCommands.dispatchedAt,
      })
      .from(agentCommands)
      .where(and(open, eq(agentCommands.status, "dispatched")))
      .orderBy(agentCommands.id)
      .limit(MAX_RUNNING_SHOWN),
  ]);
  return {
    queued: queued[0]?.count ?? 0,
    running: running.map((command) => ({
      ...command,
      type: command.type as Activity["running"][number]["type"],
      since: command.since ?? 0,
    })),
  };
}
