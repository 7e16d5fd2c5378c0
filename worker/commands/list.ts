import type { z } from "zod";
import type { objects } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";

type Command = z.input<typeof objects.command>;
type Page = { before?: number | undefined; limit: number; nodeId?: number | undefined };

const columns = `id, node_id as nodeId, type, status, attempt, record_id as recordId, restore_id as restoreId, verification_id as verificationId,
  error_message as errorMessage, created_at as createdAt, dispatched_at as dispatchedAt,
  lease_expires_at as leaseExpiresAt, completed_at as completedAt`;

/** A page of the queue and its history, newest first; of one node: what is open, then what has ended. */
export async function listCommands(
  deps: Deps,
  page: Page,
): Promise<{ items: Command[]; next: number | null }> {
  const items = page.nodeId === undefined ? await ofAll(deps, page) : await ofNode(deps, page.nodeId, page);
  return { items, next: items.length === page.limit ? (items.at(-1)?.id ?? null) : null };
}

async function ofAll({ db }: Deps, page: Page): Promise<Command[]> {
  const { results } = await db
    .prepare(`select ${columns} from agent_commands where id < ? order by id desc limit ?`)
    .bind(page.before ?? Number.MAX_SAFE_INTEGER, page.limit)
    .all<Command>();
  return results;
}

/** Both halves follow the index over (node, completed_at), so a page reads as many rows as it shows. */
async function ofNode({ db }: Deps, nodeId: number, page: Page): Promise<Command[]> {
  const last =
    page.before === undefined
      ? null
      : await db
          .prepare("select id, completed_at as completedAt from agent_commands where id = ?")
          .bind(page.before)
          .first<{ id: number; completedAt: number | null }>();
  const openBefore = last ? (last.completedAt === null ? last.id : 0) : Number.MAX_SAFE_INTEGER;
  const endedBefore = last?.completedAt ?? Number.MAX_SAFE_INTEGER;
  const { results } = await db
    .prepare(
      `select * from (
         select ${columns} from agent_commands
         where node_id = ?1 and completed_at is null and id < ?2 order by id desc limit ?5)
       union all select * from (
         select ${columns} from agent_commands
         where node_id = ?1 and completed_at is not null and (completed_at, id) < (?3, ?4)
         order by completed_at desc, id desc limit ?5)
       limit ?5`,
    )
    .bind(nodeId, openBefore, endedBefore, last?.id ?? 0, page.limit)
    .all<Command>();
  return results;
}
