import { hostname } from "node:os";
import { isAbsolute, join } from "node:path";
import { agentApi } from "../../protocol/agent-api.ts";
import { type Agent, type Held, StopReason } from "../agent.ts";
import type { Delivery, OwnCopy } from "../journal.ts";
import { remainsOfCopy, removeFarRemains } from "./far-remains.ts";
import type { CopySpec } from "./job.ts";
import { FailedRun, type Outcome } from "./outcome.ts";
import { openReport, type Report } from "./report.ts";
import { runInChild } from "./run-in-child.ts";
import { untilAnswered } from "./until-answered.ts";

/** Makes a further copy of a record. Whatever happens, the copy is told before its command is closed. */
export async function copyRecord(
  agent: Agent,
  held: Held,
  { recordId }: { recordId: number },
  workDir: string,
): Promise<Outcome> {
  const { signal } = held.abort;
  const { id } = held.entry;
  const report = openReport(agent, held, { kind: "copy", id });
  const about = (body: Record<string, unknown>): Delivery => ({ kind: "copy", id, body });
  let spec: CopySpec | null = null;
  let isKilled = false;
  try {
    spec = await untilAnswered(signal, () =>
      agent.client.call(agentApi.copySpec, { params: { id }, signal }),
    );
    noteForRecovery(agent, held, spec);
    report.log("info", `copy on ${hostname()} from ${spec.source.name} to ${spec.target.name}`);
    const { sizeBytes, sha256 } = await runInChild(
      agent,
      { kind: "copy", commandId: id, spec },
      {
        ...{ workDir, signal, onProgress: report.progress, onLog: report.log },
        onKilled: () => {
          isKilled = true;
        },
      },
    );
    report.log("info", `copied to ${spec.target.name}: ${sizeBytes} bytes, SHA-256 ${sha256}`);
    return {
      reports: [about({ status: "success", sizeBytes, checksum: sha256, log: await report.close() })],
      result: { success: true, errorMessage: "", result: { recordId, sizeBytes } },
    };
  } catch (error) {
    const left = isKilled && spec ? await removeFarRemains(agent, remainsOfCopy(spec)) : [];
    for (const line of left) report.log("warn", line);
    throw new FailedRun([about(await failureOf(error, report))], error);
  }
}

/** A put that fails or is stopped leaves nothing, so here a stopped copy has failed like any other. */
async function failureOf(error: unknown, report: Report): Promise<Record<string, unknown>> {
  const message = error instanceof Error ? error.message : String(error);
  const stopped = error instanceof StopReason && error.kind === "cancelled";
  report.log("error", stopped ? "copy cancelled" : `copy failed: ${message}`);
  return { status: "failed", errorMessage: message.slice(0, 8000), log: await report.close() };
}

/** What the next start of the agent has to remove, should this one be killed. */
function noteForRecovery(agent: Agent, { entry }: Held, spec: CopySpec): void {
  const ownCopies = ownCopyOf(spec);
  const isFarCopy = remainsOfCopy(spec).length > 0;
  if ((ownCopies.length === 0 && !isFarCopy) || entry.state.name !== "started") return;
  Object.assign(entry.state, { ownCopies, isFarCopy });
  agent.journal.save(entry);
}

/** On this machine's own disks: an unfinished file. */
function ownCopyOf({ target, targetKey }: CopySpec): OwnCopy[] {
  const { path } = target.config;
  const isOwn = target.type === "local_disk" && typeof path === "string" && isAbsolute(path);
  const slash = targetKey.lastIndexOf("/");
  if (!isOwn || slash < 0) return [];
  return [{ folder: join(path, targetKey.slice(0, slash)), stem: targetKey.slice(slash + 1) }];
}
