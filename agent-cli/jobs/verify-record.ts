import { hostname } from "node:os";
import { agentApi } from "../../protocol/agent-api.ts";
import { gradeReached } from "../../protocol/verification.ts";
import type { Agent, Held } from "../agent.ts";
import type { Delivery } from "../journal.ts";
import type { VerificationReport } from "../pipeline/verify/finding.ts";
import { FailedRun, type Outcome } from "./outcome.ts";
import { openReport } from "./report.ts";
import { runInChild } from "./run-in-child.ts";
import { failureReport } from "./run-task.ts";
import { untilAnswered } from "./until-answered.ts";

/** Verifies one copy of a record. What was found, damage too, is a result; only what kept it from looking is a failure. */
export async function verifyRecord(
  agent: Agent,
  held: Held,
  { verificationId: id }: { verificationId: number },
  workDir: string,
): Promise<Outcome> {
  const { signal } = held.abort;
  const report = openReport(agent, held, { kind: "verification", id });
  const about = (body: Record<string, unknown>): Delivery => ({ kind: "verification", id, body });
  try {
    const spec = await untilAnswered(signal, () =>
      agent.client.call(agentApi.verificationSpec, { params: { id }, signal }),
    );
    const what = `${spec.taskName}, record ${spec.recordId} in ${spec.storage.name}`;
    report.log("info", `verification of ${what} on ${hostname()}, grade ${spec.grade}`);
    const found = await runInChild(
      agent,
      { kind: "verify", spec },
      { workDir, signal, onProgress: report.progress, onLog: report.log },
    );
    report.log("info", `done: grade ${gradeReached(found.checks) ?? "none"} of ${spec.grade} was reached`);
    return {
      reports: [about({ status: "success", report: bounded(found), log: await report.close() })],
      result: {
        success: true,
        errorMessage: "",
        result: { verificationId: id },
      },
    };
  } catch (error) {
    throw new FailedRun([about(await failureReport(error, report))], error);
  }
}

const MAX_CHECKS = 200;
const MAX_DIFFERENCES_BYTES = 256 * 1024;

/** What a report may carry. Of too many checks those that passed are left out first: none of the others is hidden. */
function bounded(found: VerificationReport): VerificationReport {
  const failed = found.checks.filter(({ outcome }) => outcome !== "passed");
  const checks = found.checks.length <= MAX_CHECKS ? found.checks : thinned(found.checks, failed);
  const differences: VerificationReport["differences"] = [];
  let size = 0;
  for (const { path, reason } of found.differences) {
    const difference = { path: path.slice(0, 4096), reason: reason.slice(0, 1000) };
    size += Buffer.byteLength(JSON.stringify(difference));
    if (size > MAX_DIFFERENCES_BYTES) break;
    differences.push(difference);
  }
  return {
    ...found,
    checks: checks.map((check) => ({ ...check, detail: check.detail.slice(0, 2000) })),
    differences,
  };
}

/** One of each grade stays in any case, or its grade would not count as looked at. */
function thinned(
  all: VerificationReport["checks"],
  failed: VerificationReport["checks"],
): VerificationReport["checks"] {
  const firsts = all.filter((check, at) => all.findIndex(({ grade }) => grade === check.grade) === at);
  return [...new Set([...firsts, ...failed, ...all])].slice(0, MAX_CHECKS).sort((a, b) => a.grade - b.grade);
}
