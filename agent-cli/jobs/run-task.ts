import { hostname } from "node:os";
import { agentApi } from "../../protocol/agent-api.ts";
import { type Agent, type Held, StopReason } from "../agent.ts";
import type { Delivery, HookNote } from "../journal.ts";
import type { TargetResult, Warning } from "../pipeline/pipeline.ts";
import { describeSource } from "../sources/describe.ts";
import { remainsOfBackup, removeFarRemains, uploadNote } from "./far-remains.ts";
import { hooksFor, type RunHooks } from "./hooks.ts";
import type { StoredBackup, TaskSpec } from "./job.ts";
import { FailedRun, messageOf, type Outcome } from "./outcome.ts";
import { ownCopiesOf } from "./own-copies.ts";
import { boundWarnings, openReport, type Report } from "./report.ts";
import { runInChild } from "./run-in-child.ts";
import { untilAnswered } from "./until-answered.ts";

/** Makes one backup. Whatever happens, its record is told before its command is closed. */
export async function runTask(
  agent: Agent,
  held: Held,
  { taskId, recordId }: { taskId: number; recordId: number },
  workDir: string,
): Promise<Outcome> {
  const { signal } = held.abort;
  const report = openReport(agent, held, { kind: "record", id: recordId });
  const about = (body: Record<string, unknown>): Delivery => ({ kind: "record", id: recordId, body });
  let hooks: RunHooks | null = null;
  let spec: TaskSpec | null = null;
  let isKilled = false;
  try {
    spec = await untilAnswered(signal, () =>
      agent.client.call(agentApi.taskSpec, { params: { id: taskId }, query: { recordId }, signal }),
    );
    hooks = prepareHooks(agent, spec, report);
    noteForRecovery(agent, held, spec);
    report.log("info", `backup of ${spec.name} on ${hostname()}: ${describeSource(spec.source)}`);
    await hooks?.before(signal);
    const result = await runInChild(
      agent,
      { kind: "backup", recordId, spec },
      {
        workDir,
        signal,
        onProgress: report.progress,
        onLog: report.log,
        onKilled: () => {
          isKilled = true;
        },
      },
    );
    const made = finalReport(spec, result, report);
    await hooks?.after({ status: made.status, errorMessage: made.errorMessage });
    const final = withWarnings(made, hooks?.warnings ?? []);
    return {
      reports: [about({ ...final, log: await report.close() })],
      result:
        final.status === "success"
          ? { success: true, errorMessage: "", result: { taskId, recordId } }
          : { success: false, errorMessage: final.errorMessage },
    };
  } catch (error) {
    await hooks?.after({
      status: isCancelled(error) ? "cancelled" : "failed",
      errorMessage: messageOf(error),
    });
    const left = isKilled && spec ? await removeFarRemains(agent, remainsOfBackup(spec)) : [];
    for (const line of left) report.log("warn", line);
    throw new FailedRun([about(await failureReport(error, report))], error);
  }
}

function prepareHooks(agent: Agent, spec: TaskSpec, report: Report): RunHooks | null {
  const note = hookNote(spec);
  return note && hooksFor(agent, note, report.log);
}

const hookNote = ({ hooks, taskId, name, recordId }: TaskSpec): HookNote | null =>
  hooks && { hooks, taskId, taskName: name, recordId };

/** What the next start of the agent has to know, should this one be killed: what to remove, and what to run. */
function noteForRecovery(agent: Agent, { entry }: Held, spec: TaskSpec): void {
  const ownCopies = ownCopiesOf(spec);
  const hooks = hookNote(spec);
  const upload = uploadNote(spec);
  const isNothing = ownCopies.length === 0 && hooks === null && upload === null;
  if (isNothing || entry.state.name !== "started") return;
  Object.assign(entry.state, { ownCopies, hooks, upload });
  agent.journal.save(entry);
}

const isCancelled = (error: unknown) => error instanceof StopReason && error.kind === "cancelled";

/** What went wrong around a backup stands first among what went wrong in it. */
const withWarnings = <T extends { warnings: Warning[]; warningCount: number }>(
  made: T,
  more: Warning[],
): T => ({
  ...made,
  warnings: boundWarnings([...more, ...made.warnings]),
  warningCount: made.warningCount + more.length,
});

/** A cancelled run's state is set by its command's result; anything else that fails says so here. */
export async function failureReport(error: unknown, report: Report): Promise<Record<string, unknown>> {
  const message = error instanceof Error ? error.message : String(error);
  report.log("error", message);
  const log = await report.close();
  if (isCancelled(error)) return { log };
  return { status: "failed", errorMessage: message.slice(0, 8000), log };
}

function finalReport(spec: TaskSpec, result: StoredBackup, report: Report) {
  const stored = result.targets.find(({ status }) => status === "success");
  const problems = result.targets.filter(({ status }) => status === "failed");
  for (const { name, error } of problems) report.log("error", `${name}: ${error ?? "failed"}`);
  const modes = new Map(spec.targets.map(({ id, transferMode }) => [id, transferMode]));
  const uploads = result.targets.map((target) => uploadResult(result, target, modes.get(target.id)));
  const success = stored !== undefined;
  const reasons = problems.map(({ name, error }) => `${name}: ${error ?? "failed"}`).join("; ");
  if (success) {
    const size = `${result.entries} entries, ${result.sourceBytes} bytes in, ${result.sizeBytes} bytes stored`;
    const named = result.snapshotId ? `snapshot ${result.snapshotId}` : `SHA-256 ${result.sha256}`;
    report.log("info", `done: ${result.kind} backup, ${size}, ${named}, ${result.warningCount} warnings`);
  }
  return {
    status: success ? ("success" as const) : ("failed" as const),
    errorMessage: success ? "" : `nothing was stored: ${reasons || "there is no target"}`.slice(0, 8000),
    storageUploadResults: uploads,
    sourceBytes: result.sourceBytes,
    entries: result.entries,
    warnings: boundWarnings(result.warnings),
    warningCount: result.warningCount,
    timings: result.timings,
    ...(result.archiveIndex && { archiveIndex: result.archiveIndex }),
    ...(stored && {
      kind: result.kind,
      ...(result.snapshotId ? { snapshotId: result.snapshotId } : {}),
      fileName: result.fileName,
      fileSize: result.sizeBytes,
      checksum: result.sha256,
      storagePath: stored.key ?? result.key,
      storageTargetId: stored.id,
      storageTransferMode: modes.get(stored.id) ?? "direct",
    }),
  };
}

function uploadResult(
  result: StoredBackup,
  { id, name, status, sizeBytes, error, key, sha256 }: TargetResult,
  transferMode: string | undefined,
) {
  const common = {
    storageTargetId: id,
    storageTargetName: name.slice(0, 200),
    status,
    transferMode: transferMode ?? "direct",
  };
  if (status === "failed") return { ...common, error: (error ?? "failed").slice(0, 2000) };
  return {
    ...common,
    storagePath: key ?? result.key,
    fileSize: sizeBytes,
    checksum: sha256 ?? result.sha256,
  };
}
