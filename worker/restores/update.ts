import type { z } from "zod";
import { type agentApi, timing } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import type { AgentNode } from "../nodes/authenticate.ts";
import { appendLogStatements } from "../records/log.ts";
import { requireLease } from "../records/of-node.ts";
import { type HeldRestore, restoreOfNode } from "./of-node.ts";

type Report = z.output<typeof agentApi.updateRestore.body>;
type Status = "running" | "success" | "failed";

/** Takes an agent's report of its restore. A closed one stays closed, unless it was given up and yet succeeded. */
export async function updateRestore(deps: Deps, node: AgentNode, id: number, report: Report): Promise<void> {
  const held = await restoreOfNode(deps, node, id);
  requireLease(held, report.leaseToken);
  const status = parseStatus(report.status);
  const lateSuccess = held.status === "failed" && held.commandStatus === "timeout" && status === "success";
  const open = held.status === "queued" || held.status === "running" || lateSuccess;
  const statements = [
    ...(open ? [updateStatement(deps, id, status ?? "running", report)] : []),
    ...appendLogStatements(deps, "restore", id, report),
    ...(open ? keepAlive(deps, node, held) : []),
  ];
  if (statements.length > 0) await deps.db.batch(statements);
}

function parseStatus(status: string | undefined): Status | null {
  if (status === undefined || status === "") return null;
  if (status === "running" || status === "success" || status === "failed") return status;
  throw new DomainError("INVALID_INPUT", "status: must be running, success or failed");
}

function updateStatement({ db, now }: Deps, id: number, status: Status, report: Report): D1PreparedStatement {
  const ended = status !== "running";
  return db
    .prepare(
      `update restore_records set status = ?1, started_at = coalesce(started_at, ?2),
         finished_at = case when ?3 then ?2 end, error_message = ?4,
         progress = case when ?3 then null else coalesce(?5, progress) end,
         entries = coalesce(?6, entries), bytes = coalesce(?7, bytes),
         warnings = coalesce(?8, warnings), warning_count = coalesce(?9, warning_count)
       where id = ?10 and (status in ('queued', 'running') or (?1 = 'success' and status = 'failed'
         and (select status from agent_commands where id = command_id) = 'timeout'))`,
    )
    .bind(
      status,
      now(),
      ended ? 1 : 0,
      status === "failed" ? report.errorMessage || "the agent gave no reason" : "",
      report.progress ? JSON.stringify(report.progress) : null,
      report.entries ?? null,
      report.bytes ?? null,
      report.warnings ? JSON.stringify(report.warnings) : null,
      report.warningCount ?? report.warnings?.length ?? null,
      id,
    );
}

/** A restore that moves keeps its command alive, for agents that know of no lease. */
function keepAlive({ db, now }: Deps, node: AgentNode, held: HeldRestore): D1PreparedStatement[] {
  if (node.protocolVersion !== null || held.commandStatus !== "dispatched") return [];
  return [
    db
      .prepare("update agent_commands set lease_expires_at = ? where id = ? and status = 'dispatched'")
      .bind(now() + timing.leaseSeconds * 1000, held.commandId),
  ];
}
