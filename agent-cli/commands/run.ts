import { randomUUID } from "node:crypto";
import { timing } from "../../protocol/states.ts";
import { type Agent, type Held, StopReason } from "../agent.ts";
import { pause } from "../backoff.ts";
import { makeBell } from "../bell.ts";
import { capabilities } from "../capabilities.ts";
import { makeClient } from "../client.ts";
import { type Config, type Flags, readConfig, requireMaster } from "../config.ts";
import { formatDuration } from "../duration.ts";
import type { ExitName } from "../exit-codes.ts";
import { removeLeftDrafts } from "../jobs/index-cache.ts";
import { recover } from "../jobs/recover.ts";
import { openJournal } from "../journal.ts";
import { makeLink } from "../link.ts";
import { takeLock } from "../lock.ts";
import { type Log, makeLog } from "../log.ts";
import { keepLease } from "../loops/lease.ts";
import { deliverOutcome } from "../loops/outbox.ts";
import { keepPresence, type Presence } from "../loops/presence.ts";
import { takeWork } from "../loops/work.ts";
import { makeDispatcher, networkOf, trustOwnCa } from "../network.ts";
import { removeLeftScratch } from "../restic/scratch.ts";
import { prepareStateDir, prepareWorkRoot, workRoot, writeStatusNote } from "../state-dir.ts";
import { agentVersion } from "../version.ts";

const OUTBOX_FLUSH_MS = 5_000;
/** How long jobs get to end once they were told to: their processes are killed after five seconds. */
const ABORT_MS = 8_000;

/** The agent itself: runs until a signal stops it. */
export async function runAgent(flags: Flags): Promise<ExitName> {
  const config = readConfig(flags);
  const { master, token } = requireMaster(config);
  const log = openLog(config, token);
  trustOwnCa(networkOf(config));
  prepareStateDir(config.stateDir);
  const releaseLock = takeLock(config.stateDir);
  try {
    return await runLocked(config, log, { master, token });
  } finally {
    releaseLock();
  }
}

function openLog(config: Config, token: string): Log {
  const format = config.logFormat ?? (process.stderr.isTTY ? "text" : "json");
  const log = makeLog({ format, write: (line) => void process.stderr.write(line) });
  log.hide(token);
  if (config.proxyUrl?.password) log.hide(decodeURIComponent(config.proxyUrl.password));
  for (const warning of config.warnings) log.warn(warning);
  return log;
}

async function runLocked(
  config: Config,
  log: Log,
  { master, token }: { master: URL; token: string },
): Promise<ExitName> {
  const root = workRoot(config.stateDir, config.tempDir);
  await prepareWorkRoot(root);
  removeLeftDrafts(config.stateDir);
  void removeLeftScratch(config.stateDir).catch(() => {});
  const draining = new AbortController();
  const stopped = new AbortController();
  const presence: Presence = { socketUp: false, told: null };
  const agent: Agent = {
    config,
    client: makeClient({
      master,
      token,
      dispatcher: makeDispatcher(networkOf(config)),
      socketDispatcher: makeDispatcher(networkOf(config), { tunnel: true }),
    }),
    log,
    journal: openJournal(config.stateDir),
    // A refusal is asked about again twelve polls later: once a minute, by the usual numbers.
    link: makeLink({ log, refusedWaitMs: 12 * (config.pollIntervalMs ?? 5_000), onChange: () => note() }),
    bootId: randomUUID(),
    workRoot: root,
    findCapabilities: () => capabilities(config),
    held: new Map(),
    workBell: makeBell(),
    draining: draining.signal,
    stopped: stopped.signal,
  };
  const note = statusNoter(agent, presence);
  log.info("agent started", {
    version: agentVersion,
    master: master.href,
    pid: process.pid,
    bootId: agent.bootId,
  });
  note();
  pickUp(agent);

  const signals = listenForSignals(log, config.graceMs, draining);
  let working: Promise<void> | null = null;
  const loops = keepPresence(agent, presence, () => {
    note();
    working ??= takeWork(agent, presence);
  });
  await signals.first;
  const ending = windDown(agent, stopped).then((): ExitName => "ok");
  const outcome = await Promise.race([ending, signals.second.then((): ExitName => "interrupted")]);
  if (outcome === "interrupted") {
    // No time for manners: what runs is reported as interrupted when the agent starts again.
    stopped.abort();
    abortAll(agent, "the agent was stopped");
    return outcome;
  }
  await Promise.allSettled([loops, Promise.resolve(working)]);
  await agent.client.close();
  log.info("agent stopped");
  return outcome;
}

