import type { Hooks } from "../../protocol/objects.ts";
import type { Agent } from "../agent.ts";
import type { HookNote } from "../journal.ts";
import type { Warning } from "../pipeline/pipeline.ts";
import type { ConfiguredHook } from "../programs.ts";
import { messageOf } from "./outcome.ts";
import { runHook } from "./run-hook.ts";

export type Ending = { status: "success" | "failed" | "cancelled"; errorMessage: string };
type Say = (level: "info" | "warn" | "error", line: string) => void;

/** The programs around one run. */
export type RunHooks = {
  /** Throws when the one before has failed and the run is not to go on without it. */
  before(signal: AbortSignal): Promise<void>;
  /** Those after it, each whether or not another fails. Never throws; the second call does nothing. */
  after(ending: Ending): Promise<void>;
  /** What went wrong with any of them while the run went on. */
  warnings: Warning[];
};

/**
 * The hooks of a run by the names that its task gives them. Throws when this agent's own configuration knows one of them
 * not: then nothing is run at all.
 */
export function hooksFor(agent: Agent, note: HookNote, say: Say): RunHooks {
  const { hooks } = note;
  for (const name of namesOf(hooks)) configured(agent, name);
  const warnings: Warning[] = [];
  let isOver = false;

  async function run(moment: string, name: string, ending: Ending | null, signal: AbortSignal) {
    say("info", `hook ${name} (${moment})`);
    await runHook({
      hook: configured(agent, name),
      facts: factsOf(note, moment, ending),
      say: (line) => say("info", `hook ${name}: ${line}`),
      signal,
    });
  }

  function warn(name: string, error: unknown): void {
    const reason = messageOf(error);
    warnings.push({ path: `hook ${name}`, reason });
    say("warn", `hook ${name}: ${reason}`);
  }

  return {
    warnings,
    async before(signal) {
      if (hooks.before === null) return;
      try {
        await run("before", hooks.before, null, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (hooks.ifBeforeFails === "continue") return warn(hooks.before, error);
        throw new Error(`hook ${hooks.before} failed, so nothing was read: ${messageOf(error)}`);
      }
    },
    async after(ending) {
      if (isOver) return;
      isOver = true;
      for (const { moment, name } of dueAfter(hooks, ending)) {
        // What stops the run does not stop these: they may be what starts again what the one before has stopped.
        await run(moment, name, ending, new AbortController().signal).catch((error) => warn(name, error));
      }
    },
  };
}

/** A run that was cancelled has neither succeeded nor failed. */
function dueAfter(hooks: Hooks, { status }: Ending): { moment: string; name: string }[] {
  const { afterSuccess, afterFailure, afterAlways } = hooks;
  const due = [
    { moment: "afterSuccess", name: status === "success" ? afterSuccess : null },
    { moment: "afterFailure", name: status === "failed" ? afterFailure : null },
    { moment: "afterAlways", name: afterAlways },
  ];
  return due.flatMap(({ moment, name }) => (name === null ? [] : [{ moment, name }]));
}

function configured({ config }: Agent, name: string): ConfiguredHook {
  const hook = Object.hasOwn(config.hooks, name) ? config.hooks[name] : undefined;
  if (!hook) throw new Error(`the configuration of this agent allows no hook ${name}`);
  return hook;
}

const namesOf = ({ before, afterSuccess, afterFailure, afterAlways }: Hooks): string[] =>
  [before, afterSuccess, afterFailure, afterAlways].filter((name) => name !== null);

const factsOf = ({ taskId, taskName, recordId }: HookNote, moment: string, ending: Ending | null) => ({
  BACKUPX_HOOK: moment,
  BACKUPX_TASK_ID: String(taskId),
  BACKUPX_TASK_NAME: taskName,
  BACKUPX_RECORD_ID: String(recordId),
  BACKUPX_STATUS: ending?.status ?? "",
  BACKUPX_ERROR: ending?.errorMessage.replaceAll("\0", " ").slice(0, 2000) ?? "",
});
