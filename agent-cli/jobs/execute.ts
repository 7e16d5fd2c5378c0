import { type Agent, type Held, StopReason } from "../agent.ts";
import type { Delivery, JournalEntry } from "../journal.ts";
import { removeTree } from "../remove-tree.ts";
import { makeWorkDir } from "../state-dir.ts";
import { copyRecord } from "./copy-record.ts";
import { FailedRun, messageOf, type Outcome } from "./outcome.ts";
import { removeOwnCopies } from "./own-copies.ts";
import { PayloadError, payloads, readDiscovery, readPayload } from "./payloads.ts";
import { lastSequence } from "./report.ts";
import { restoreRecord } from "./restore-record.ts";
import { runInChild } from "./run-in-child.ts";
import { runTask } from "./run-task.ts";
import { verifyRecord } from "./verify-record.ts";

/** Runs a claimed command to its end, which it writes to the journal before anybody is told. Never throws. */
export async function execute(agent: Agent, held: Held): Promise<void> {
  const { entry } = held;
  let workDir: string | null = null;
  const startedAt = performance.now();
  try {
    held.abort.signal.throwIfAborted();
    workDir = makeWorkDir(agent.workRoot);
    entry.state = {
      name: "started",
      workDir,
      ownCopies: [],
      hooks: null,
      upload: null,
      isFarCopy: false,
      restore: null,
    };
    agent.journal.save(entry);
    agent.log.info("command started", { command: entry.id, type: entry.type });
    const outcome = await perform(agent, held, workDir);
    await removeTree(workDir);
    finish(agent, held, outcome, startedAt);
  } catch (error) {
    if (workDir !== null) await removeTree(workDir).catch(() => {});
    if (entry.state.name === "started") await removeOwnCopies(entry.state.ownCopies);
    finish(agent, held, failure(error), startedAt);
  }
}

/** Ends a command that is not to be started at all. */
export const refuse = (agent: Agent, held: Held, reason: string): void =>
  finish(agent, held, failure(new Error(reason)), performance.now());

/** What the master is told about a command that an earlier start of the agent left unfinished. */
export function interrupted(entry: JournalEntry, said: string[]): Delivery[] {
  const errorMessage = "interrupted: the agent was restarted while this was running";
  const log = [
    { seq: lastSequence(entry.attempt), text: `${[...said, `error: ${errorMessage}`].join("\n")}\n` },
  ];
  const { subject } = entry;
  // Of a copy only its log is told here: whether something of it lies at its target is not known.
  const body = subject.kind === "copy" ? { log } : { status: "failed", errorMessage, log };
  const report = subject.kind === "none" ? [] : [{ ...subject, body }];
  return [...report, { kind: "result", body: { success: false, errorMessage } }];
}

async function perform(agent: Agent, held: Held, workDir: string): Promise<Outcome> {
  const { payload, entry, abort } = held;
  const options = { workDir, signal: abort.signal };
  switch (entry.type) {
    case "run_task":
      return runTask(agent, held, readPayload(payloads.run_task, payload), workDir);
    case "restore_record":
      return restoreRecord(agent, held, readPayload(payloads.restore_record, payload), workDir);
    case "copy_record":
      return copyRecord(agent, held, readPayload(payloads.copy_record, payload), workDir);
    case "verify_record":
      return verifyRecord(agent, held, readPayload(payloads.verify_record, payload), workDir);
    case "list_dir": {
      const { path } = readPayload(payloads.list_dir, payload);
      return succeeded(await runInChild(agent, { kind: "list_dir", path }, options));
    }
    case "inspect_archive": {
      const inspection = readPayload(payloads.inspect_archive, payload);
      const job = { kind: "inspect_archive", commandId: entry.id, inspection } as const;
      return succeeded(await runInChild(agent, job, options));
    }
    case "test_target": {
      const target = readPayload(payloads.test_target, payload);
      return succeeded(await runInChild(agent, { kind: "test_target", ...target }, options));
    }
    case "delete_storage_object": {
      const {
        storagePath: key,
        resticPassword,
        ...target
      } = readPayload(payloads.delete_storage_object, payload);
      if (resticPassword === undefined) {
        return succeeded(await runInChild(agent, { kind: "delete_object", key, ...target }, options));
      }
      const job = { kind: "forget_snapshot" as const, key, password: requireText(resticPassword), ...target };
      return succeeded(await runInChild(agent, job, options));
    }
    case "discover_db": {
      const { server, password } = readDiscovery(payload);
      const job = { kind: "discover" as const, server, secrets: { password } };
      return succeeded(await runInChild(agent, job, options));
    }
    case "preview_source": {
      const { source, sourceSecrets } = readPayload(payloads.preview_source, payload);
      const job = { kind: "preview" as const, source, secrets: sourceSecrets };
      return succeeded(await runInChild(agent, job, options));
    }
    default:
      throw new PayloadError(`unknown command type: ${entry.type}`);
  }
}

function requireText(password: string | null): string {
  if (password) return password;
  throw new PayloadError("the task of this backup has no resticPassword any more: set it again");
}

const succeeded = (result: unknown): Outcome => ({
  reports: [],
  result: { success: true, errorMessage: "", result },
});

function failure(error: unknown): Outcome {
  const reports = error instanceof FailedRun ? error.reports : [];
  const cause = error instanceof FailedRun ? error.cause : error;
  const cancelled = cause instanceof StopReason && cause.kind === "cancelled" ? { cancelled: true } : {};
  return { reports, result: { success: false, errorMessage: messageOf(cause), ...cancelled } };
}

function finish(agent: Agent, { entry }: Held, outcome: Outcome, startedAt: number): void {
  const { reports, result } = outcome;
  entry.state = { name: "finished", deliveries: [...reports, { kind: "result", body: result }] };
  try {
    agent.journal.save(entry);
  } catch (error) {
    agent.log.error("cannot write the journal", { command: entry.id, reason: messageOf(error) });
    forget(agent, entry.id);
  }
  agent.log[result.success ? "info" : "warn"]("command finished", {
    command: entry.id,
    type: entry.type,
    success: result.success,
    seconds: Math.round((performance.now() - startedAt) / 100) / 10,
    reason: result.errorMessage || undefined,
  });
}

/** What is not known to have ended would be cleared up by the agent's next start, though its backup may be good: rather run it again. */
function forget(agent: Agent, commandId: number): void {
  try {
    agent.journal.remove(commandId);
  } catch {
    // A disk that is full still lets files be removed; one that is broken lets nothing be done.
  }
}
