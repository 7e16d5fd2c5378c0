import { agentApi, type DeliveredCommand } from "../../protocol/agent-api.ts";
import { commandType, laneOf, timing } from "../../protocol/states.ts";
import { type Agent, type Held, heldLeases } from "../agent.ts";
import { around, pause } from "../backoff.ts";
import { makeBell } from "../bell.ts";
import { execute, refuse } from "../jobs/execute.ts";
import { subjectOf } from "../jobs/payloads.ts";
import type { JournalEntry } from "../journal.ts";
import { keepLease } from "./lease.ts";
import { obeyOrders } from "./obey-orders.ts";
import { deliverOutcome } from "./outbox.ts";
import type { Presence } from "./presence.ts";

const CONTROL_SLOTS = 4;
const LOOK_AGAIN_MS = (timing.redeliverAfterSeconds + 2) * 1000;
/** Commands whose results were acknowledged, remembered so that a late copy of one is never run again. */
const REMEMBERED = 1000;

/** Asks for commands when rung, and on a timer that is slow while a socket is up; runs what it gets. */
export async function takeWork(agent: Agent, presence: Presence): Promise<void> {
  const desk = makeDesk(agent);
  let failures = 0;
  // What an answer that never arrived handed out is handed out again, though not at once: so ask again after that time,
  // however often is asked before.
  let mayHaveLost = true;
  let lookAgainAt = 0;
  while (!agent.draining.aborted && !agent.stopped.aborted) {
    let wait: { waitMs: number; firm: boolean };
    try {
      const reply = await agent.client.call(agentApi.poll, {
        body: {
          running: heldLeases(agent),
          max: desk.freeSlots(),
          bootId: agent.bootId,
          socket: presence.socketUp,
        },
        signal: AbortSignal.any([agent.stopped, agent.draining]),
      });
      failures = 0;
      agent.link.succeeded();
      for (const command of reply.commands ?? (reply.command ? [reply.command] : [])) desk.accept(command);
      obeyOrders(agent, reply.orders);
      if (mayHaveLost) lookAgainAt = performance.now() + LOOK_AGAIN_MS;
      mayHaveLost = false;
      const untilThenMs = lookAgainAt - performance.now();
      const waitMs = pollMs(agent, presence);
      wait = { waitMs: untilThenMs > 0 ? Math.min(waitMs, untilThenMs) : waitMs, firm: false };
    } catch (error) {
      if (agent.draining.aborted || agent.stopped.aborted) return;
      wait = agent.link.failed(error, failures++);
      mayHaveLost = true;
    }
    const over = AbortSignal.any([agent.stopped, agent.draining]);
    await (wait.firm ? pause(wait.waitMs, over) : agent.workBell.wait(wait.waitMs, over));
  }
}

function pollMs(agent: Agent, { socketUp, told }: Presence): number {
  if (socketUp) return around(timing.socketPollSeconds * 1000, 0.2);
  return around(agent.config.pollIntervalMs ?? (told?.pollSeconds ?? timing.pollSeconds) * 1000, 0.1);
}

type Desk = { accept(command: DeliveredCommand): void; freeSlots(): number };

/** Two lanes: short commands that somebody waits for, and work. Neither waits behind the other. */
function makeDesk(agent: Agent): Desk {
  const lanes = {
    control: { slots: CONTROL_SLOTS, running: 0, queue: [] as Held[] },
    work: { slots: agent.config.maxConcurrent, running: 0, queue: [] as Held[] },
  };
  const acknowledged = new Map<number, number>();

  function accept(command: DeliveredCommand): void {
    const known = agent.held.get(command.id);
    if (known !== undefined) return adopt(agent, known, command);
    if ((acknowledged.get(command.id) ?? -1) >= (command.attempt ?? 0)) {
      agent.log.warn("command delivered again after its end: not run", { command: command.id });
      return;
    }
    const held = claim(agent, command);
    if (held === null) return;
    const lane = lanes[laneFor(command.type)];
    lane.queue.push(held);
    void keepLease(agent, held);
    next(lane);
  }

  function next(lane: (typeof lanes)["work"]): void {
    while (lane.running < lane.slots) {
      const held = lane.queue.shift();
      if (held === undefined) return;
      lane.running++;
      void run(held).finally(() => {
        lane.running--;
        next(lane);
      });
    }
  }

  async function run(held: Held): Promise<void> {
    await execute(agent, held);
    void deliverOutcome(agent, held).then(() => {
      remember(held.entry);
      // Only now: until then the master counts this command among those that run, and hands out no other in its place.
      agent.workBell.ring();
    });
  }

  function remember({ id, attempt }: JournalEntry): void {
    acknowledged.set(id, attempt ?? 0);
    const oldest = acknowledged.keys().next();
    if (acknowledged.size > REMEMBERED && !oldest.done) acknowledged.delete(oldest.value);
  }

  return {
    accept,
    freeSlots: () => Math.max(0, lanes.work.slots - lanes.work.running - lanes.work.queue.length),
  };
}

const laneFor = (type: string): "control" | "work" => {
  const known = commandType.safeParse(type);
  return known.success ? laneOf[known.data] : "control";
};

/** The same command came again, because an answer was lost or its lease ran out: it keeps running under the new lease. */
function adopt(agent: Agent, held: Held, command: DeliveredCommand): void {
  const { entry } = held;
  if ((command.attempt ?? 0) < (entry.attempt ?? 0)) return;
  entry.attempt = command.attempt ?? null;
  entry.leaseToken = command.leaseToken ?? null;
  held.leaseSeconds = command.leaseSeconds ?? timing.leaseSeconds;
  try {
    agent.journal.save(entry);
  } catch (error) {
    agent.log.error("cannot write the journal", { command: entry.id, reason: (error as Error).message });
  }
  agent.log.info("command delivered again: already in hand", {
    command: entry.id,
    attempt: entry.attempt,
    state: entry.state.name,
  });
  held.changed.ring();
}

/** Writes the command down before anything else happens; what cannot be written down is refused, not run. */
function claim(agent: Agent, command: DeliveredCommand): Held | null {
  const held: Held = {
    entry: {
      version: 1,
      id: command.id,
      type: command.type.slice(0, 64),
      subject: subjectOf(command),
      attempt: command.attempt ?? null,
      leaseToken: command.leaseToken ?? null,
      bootId: agent.bootId,
      claimedAt: Date.now(),
      state: { name: "claimed" },
    },
    payload: command.payload,
    leaseSeconds: command.leaseSeconds ?? timing.leaseSeconds,
    progress: null,
    abort: new AbortController(),
    changed: makeBell(),
  };
  agent.held.set(command.id, held);
  try {
    agent.journal.save(held.entry);
  } catch (error) {
    refuse(agent, held, `the agent cannot write its journal: ${(error as Error).message}`);
    void deliverOutcome(agent, held);
    return null;
  }
  agent.log.info("command claimed", {
    command: command.id,
    type: held.entry.type,
    attempt: held.entry.attempt,
  });
  return held;
}
