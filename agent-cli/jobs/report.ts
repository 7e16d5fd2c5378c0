import { agentApi } from "../../protocol/agent-api.ts";
import type { Agent, Held } from "../agent.ts";
import { MasterError } from "../client.ts";
import type { Subject } from "../journal.ts";
import type { Progress, Warning } from "../pipeline/pipeline.ts";

type LogChunk = { seq: number; text: string };

/** Tells the master how a run is doing: log and progress, batched, and never holding up the run itself. */
export type Report = {
  progress(progress: Progress): void;
  log(level: "info" | "warn" | "error", text: string): void;
  /** Stops sending, and hands over the log that has not arrived yet, for the final report. */
  close(): Promise<LogChunk[]>;
};

const TICK_MS = 2_000;
const SLOW_PROGRESS_MS = 5_000;
const FIRST_MINUTE_MS = 60_000;
const CHUNK_CHARS = 32 * 1024;
/** While the master is away the log is kept up to this size; the middle of a longer one is left out. */
const MAX_WAITING_CHUNKS = 8;

export function openReport(agent: Agent, held: Held, subject: Subject): Report {
  const startedAt = performance.now();
  const chunks: LogChunk[] = [];
  const seq = sequence(held.entry.attempt);
  let text = "";
  let omitted = 0;
  let sending: Promise<void> | null = null;
  let progressSent = { at: Number.NEGATIVE_INFINITY, value: "" };
  let told = false;
  let over = false;

  const cut = () => {
    if (text === "") return;
    if (chunks.length < MAX_WAITING_CHUNKS) chunks.push({ seq: seq(), text });
    else omitted += text.length;
    text = "";
  };

  const progressDue = () => {
    const now = performance.now();
    if (held.progress === null) return null;
    const interval = now - startedAt < FIRST_MINUTE_MS ? TICK_MS : SLOW_PROGRESS_MS;
    const value = JSON.stringify(held.progress);
    return now - progressSent.at >= interval && value !== progressSent.value ? { at: now, value } : null;
  };

  async function send(): Promise<void> {
    cut();
    const log = chunks.slice(0, MAX_WAITING_CHUNKS);
    const due = progressDue();
    if (over || (log.length === 0 && due === null)) return;
    const body = {
      ...(told ? {} : { status: "running" }),
      ...(log.length > 0 ? { log } : {}),
      ...(due && held.progress ? { progress: held.progress } : {}),
      ...(held.entry.leaseToken === null ? {} : { leaseToken: held.entry.leaseToken }),
    };
    try {
      await post(agent, subject, body);
      chunks.splice(0, log.length);
      told = true;
      if (due) progressSent = due;
    } catch (error) {
      // What did not arrive stays for the next tick, or for the final report.
      if (error instanceof MasterError && (error.status === 404 || error.status === 409)) over = true;
    }
  }

  const flush = () => {
    sending ??= send().finally(() => {
      sending = null;
    });
  };
  const timer = setInterval(flush, TICK_MS);

  return {
    progress(progress) {
      held.progress = bounded(progress);
    },
    log(level, line) {
      const clean = line.replace(/[^\P{Cc}\t]+/gu, " ").slice(0, 4000);
      text += `${level === "info" ? "" : `${level}: `}${clean}\n`;
      if (text.length >= CHUNK_CHARS) {
        cut();
        flush();
      }
    },
    async close() {
      clearInterval(timer);
      await sending;
      if (omitted > 0) text += `(${omitted} characters of this log were left out: the master was away)\n`;
      if (text !== "") chunks.push({ seq: seq(), text });
      return chunks;
    },
  };
}

/** Each attempt counts in a range of its own, so that a later attempt's lines are never taken for repeated ones. */
function sequence(attempt: number | null): () => number {
  let next = (attempt ?? 0) * 1_000_000;
  return () => ++next;
}

/** The last number of an attempt's range: for the line that a restarted agent adds without knowing the others. */
export const lastSequence = (attempt: number | null): number => ((attempt ?? 0) + 1) * 1_000_000;

async function post(agent: Agent, subject: Subject, body: object): Promise<void> {
  const signal = agent.stopped;
  if (subject.kind === "record") {
    await agent.client.call(agentApi.updateRecord, { params: { id: subject.id }, body, signal });
  } else if (subject.kind === "restore") {
    await agent.client.call(agentApi.updateRestore, { params: { id: subject.id }, body, signal });
  } else if (subject.kind === "copy") {
    await agent.client.call(agentApi.updateCopy, { params: { id: subject.id }, body, signal });
  } else if (subject.kind === "verification") {
    await agent.client.call(agentApi.updateVerification, { params: { id: subject.id }, body, signal });
  }
}

const bounded = (progress: Progress): Progress => ({
  ...progress,
  currentPath: progress.currentPath?.slice(0, 1024) ?? null,
});

const MAX_WARNINGS = 200;
const MAX_WARNING_BYTES = 256 * 1024;

/** As many warnings as one report may carry; the rest is only counted. */
export function boundWarnings(warnings: Warning[]): Warning[] {
  const kept: Warning[] = [];
  let size = 0;
  for (const { path, reason } of warnings.slice(0, MAX_WARNINGS)) {
    const warning = { path: path.slice(0, 4096), reason: reason.slice(0, 500) };
    size += Buffer.byteLength(JSON.stringify(warning));
    if (size > MAX_WARNING_BYTES) break;
    kept.push(warning);
  }
  return kept;
}