/** What an earlier start left behind is told to the master; nothing of it is ever run again. */
function pickUp(agent: Agent): void {
  const { entries, broken } = agent.journal.load();
  for (const name of broken) agent.log.error("journal file not readable: set aside", { name });
  for (const entry of entries) {
    if (entry.state.name === "claimed") {
      // Never started, and its payload is not kept: the master hands it out again, because we do not name it.
      agent.journal.remove(entry.id);
      continue;
    }
    if (entry.state.name === "started") {
      agent.log.warn("command interrupted by a restart", { command: entry.id, type: entry.type });
    }
    const held: Held = {
      entry,
      payload: {},
      leaseSeconds: timing.leaseSeconds,
      progress: null,
      abort: new AbortController(),
      changed: makeBell(),
    };
    agent.held.set(entry.id, held);
    if (entry.state.name === "finished") void deliverOutcome(agent, held);
    else {
      void keepLease(agent, held);
      void recover(agent, held).then(() => deliverOutcome(agent, held));
    }
  }
}

function listenForSignals(log: Log, graceMs: number, draining: AbortController) {
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  let seen = 0;
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    process.on(name, () => {
      seen++;
      if (seen === 1) {
        log.info("stopping: nothing new is taken", { signal: name, grace: formatDuration(graceMs) });
        draining.abort();
        first.resolve();
      } else second.resolve();
    });
  }
  return { first: first.promise, second: second.promise };
}

/** Lets what runs come to its end, within the grace; then stops it, and tells the master how it all ended. */
async function windDown(agent: Agent, stopped: AbortController): Promise<void> {
  if (!(await until(() => running(agent).length === 0, agent.config.graceMs))) {
    agent.log.warn("grace is over: stopping what still runs", { commands: running(agent).length });
    abortAll(agent, "the agent was stopped");
    await until(() => running(agent).length === 0, ABORT_MS);
  }
  await until(() => agent.held.size === 0, OUTBOX_FLUSH_MS);
  if (agent.held.size > 0) agent.log.warn("results left for the next start", { commands: agent.held.size });
  stopped.abort();
}

const running = (agent: Agent): Held[] =>
  [...agent.held.values()].filter(({ entry }) => entry.state.name !== "finished");

function abortAll(agent: Agent, reason: string): void {
  for (const { abort } of running(agent)) abort.abort(new StopReason("failed", reason));
}

async function until(condition: () => boolean, limitMs: number): Promise<boolean> {
  const deadline = performance.now() + limitMs;
  while (!condition() && performance.now() < deadline) await pause(25);
  return condition();
}

function statusNoter(agent: Agent, presence: Presence): () => void {
  const since = Date.now();
  let connection: "connecting" | "socket" | "polling" = "connecting";
  let connectionSince = since;
  return () => {
    const now = presence.told === null ? "connecting" : presence.socketUp ? "socket" : "polling";
    if (now !== connection) connectionSince = Date.now();
    connection = now;
    writeStatusNote(agent.config.stateDir, {
      pid: process.pid,
      since,
      master: agent.client.master.href,
      node: presence.told?.name ?? null,
      connection,
      connectionSince,
      lastContact: agent.link.lastContact,
      problem: agent.link.problem,
    });
  };
}
