import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { noSuchNode, presenceOf } from "../nodes/status.ts";
import { isGoAgent, type Needs, whyItCannotRun } from "./can-run.ts";

export type ChosenNode = { id: number; name: string; protocolVersion: number | null; isGoAgent: boolean };

type Row = {
  id: number;
  name: string;
  protocolVersion: number | null;
  connection: string;
  lastSeen: number | null;
  capabilities: string | null;
  paused: number;
};

const columns = `id, name, protocol_version as protocolVersion, connection, last_seen as lastSeen, capabilities, paused`;

/**
 * The node that is to run a task. Bound to one: that one, also while it is offline, for the run waits for it; never
 * another. From a pool: the least busy node with the label that is online, not paused and, if `needs` are given, able
 * to run it; the lowest id among equals. Throws NODE_NOT_FOUND, NODE_CANNOT_RUN_TASK or NODE_POOL_EMPTY.
 */
export async function chooseNode(
  deps: Deps,
  task: { nodeId: number | null; poolLabel: string | null },
  needs?: Needs,
): Promise<ChosenNode> {
  if (task.nodeId !== null) return boundNode(deps, task.nodeId, needs);
  if (task.poolLabel !== null) return poolNode(deps, task.poolLabel, needs);
  throw new DomainError("NODE_NOT_FOUND", "this task names neither a node nor a pool");
}

async function boundNode({ db }: Deps, id: number, needs: Needs | undefined): Promise<ChosenNode> {
  const row = await db.prepare(`select ${columns} from nodes where id = ?`).bind(id).first<Row>();
  if (!row) throw noSuchNode(id);
  const obstacle = needs && whyItCannotRun(row, needs);
  if (obstacle) throw new DomainError("NODE_CANNOT_RUN_TASK", obstacle);
  return chosen(row);
}

async function poolNode(deps: Deps, label: string, needs: Needs | undefined): Promise<ChosenNode> {
  const members = await poolMembers(deps, label);
  const presence = await presenceOf(deps, members);
  const online = members.filter(({ id }) => presence.get(id)?.status === "online");
  const awake = online.filter(({ paused }) => paused === 0);
  const able = awake.filter((row) => !needs || whyItCannotRun(row, needs) === null);
  const [leastBusy] = able;
  if (leastBusy) return chosen(leastBusy);
  const [unable] = awake;
  const obstacle = unable && needs && whyItCannotRun(unable, needs);
  if (obstacle) throw new DomainError("NODE_CANNOT_RUN_TASK", `no node of pool ${label} can: ${obstacle}`);
  throw emptyPool(label, members.length - online.length, online.length - awake.length);
}

/** The nodes with a label. Least busy first, then by id. What is open has no completed_at, so history is not read. */
export async function poolMembers({ db }: Deps, label: string): Promise<Row[]> {
  const { results } = await db
    .prepare(
      `select ${columns} from nodes n
       where exists (select 1 from json_each(n.labels) where value = ?)
       order by (select count(*) from agent_commands c where c.node_id = n.id and c.completed_at is null), id`,
    )
    .bind(label)
    .all<Row>();
  return results;
}

function emptyPool(label: string, offline: number, paused: number): DomainError {
  const members =
    offline + paused === 0
      ? "no node has that label"
      : `${offline} ${offline === 1 ? "node is" : "nodes are"} offline and ${paused} paused`;
  return new DomainError("NODE_POOL_EMPTY", `no node of pool ${label} can run this now: ${members}`, {
    details: { offline, paused },
  });
}

const chosen = (row: Row): ChosenNode => ({
  id: row.id,
  name: row.name,
  protocolVersion: row.protocolVersion,
  isGoAgent: isGoAgent(row),
});
