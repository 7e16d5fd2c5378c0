import type { z } from "zod";
import type { adminApi, objects } from "../../protocol/index.ts";
import { cutPage } from "../db/cut-page.ts";
import type { Deps } from "../deps.ts";

type Command = z.input<typeof objects.command>;
type Filter = z.output<typeof adminApi.listCommands.query>;
/** What is gone through in its order: `sql` with its values, to which the last number is how far. */
type Walk = { sql: string; values: unknown[] };

const columns = `id, node_id as nodeId, type, status, attempt, record_id as recordId, restore_id as restoreId,
  verification_id as verificationId, error_message as errorMessage, created_at as createdAt,
  dispatched_at as dispatchedAt, lease_expires_at as leaseExpiresAt, completed_at as completedAt`;

/** Rows that one page looks at for a status or a type; a page may come back short and still have a next one. */
const SCAN_LIMIT = 1000;

/** A page of the queue and its history, newest first; of one node: what is open, then what has ended. */
export async function listCommands(
  deps: Deps,
  filter: Filter,
): Promise<{ items: Command[]; next: number | null }> {
  const isFiltered = filter.status !== undefined || filter.type !== undefined;
  const walk = filter.nodeId === undefined ? ofAll(filter) : await ofNode(deps, filter.nodeId, filter);
  const found = await select(deps, walk, filter, isFiltered ? SCAN_LIMIT : filter.limit + 1);
  const { items, next } = cutPage(found, filter.limit);
  return { items, next: next ?? (isFiltered ? await endOfScan(deps, walk) : null) };
}

function ofAll({ before }: Filter): Walk {
  return {
    sql: `select ${columns} from agent_commands where id < ?1 order by id desc limit ?2`,
    values: [before ?? Number.MAX_SAFE_INTEGER],
  };
}

/** Both halves follow the index over (node, completed_at), so a page reads as many rows as it shows. */
async function ofNode({ db }: Deps, nodeId: number, { before }: Filter): Promise<Walk> {
  const last =
    before === undefined
      ? null
      : await db
          .prepare("select id, completed_at as completedAt from agent_commands where id = ?")
          .bind(before)
          .first<{ id: number; completedAt: number | null }>();
  const openBefore = last ? (last.completedAt === null ? last.id : 0) : Number.MAX_SAFE_INTEGER;
  const endedBefore = last?.completedAt ?? Number.MAX_SAFE_INTEGER;
  return {
    sql: `select * from (
        select ${columns} from agent_commands
        where node_id = ?1 and completed_at is null and id < ?2 order by id desc limit ?5)
      union all select * from (
        select ${columns} from agent_commands
        where node_id = ?1 and completed_at is not null and (completed_at, id) < (?3, ?4)
        order by completed_at desc, id desc limit ?5)
      limit ?5`,
    values: [nodeId, openBefore, endedBefore, last?.id ?? 0],
  };
}

async function select({ db }: Deps, walk: Walk, filter: Filter, far: number): Promise<Command[]> {
  const given = walk.values.length + 1;
  const { results } = await db
    .prepare(
      `select c.*, n.name as nodeName from (${walk.sql}) c left join nodes n on n.id = c.nodeId
       where coalesce(?${given + 1}, c.status) = c.status and coalesce(?${given + 2}, c.type) = c.type
       limit ?${given + 3}`,
    )
    .bind(...walk.values, far, filter.status ?? null, filter.type ?? null, filter.limit + 1)
    .all<Command>();
  return results;
}

/** The id at which a walk stops that looked for something; null when there is nothing behind it. */
async function endOfScan({ db }: Deps, walk: Walk): Promise<number | null> {
  const { results } = await db
    .prepare(`select id from (${walk.sql}) limit 2 offset ${SCAN_LIMIT - 1}`)
    .bind(...walk.values, SCAN_LIMIT + 1)
    .all<{ id: number }>();
  return cutPage(results, 1).next;
}
