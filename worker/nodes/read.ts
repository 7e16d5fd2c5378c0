import { and, eq, sql } from "drizzle-orm";
import type { z } from "zod";
import type { objects } from "../../protocol/index.ts";
import { agentCommands, nodes } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { type NodeRow, type ShownNode, showNodes } from "./shown.ts";
import { noSuchNode } from "./status.ts";

type Activity = z.input<typeof objects.nodeActivity>;

const MAX_RUNNING_SHOWN = 200;

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
