import { timing } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import type { AgentNode } from "../nodes/authenticate.ts";

/** What an agent of ours says when it polls: which commands it still holds and how much more work it takes. */
export type Claimer = { heldIds: number[]; max: number };

export type TakenCommand = {
  id: number;
  type: string;
  payload: string;
  attempt: number;
  leaseToken: string;
  recordId: number | null;
};
export type Taken = { commands: TakenCommand[]; cancelIds: number[] };

type Active = {
  id: number;
  status: string;
  lane: string;
  cancelRequestedAt: number | null;
  dispatchedAt: number;
};

const nothing: Taken = { commands: [], cancelIds: [] };
const MAX_CONTROL = 4;
/** Most active commands of a node that one poll looks at. The oldest come first, so those that run are among them. */
const MAX_LOOKED_AT = 100;

/**
 * Hands the node its queued commands, each once: the state change and the read are one statement, which also writes
 * attempt, lease token and lease end. A claimer also gets again what was handed out to it and never arrived; an agent
 * that says nothing of itself gets one command and no second chance, because it cannot tell a repeat from a new one.
 */
export async function takeCommands(deps: Deps, node: AgentNode, claimer: Claimer | null): Promise<Taken> {
  const active = await activeCommands(deps, node.id);
  if (active.length === 0) return nothing;
  await withdrawStale(deps, node.id, active);
  const now = deps.now();
  const held = new Set(claimer?.heldIds ?? []);
  const lost = claimer ? active.filter((command) => isLost(command, held, now)) : [];
  const wanted = active.some((command) => command.status === "pending") || lost.length > 0;
  return {
    commands: wanted ? await claim(deps, node, claimer, lost) : [],
    cancelIds: active.filter((c) => c.cancelRequestedAt !== null && held.has(c.id)).map((c) => c.id),
  };
}

/** An empty look-up reads no row at all, whatever the node's history: this is what an idle poll costs. */
async function activeCommands({ db }: Deps, nodeId: number): Promise<Active[]> {
  const { results } = await db
    .prepare(
      `select id, status, lane, cancel_requested_at as cancelRequestedAt,
         coalesce(dispatched_at, created_at) as dispatchedAt
       from agent_commands where node_id = ? and completed_at is null order by id limit ?`,
    )
    .bind(nodeId, MAX_LOOKED_AT)
    .all<Active>();
  return results;
}

/** Handed out, yet the agent does not hold it. Young ones may still be on their way in a parallel answer. */
const isLost = (command: Active, held: Set<number>, now: number) =>
  command.status === "dispatched" &&
  !held.has(command.id) &&
  command.dispatchedAt < now - timing.redeliverAfterSeconds * 1000;

/** Somebody waits for a control command; one whose caller must have given up by now never runs. */
async function withdrawStale({ db, now }: Deps, nodeId: number, active: Active[]): Promise<void> {
  const before = now() - timing.controlWaitSeconds * 1000;
  if (!active.some((c) => c.lane === "control" && c.status === "pending" && c.dispatchedAt < before)) return;
  await db
    .prepare(
      `update agent_commands set status = 'timeout', error_message = 'nobody waits for it any more',
         completed_at = ?1, updated_at = ?1
       where node_id = ?2 and completed_at is null and status = 'pending' and lane = 'control' and created_at < ?3`,
    )
    .bind(now(), nodeId, before)
    .run();
}

async function claim(
  { db, now }: Deps,
  node: AgentNode,
  claimer: Claimer | null,
  lost: Active[],
): Promise<TakenCommand[]> {
  const at = now();
  const ready = `from agent_commands where node_id = ?1 and completed_at is null and status = 'pending'
    and coalesce(not_before, 0) <= ?2`;
  const dispatchedWork = `(select count(*) from agent_commands
    where node_id = ?1 and completed_at is null and status = 'dispatched' and lane = 'work')`;
  const chosen = claimer
    ? `select id from (select id ${ready} and lane = 'control' order by id limit ${MAX_CONTROL})
       union all select id from (select id ${ready} and lane = 'work' order by id
         limit max(0, min(?5, ?6 - ${dispatchedWork})))`
    : `select id from (select id ${ready} and (lane = 'control' or ?6 > 0) order by lane, id limit ?5)`;
  const { results } = await db
    .prepare(
      `update agent_commands set status = 'dispatched', attempt = attempt + 1,
         lease_token = lower(hex(randomblob(16))), lease_expires_at = ?3, dispatched_at = ?2, updated_at = ?2
       where id in (${chosen} union all select value from json_each(?7)) and node_id = ?1
         and (status = 'pending' or (status = 'dispatched' and dispatched_at < ?4 and cancel_requested_at is null))
       returning id, type, payload, attempt, lease_token as leaseToken, record_id as recordId`,
    )
    .bind(
      node.id,
      at,
      at + timing.leaseSeconds * 1000,
      at - timing.redeliverAfterSeconds * 1000,
      claimer?.max ?? 1,
      node.paused ? 0 : node.maxConcurrent,
      JSON.stringify(lost.map((command) => command.id)),
    )
    .all<TakenCommand>();
  return results.sort((a, b) => a.id - b.id);
}
