import { hostname } from "node:os";
import { agentApi } from "../../protocol/agent-api.ts";
import type { Agent, Held } from "../agent.ts";
import type { Delivery, RestoreNote } from "../journal.ts";
import type { DryRunOutcome } from "../pipeline/dry-run.ts";
import { newRestoreMark } from "../sources/restore-mark.ts";
import type { RestoreSpec } from "./job.ts";
import { FailedRun, type Outcome } from "./outcome.ts";
import { boundWarnings, openReport } from "./report.ts";
import { runInChild } from "./run-in-child.ts";
import { failureReport } from "./run-task.ts";
import { dropUnfinishedDatabases, serverOf } from "./unfinished-databases.ts";
import { untilAnswered } from "./until-answered.ts";

/** Restores one artifact. Whatever happens, the restore is told before its command is closed. */
export async function restoreRecord(
  agent: Agent,
  held: Held,
  { restoreRecordId }: { restoreRecordId: number },
  workDir: string,
): Promise<Outcome> {
  const { signal } = held.abort;
  const report = openReport(agent, held, { kind: "restore", id: restoreRecordId });
  const about = (body: Record<string, unknown>): Delivery => ({ kind: "restore", id: restoreRecordId, body });
  const mark = newRestoreMark();
  let spec: RestoreSpec | null = null;
  let isKilled = false;
  try {
    spec = await untilAnswered(signal, () =>
      agent.client.call(agentApi.restoreSpec, { params: { id: restoreRecordId }, signal }),
    );
    noteForRecovery(agent, held, spec, { id: restoreRecordId, mark });
    const what = spec.dryRun ? "dry run of a restore" : "restore";
    const place = spec.destination ?? "the original place";
    report.log(
      "info",
      `${what} of ${spec.taskName}, record ${spec.backupRecordId}, on ${hostname()} to ${place}`,
    );
    const { entries, bytes, warnings, warningCount, outcome } = await runInChild(
      agent,
      { kind: "restore", restoreId: restoreRecordId, spec, mark },
      {
        ...{ workDir, signal, onProgress: report.progress, onLog: report.log },
        onKilled: () => {
          isKilled = true;
        },
      },
    );
    report.log(
      "info",
      outcome ? toldOf(outcome) : `done: ${entries} entries, ${bytes} bytes, ${warningCount} warnings`,
    );
    const final = {
      status: "success",
      errorMessage: "",
      entries,
      bytes,
      warningCount,
      ...(outcome && { outcome }),
    };
    return {
      reports: [about({ ...final, warnings: boundWarnings(warnings), log: await report.close() })],
      result: { success: true, errorMessage: "", result: { restoreRecordId } },
    };
  } catch (error) {
    const done = isKilled && spec ? await dropUnfinishedDatabases(agent, spec, mark) : [];
    for (const line of done) report.log("warn", line);
    throw new FailedRun([about(await failureReport(error, report))], error);
  }
}

/** What the next start of the agent has to remove from the server, should this one be killed. */
function noteForRecovery(agent: Agent, { entry }: Held, spec: RestoreSpec, restore: RestoreNote): void {
  if (serverOf(spec) === null || entry.state.name !== "started") return;
  entry.state.restore = restore;
  agent.journal.save(entry);
}

const toldOf = ({ create, overwrite, keep, refuse }: DryRunOutcome): string =>
  `nothing was written: it would create ${create.entries} entries, overwrite ${overwrite.entries}, keep ${keep.entries} and refuse ${refuse.entries}`;
