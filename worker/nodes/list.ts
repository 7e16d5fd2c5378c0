import { and, desc, eq, gte, lt, type SQL, sql } from "drizzle-orm";
import type { z } from "zod";
import type { adminApi, objects } from "../../protocol/index.ts";
import { cutPage } from "../db/cut-page.ts";
import { nodes } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { type ShownNode, showNodes } from "./shown.ts";

type Filter = z.output<typeof adminApi.listNodes.query>;
type Queue = z.input<typeof objects.nodeQueue>;
type Listed = ShownNode & Queue;

/** Rows that one page looks at for what no index knows; a page may come back short and still have a next one. */
const SCAN_LIMIT = 1000;
/** Open commands that are counted of one node. */
const COUNTED = 100;

/** A page of nodes, newest first, with what waits for each and what it runs. */
export async function listNodes(
  deps: Deps,
  filter: Filter,
): Promise<{ items: Listed[]; next: number | null }> {
  const within = [lt(nodes.id, filter.before ?? Number.MAX_SAFE_INTEGER), ...alongIndex(filter)];
  const unindexed = [...hasLabel(filter), ...hasText(filter), ...mayBeOnline(filter)];
  const floor = unindexed.length === 0 ? null : await endOfScan(deps, within);
  const rows = await deps.orm
    .select()
    .from(nodes)
    .where(and(...within, floor === null ? undefined : gte(nodes.id, floor), ...unindexed))
    .orderBy(desc(nodes.id))
    .limit(filter.limit + 1);
  const { items, next } = cutPage(rows, filter.limit);
  // The rows' own states may be some seconds old.
  const shown = (await showNodes(deps, items)).filter(
    ({ status }) => filter.status === undefined || status === filter.status,
  );
  return { items: await withQueues(deps, shown), next: next ?? floor };
}

/** The few that are away have an index, which is used only when its condition stands here as it stands there. */
const alongIndex = ({ status }: Filter): SQL[] =>
  status === undefined || status === "online" ? [] : [sql`status <> 'online'`, eq(nodes.status, status)];

const mayBeOnline = ({ status }: Filter): SQL[] => (status === "online" ? [sql`status = 'online'`] : []);

const hasLabel = ({ label }: Filter): SQL[] =>
  label === undefined ? [] : [sql`exists (select 1 from json_each(${nodes.labels}) where value = ${label})`];

const hasText = ({ text }: Filter): SQL[] =>
  text === undefined
    ? []
    : [
        sql`instr(lower(${nodes.name} || ' ' || ${nodes.hostname} || ' ' || ${nodes.ipAddress}), lower(${text})) > 0`,
      ];

/** The id at which a scan stops; null when there is nothing behind it. */
async function endOfScan({ orm }: Deps, within: SQL[]): Promise<number | null> {
  const rows = await orm
    .select({ id: nodes.id })
    .from(nodes)
    .where(and(...within))
    .orderBy(desc(nodes.id))
    .limit(2)
    .offset(SCAN_LIMIT - 1);
  return cutPage(rows, 1).next;
}

async function withQueues({ db }: Deps, shown: ShownNode[]): Promise<Listed[]> {
  const { results } = await db
    .prepare(
      `select value as id, (
         select json_object('queuedCount', count(*) filter (where status = 'pending'),
           'runningCount', count(*) filter (where status = 'dispatched'))
         from (select status from agent_commands where node_id = value and completed_at is null limit ${COUNTED})
       ) as queue from json_each(?)`,
    )
    .bind(JSON.stringify(shown.map(({ id }) => id)))
    .all<{ id: number; queue: string }>();
  const queues = new Map(results.map(({ id, queue }) => [id, JSON.parse(queue) as Queue]));
  return shown.map((node) => ({
    ...node,
    ...(queues.get(node.id) ?? { queuedCount: 0, runningCount: 0 }),
  }));
}
