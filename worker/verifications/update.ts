import type { z } from "zod";
import { type agentApi, verification } from "../../protocol/index.ts";
import { keepAliveStatements } from "../commands/keep-alive.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { noNews, tellingEnd } from "../live/news.ts";
import type { AgentNode } from "../nodes/authenticate.ts";
import { appendLogStatements } from "../records/log.ts";
import { requireLease } from "../records/of-node.ts";
import { parseReportedStatus } from "../records/reported-status.ts";
import { type HeldVerification, verificationOfNode } from "./of-node.ts";

type Report = z.output<typeof agentApi.updateVerification.body>;
type Verdict = {
  status: "success" | "incomplete" | "failed";
  reachedGrade: verification.Grade | null;
  damaged: boolean;
  /** The stored bytes themselves are not what they were: no restore shall read them. */
  copyDamaged: boolean;
  reason: string;
};

/**
 * Takes an agent's report of its verification. The verdict is not the agent's: it is worked out from the single checks.
 * A closed one stays closed, unless it was given up and yet came to its end.
 */
export async function updateVerification(
  deps: Deps,
  node: AgentNode,
  id: number,
  report: Report,
): Promise<void> {
  const held = await verificationOfNode(deps, node, id);
  requireLease(held, report.leaseToken);
  const status = parseReportedStatus(report.status, "INVALID_INPUT");
  if (status === "success" && !report.report) throw new DomainError("INVALID_INPUT", "report: is missing");
  const late = held.status === "failed" && held.commandStatus === "timeout" && status === "success";
  const open = held.status === "queued" || held.status === "running" || late;
  const ended = status === "success" || status === "failed";
  const statements = [
    ...(open && ended ? endStatements(deps, held, verdictOf(held, report), report) : []),
    ...(open && !ended ? [progressStatement(deps, held, report)] : []),
    ...appendLogStatements(deps, "verification", id, report),
    ...(open ? keepAliveStatements(deps, node, held) : []),
  ];
  if (statements.length > 0) await deps.db.batch(statements);
}

function verdictOf({ grade }: HeldVerification, { status, report, errorMessage }: Report): Verdict {
  const checks = report?.checks ?? [];
  const reachedGrade = verification.gradeReached(checks);
  const damaged = verification.isDamaged(checks);
  const copyDamaged = verification.isDamaged(checks.filter(({ grade }) => grade < RESTORED));
  const reason = errorMessage || verification.shortfall(checks);
  if (damaged || status === "failed") {
    return {
      status: "failed",
      reachedGrade,
      damaged,
      copyDamaged,
      reason: reason || "the agent gave no reason",
    };
  }
  if (reachedGrade !== null && reachedGrade >= grade) {
    return { status: "success", reachedGrade, damaged, copyDamaged, reason: "" };
  }
  return {
    status: "incomplete",
    reachedGrade,
    damaged,
    copyDamaged,
    reason: reason || "not everything was looked at",
  };
}

function progressStatement({ db, now }: Deps, held: HeldVerification, report: Report): D1PreparedStatement {
  const moving = `update verifications set status = 'running', started_at = coalesce(started_at, ?1),
      attempt = coalesce((select attempt from agent_commands where id = command_id), attempt),
      progress = coalesce(?2, progress)
    where id = ?3 and status in ('queued', 'running')`;
  return db
    .prepare(noNews(moving, held.status === "running"))
    .bind(now(), report.progress ? JSON.stringify(report.progress) : null, held.id);
}

const MAX_REASON = 4000;

/** The grade of what was restored: when only that differs, the copy itself is sound. */
const RESTORED = 4;

/** The end, and what follows from it: each of these looks whether the first one won. */
function endStatements(
  deps: Deps,
  held: HeldVerification,
  verdict: Verdict,
  { report }: Report,
): D1PreparedStatement[] {
  const { db } = deps;
  const at = deps.now();
  const reason = verdict.reason.slice(0, MAX_REASON);
  const won = "exists (select 1 from verifications where id = ?1 and finished_at = ?2)";
  return [
    db
      .prepare(
        `update verifications set status = ?1, reached_grade = ?2, report = ?3, error_message = ?4, progress = null,
           started_at = coalesce(started_at, ?5), finished_at = ?5,
           attempt = coalesce((select attempt from agent_commands where id = command_id), attempt)
         where id = ?6 and (status in ('queued', 'running') or (status = 'failed' and report is null
           and (select status from agent_commands where id = command_id) = 'timeout'))
         ${tellingEnd("verification")}`,
      )
      .bind(
        verdict.status,
        verdict.reachedGrade,
        report ? JSON.stringify(report) : null,
        reason,
        at,
        held.id,
      ),
    ...(verdict.damaged
      ? damageStatements(deps, held, { ...verdict, reason }, at, won)
      : soundStatements(deps, held, verdict, at, won)),
  ];
}

/** A damaged copy is kept from restores, and people are told. */
function damageStatements(
  { db }: Deps,
  held: HeldVerification,
  { copyDamaged, reason }: Verdict,
  at: number,
  won: string,
): D1PreparedStatement[] {
  const [kind, what] = copyDamaged
    ? ["copy_damaged", "is damaged"]
    : ["restore_differs", "is sound, but what was restored from it differs"];
  return [
    ...(copyDamaged
      ? [
          db
            .prepare(
              `update record_copies set status = 'damaged', error = ?3, updated_at = ?2
               where record_id = ?4 and target_id = ?5 and status in ('success', 'damaged') and ${won}`,
            )
            .bind(held.id, at, reason, held.recordId, held.targetId),
        ]
      : []),
    db
      .prepare(
        `insert into notifications (at, kind, node_id, record_id, message, details)
         select ?2, ?7, ?4, r.id, r.task_name || ', record ' || r.id || ': the copy in '
           || coalesce((select name from storage_targets where id = ?5), 'a removed target') || ' ' || ?8 || ': ' || ?3,
           json_object('name', r.task_name, 'reason', ?3,
             'target', (select name from storage_targets where id = ?5))
         from backup_records r where r.id = ?6 and ${won}`,
      )
      .bind(held.id, at, reason, held.nodeId, held.targetId, held.recordId, kind, what),
  ];
}

/**
 * What was proved is noted with the record, unless more is known of it, and with its task. A copy that was called damaged
 * is a good one again once all of its bytes are what was stored.
 */
function soundStatements(
  { db }: Deps,
  held: HeldVerification,
  { reachedGrade }: Verdict,
  at: number,
  won: string,
): D1PreparedStatement[] {
  if (reachedGrade === null) return [];
  return [
    db
      .prepare(
        `update backup_records set verified_grade = ?3, verified_at = ?2, verified_node_id = ?4
         where id = ?5 and coalesce(verified_grade, 0) <= ?3 and ${won}`,
      )
      .bind(held.id, at, reachedGrade, held.nodeId, held.recordId),
    db
      .prepare(
        `update backup_tasks set verified_grade = ?3, verified_at = ?2
         where id = (select task_id from verifications where id = ?1) and ${won}`,
      )
      .bind(held.id, at, reachedGrade),
    ...(reachedGrade < 2
      ? []
      : [
          db
            .prepare(
              `update record_copies set status = 'success', error = '', updated_at = ?2
               where record_id = ?3 and target_id = ?4 and status = 'damaged' and ${won}`,
            )
            .bind(held.id, at, held.recordId, held.targetId),
        ]),
  ];
}
