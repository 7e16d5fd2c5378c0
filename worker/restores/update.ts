import type { z } from "zod";
import type { agentApi } from "../../protocol/index.ts";
import { keepAliveStatements } from "../commands/keep-alive.ts";
import type { Deps } from "../deps.ts";
import { noNews, tellingEnd } from "../live/news.ts";
import type { AgentNode } from "../nodes/authenticate.ts";
import { appendLogStatements } from "../records/log.ts";
import { requireLease } from "../records/of-node.ts";
import { parseReportedStatus, type ReportedStatus } from "../records/reported-status.ts";
import { type HeldRestore, restoreOfNode } from "./of-node.ts";

type Report = z.output<typeof agentApi.updateRestore.body>;

/** Takes an agent's report of its restore. A closed one stays closed, unless it was given up and yet succeeded. */
export async function updateRestore(deps: Deps, node: AgentNode, id: number, report: Report): Promise<void> {
  const held = await restoreOfNode(deps, node, id);
  requireLease(held, report.leaseToken);
  const status = parseReportedStatus(report.status, "INVALID_INPUT");
  const lateSuccess = held.status === "failed" && held.commandStatus === "timeout" && status === "success";
  const open = held.status === "queued" || held.status === "running" || lateSuccess;
  const statements = [
    ...(open ? [updateStatement(deps, held, status ?? "running", report)] : []),
    ...appendLogStatements(deps, "restore", id, report),
    ...(open ? keepAliveStatements(deps, node, held) : []),
  ];
  if (statements.length > 0) await deps.db.batch(statements);
}

function updateStatement(
  { db, now }: Deps,
  held: HeldRestore,
  status: ReportedStatus,
  report: Report,
): D1PreparedStatement {
  const ended = status !== "running";
  const update = `update restore_records set status = ?1, started_at = coalesce(started_at, ?2),
     finished_at = case when ?3 then ?2 end, error_message = ?4,
     progress = case when ?3 then null else coalesce(?5, progress) end,
     entries = coalesce(?6, entries), bytes = coalesce(?7, bytes),
     warnings = coalesce(?8, warnings), warning_count = coalesce(?9, warning_count),
     outcome = coalesce(?10, outcome)
   where id = ?11 and (status in ('queued', 'running') or (?1 = 'success' and status = 'failed'
     and (select status from agent_commands where id = command_id) = 'timeout')) ${tellingEnd("restore")}`;
  return db
    .prepare(noNews(update, !ended && held.status === "running"))
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
      report.outcome ? JSON.stringify(report.outcome) : null,
      held.id,
    );
}
