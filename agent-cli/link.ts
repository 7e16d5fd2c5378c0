import { backoffMs } from "./backoff.ts";
import { MasterError } from "./client.ts";
import type { Log } from "./log.ts";

/** How things stand between this agent and its master; keeps the log to one line per change. */
export type Link = {
  /** The master answered as it should. */
  succeeded(): void;
  /** Tells of the failure, unless it is the one already told; returns how long to leave the master alone. */
  failed(error: unknown, failures: number): { waitMs: number; firm: boolean };
  readonly problem: string | null;
  readonly lastContact: number | null;
};

type LinkOptions = {
  log: Log;
  /** How long to wait after a refusal that only a person can end. */
  refusedWaitMs: number;
  onChange: () => void;
};

/** A problem that goes on is told again after this long. */
const REMIND_MS = 3_600_000;

export function makeLink({ log, refusedWaitMs, onChange }: LinkOptions): Link {
  let problem: { code: string; text: string; toldAt: number } | null = null;
  let lastContact: number | null = null;
  return {
    get problem() {
      return problem?.text ?? null;
    },
    get lastContact() {
      return lastContact;
    },
    succeeded() {
      lastContact = Date.now();
      if (problem === null) return;
      log.info("the master answers again", { after: problem.code });
      problem = null;
      onChange();
    },
    failed(error, failures) {
      const { code, text } = describe(error, lastContact !== null);
      if (problem?.code !== code || performance.now() - problem.toldAt > REMIND_MS) {
        problem = { code, text, toldAt: performance.now() };
        log[refusals.has(code) ? "error" : "warn"](text, { code });
        onChange();
      }
      return waitAfter(error, failures, refusedWaitMs);
    },
  };
}

const refusals = new Set([
  "NODE_INVALID_TOKEN",
  "AGENT_TOO_OLD",
  "AGENT_TOO_NEW",
  "REDIRECTED",
  "NOT_BACKUPX",
]);

function describe(error: unknown, acceptedBefore: boolean): { code: string; text: string } {
  if (!(error instanceof MasterError)) return { code: "UNEXPECTED", text: (error as Error).message };
  const { code, message } = error;
  if (code === "NODE_INVALID_TOKEN") {
    const since = acceptedBefore
      ? "the master no longer accepts this node's token"
      : "the master refuses the token";
    return { code, text: `${since} (${message}); check or renew the token. Trying again slowly.` };
  }
  if (code === "AGENT_TOO_OLD") return { code, text: `${message}; update backupx-agent and restart it` };
  if (code === "AGENT_TOO_NEW") {
    return { code, text: `${message}; update the master, or install the agent that the master offers` };
  }
  return { code, text: message };
}

/** `firm` waits are not cut short by a ring: the master asked for quiet, or only a person can help. */
function waitAfter(
  error: unknown,
  failures: number,
  refusedWaitMs: number,
): { waitMs: number; firm: boolean } {
  if (error instanceof MasterError) {
    if (error.retryAfterMs !== null) return { waitMs: error.retryAfterMs + Math.random() * 2000, firm: true };
    if (refusals.has(error.code)) return { waitMs: refusedWaitMs * (0.9 + Math.random() * 0.2), firm: true };
    if (error.status === 429) return { waitMs: backoffMs(failures + 3), firm: true };
  }
  return { waitMs: backoffMs(failures), firm: false };
}
