import { tmpdir } from "node:os";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Agent } from "../../agent-cli/agent.ts";
import { makeBell } from "../../agent-cli/bell.ts";
import type { MasterClient } from "../../agent-cli/client.ts";
import { makeLink } from "../../agent-cli/link.ts";
import { makeLog } from "../../agent-cli/log.ts";
import { keepPresence, type Presence } from "../../agent-cli/loops/presence.ts";
import { takeWork } from "../../agent-cli/loops/work.ts";
import { agentApi, doorbellClose, type Endpoint, timing } from "../../protocol/index.ts";
import { idleDay } from "../idle-day.ts";

// The agent waits by a promise of Node's, which no fake clock reaches: so that one is made of the timer which it does.
vi.mock("node:timers/promises", () => ({
  setTimeout: (ms: number, value: unknown, { signal }: { signal?: AbortSignal } = {}) =>
    new Promise((resolve, reject) => {
      const timer = globalThis.setTimeout(() => resolve(value), ms);
      signal?.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(signal.reason);
      });
    }),
}));

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
type Kind = keyof typeof idleDay.atMost;

/** A socket that is open and answers pings, until it is dropped. */
class FakeSocket extends EventTarget {
  readonly OPEN = 1;
  readyState = 0;
  constructor() {
    super();
    setTimeout(() => {
      this.readyState = 1;
      this.dispatchEvent(new Event("open"));
    }, 20);
  }
  send(): void {
    setTimeout(() => this.dispatchEvent(new MessageEvent("message", { data: "pong" })), 20);
  }
  close(): void {
    this.readyState = 3;
  }
  drop(code: number): void {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event("close"), { code, reason: "" }));
  }
}

/** A master that has nothing to do for anybody and counts what it is asked. */
function countingMaster() {
  const asked: { kind: Kind; at: number }[] = [];
  let socket: FakeSocket | undefined;
  const master = {
    asked,
    drop: (code: number) => socket?.drop(code),
    client: {
      master: new URL("http://master.test"),
      call: async (endpoint: Endpoint) => {
        const heartbeat = endpoint.path === agentApi.heartbeat.path;
        asked.push({ kind: heartbeat ? "heartbeat" : "poll", at: Date.now() });
        return heartbeat
          ? {
              status: "ok",
              nodeId: 1,
              name: "n",
              heartbeatSeconds: 15,
              pollSeconds: 5,
              doorbell: "/bell",
              orders: [],
            }
          : { command: null, commands: [], orders: [] };
      },
      openSocket: () => {
        asked.push({ kind: "doorbell", at: Date.now() });
        socket = new FakeSocket();
        return socket;
      },
    } as unknown as MasterClient,
  };
  return master;
}

function idleAgent(client: MasterClient) {
  const log = makeLog({ format: "json", write: () => {} });
  const stop = new AbortController();
  const agent = {
    config: { heartbeatIntervalMs: null, pollIntervalMs: null, maxConcurrent: 4 },
    client,
    log,
    link: makeLink({ log, refusedWaitMs: 60_000, onChange: () => {} }),
    bootId: "boot",
    workRoot: tmpdir(),
    findCapabilities: async () => ({
      sources: [],
      storages: [],
      engines: {},
      commands: [],
      hooks: [],
      missingPrograms: [],
    }),
    held: new Map(),
    workBell: makeBell(),
    draining: new AbortController().signal,
    stopped: stop.signal,
  } as unknown as Agent;
  const presence: Presence = { socketUp: false, told: null };
  let working: Promise<void> | undefined;
  const running = keepPresence(agent, presence, () => {
    working ??= takeWork(agent, presence);
  });
  return {
    presence,
    async stop() {
      stop.abort();
      await vi.advanceTimersByTimeAsync(1000);
      await Promise.all([running, working]);
    },
  };
}

/** The agent's own loops through a day in which its socket breaks at these times. */
async function liveADay(breaks: number[], code: number) {
  const master = countingMaster();
  const start = Date.now();
  const agent = idleAgent(master.client);
  for (const at of breaks) {
    await vi.advanceTimersByTimeAsync(start + at - Date.now());
    expect(agent.presence.socketUp).toBe(true);
    master.drop(code);
  }
  await vi.advanceTimersByTimeAsync(start + DAY_MS - Date.now());
  await agent.stop();
  const count = (kind: Kind, from = 0, to = DAY_MS + 1) =>
    master.asked.filter(({ kind: k, at }) => k === kind && at - start >= from && at - start < to).length;
  return { count, total: master.asked.length };
}

const fourBreaks = Array.from({ length: idleDay.reconnects }, (_, index) => (index * 6 + 3) * HOUR_MS + 7000);

describe("a day of an idle agent whose socket is up", () => {
  beforeEach(() => {
    vi.useFakeTimers({
      toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date", "performance"],
      now: Date.UTC(2026, 10, 1),
    });
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  it("costs at most 300 requests, with four broken connections", async () => {
    const day = await liveADay(fourBreaks, 1006);
    const counts = (["poll", "heartbeat", "doorbell"] as const).map((kind) => `${day.count(kind)} ${kind}`);
    console.info(`idle agent, requests per day: ${day.total} (${counts.join(", ")})`);
    expect(day.total).toBeLessThanOrEqual(idleDay.budget.requests);
    for (const [kind, most] of Object.entries(idleDay.atMost)) {
      expect(day.count(kind as Kind), kind).toBeLessThanOrEqual(most);
    }
  });

  it("costs no more than that when every wait turns out as long as it may", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.999);
    const day = await liveADay(fourBreaks, 1006);
    expect(day.total).toBeLessThanOrEqual(idleDay.budget.requests);
    for (const at of fourBreaks) {
      const around = (kind: Kind) => day.count(kind, at, at + 60_000);
      expect(around("doorbell")).toBe(1);
      expect(around("poll")).toBeLessThanOrEqual(idleDay.perReconnect.poll);
      expect(around("heartbeat")).toBeLessThanOrEqual(idleDay.perReconnect.heartbeat);
    }
  });

  it("nor when every wait turns out as short as it may", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const day = await liveADay(fourBreaks, 1006);
    expect(day.total).toBeLessThanOrEqual(idleDay.budget.requests);
    expect(day.count("poll")).toBeLessThanOrEqual(idleDay.atMost.poll);
  });

  it("costs about a hundred when the master only moves its sockets", async () => {
    const day = await liveADay(fourBreaks, doorbellClose.moved);
    expect(day.total).toBeLessThanOrEqual((24 * HOUR_MS) / (timing.socketPollSeconds * 1000) + 40);
  });
});
