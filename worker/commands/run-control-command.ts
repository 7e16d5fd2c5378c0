import { type states, timing } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { requireOnline } from "../nodes/status.ts";
import { forgetAccess } from "../tasks/source-access.ts";
import { enqueueStatement } from "./enqueue.ts";

type Ended = { status: string; result: string | null; errorMessage: string };

/** Waits between looks: short at first, since a woken agent answers within a tenth of a second. About 20 in 15 s. */
const FIRST_WAIT_MS = 30;
const LONGEST_WAIT_MS = 1000;

/**
 * Asks a node's agent something short and waits for its answer, at most 15 s; then the command is withdrawn, so it
 * never runs later. Throws NODE_OFFLINE, AGENT_COMMAND_TIMEOUT, or NODE_COMMAND_FAILED with the agent's own words.
 */
export async function runControlCommand(
  deps: Deps,
  command: { nodeId: number; type: states.CommandType; payload: Record<string, unknown> },
): Promise<unknown> {
  await requireOnline(deps, command.nodeId);
  const row = await enqueueStatement(deps, command).first<{ id: number }>();
  if (!row) throw new DomainError("NODE_NOT_FOUND", `there is no node ${command.nodeId}`);
  await deps.bell.ring([command.nodeId]);
  const ended = (await waitFor(deps, row.id)) ?? (await withdraw(deps, row.id));
  if ("sealed" in command.payload) await forgetAccess(deps, row.id);
  if (ended.status === "succeeded") return JSON.parse(ended.result ?? "null");
  if (ended.status === "failed") {
    throw new DomainError("NODE_COMMAND_FAILED", ended.errorMessage || "the agent gave no reason");
  }
  throw new DomainError(
    "AGENT_COMMAND_TIMEOUT",
    `the agent did not answer within ${timing.controlWaitSeconds} seconds; is it busy, or only just online?`,
  );
}

async function waitFor(deps: Deps, id: number): Promise<Ended | null> {
  const deadline = deps.now() + timing.controlWaitSeconds * 1000;
  for (let wait = FIRST_WAIT_MS; deps.now() < deadline; wait = Math.min(wait * 1.6, LONGEST_WAIT_MS)) {
    await deps.sleep(Math.min(wait, deadline - deps.now()));
    const ended = await deps.db
      .prepare(
        `select status, result, error_message as errorMessage from agent_commands
         where id = ? and completed_at is not null`,
      )
      .bind(id)
      .first<Ended>();
    if (ended) return ended;
  }
  return null;
}

/** Takes back what nobody waits for any more; an answer that came at the last moment still counts. */
async function withdraw({ db, now }: Deps, id: number): Promise<Ended> {
  const ended = await db
    .prepare(
      `update agent_commands set
         status = case when completed_at is not null then status when status = 'pending' then 'cancelled' else 'timeout' end,
         error_message = case when completed_at is null then 'its caller gave up' else error_message end,
         completed_at = coalesce(completed_at, ?1), updated_at = ?1
       where id = ?2 returning status, result, error_message as errorMessage`,
    )
    .bind(now(), id)
    .first<Ended>();
  return ended ?? { status: "cancelled", result: null, errorMessage: "" };
}
