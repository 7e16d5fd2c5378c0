import type { Progress } from "../protocol/objects.ts";
import type { Bell } from "./bell.ts";
import type { Capabilities } from "./capabilities.ts";
import type { MasterClient } from "./client.ts";
import type { Config } from "./config.ts";
import type { Journal, JournalEntry } from "./journal.ts";
import type { Link } from "./link.ts";
import type { Log } from "./log.ts";

/** A command that this agent holds: from its claim until the master has acknowledged its result. */
export type Held = {
  entry: JournalEntry;
  /** Empty for what an earlier start of the agent left behind: that is never run, only reported. */
  payload: Record<string, unknown>;
  leaseSeconds: number;
  progress: Progress | null;
  /** Aborted to stop the work; the reason says who wants that. */
  abort: AbortController;
  /** Rung when its lease or its way to the master changed. */
  changed: Bell;
};

/** What the loops share. Only `held` and the link change while the agent runs. */
export type Agent = {
  config: Config;
  client: MasterClient;
  log: Log;
  journal: Journal;
  link: Link;
  bootId: string;
  workRoot: string;
  /** What this machine can do now. */
  findCapabilities: () => Promise<Capabilities>;
  held: Map<number, Held>;
  /** Rung when it is time to ask the master for commands. */
  workBell: Bell;
  /** Aborted once nothing new shall be taken. */
  draining: AbortSignal;
  /** Aborted when the loops shall end. */
  stopped: AbortSignal;
};

/** Why work was stopped, in the words that the master gets. */
export class StopReason extends Error {
  readonly kind: "cancelled" | "failed";
  constructor(kind: StopReason["kind"], message: string) {
    super(message);
    this.name = "StopReason";
    this.kind = kind;
  }
}

export const cancelledByMaster = () => new StopReason("cancelled", "cancelled");

/** The commands in hand, as the master wants to hear of them; those without a lease have nothing to compare. */
export const heldLeases = (agent: Agent): { id: number; leaseToken: string }[] =>
  [...agent.held.values()].flatMap(({ entry }) =>
    entry.leaseToken === null ? [] : [{ id: entry.id, leaseToken: entry.leaseToken }],
  );
