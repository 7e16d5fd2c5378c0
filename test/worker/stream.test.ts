import { env, exports } from "cloudflare:workers";
import { Hono } from "hono";
import { describe, expect, it } from "vitest";
import { adminApi, agentApi, fillPath } from "../../protocol/index.ts";
import type { HonoEnv } from "../../worker/http.ts";
import { readRecord } from "../../worker/records/read.ts";
import { streamRun } from "../../worker/routes/stream.ts";
import { aNode, asRole, call, deps, ORIGIN } from "./master.ts";
import { aClaimedRun, goodReport } from "./runs.ts";

type Event = { event: string; id: string; data: string };

const open = (recordId: number, headers: Record<string, string>) =>
  exports.default.fetch(`${ORIGIN}${fillPath(adminApi.recordStream.path, { id: recordId })}`, { headers });

/** The events of a stream as they come, as browsers take it apart. */
async function* eventsOf(response: Response): AsyncGenerator<Event> {
  if (!response.body) throw new Error("there is no stream");
  let rest = "";
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      const field = (name: string) =>
        part
          .split("\n")
          .filter((line) => line.startsWith(`${name}: `))
          .map((line) => line.slice(name.length + 2))
          .join("\n");
      yield { event: field("event"), id: field("id"), data: field("data") };
    }
  }
}

async function collect(events: AsyncIterable<Event>, enough: (seen: Event[]) => boolean = () => false) {
  const seen: Event[] = [];
  for await (const event of events) {
    seen.push(event);
    if (enough(seen)) break;
  }
  return seen;
}

const logs = (events: Event[]) => events.filter(({ event }) => event === "log");
const textOf = (events: Event[]) => logs(events).map(({ data }) => JSON.parse(data).text);
const states = (events: Event[]) =>
  events.filter(({ event }) => event === "state").map(({ data }) => JSON.parse(data));

async function aRun() {
  const node = await aNode({ ours: true });
  const run = await aClaimedRun(node);
  let seq = 0;
  const report = (body: object, ...lines: string[]) =>
    call(node.headers, agentApi.updateRecord, {
      params: { id: run.recordId },
      body: { ...body, log: lines.map((text) => ({ seq: ++seq, text })) },
    });
  return { ...run, report, end: (...lines: string[]) => report(goodReport(run), ...lines) };
}

/** The same stream in an app that waits for nothing between two looks, with all that a look sees. */
function quickly(
  recordId: number,
  lastEventId: string | null,
  onSleep: () => Promise<unknown> = async () => {},
) {
  let looks = 0;
  const quick = {
    ...deps,
    sleep: async () => {
      looks++;
      await onSleep();
    },
  };
  const app = new Hono<HonoEnv>();
  app.get("/", (c) => streamRun(c, quick, "backup", recordId, () => readRecord(quick, recordId)));
  const headers = lastEventId === null ? {} : { "Last-Event-ID": lastEventId };
  return {
    looks: () => looks,
    open: async () => eventsOf(await app.request("/", { headers }, env)),
  };
}

describe("a live record", () => {
  it("is told to a viewer: its state, each line with its number, its end", async () => {
    const run = await aRun();
    await run.report({ status: "running" }, "one\n", "two\n");
    const response = await open(run.recordId, await asRole("viewer"));
    expect(response.headers.get("Content-Type")).toContain("text/event-stream");
    let ended = false;
    const events = await collect(eventsOf(response), (seen) => {
      if (!ended && states(seen).length === 1) {
        ended = true;
        void run.end("three\n");
      }
      return false;
    });
    expect(logs(events).map(({ id }) => id)).toEqual(["1", "2", "3"]);
    expect(textOf(events)).toEqual(["one\n", "two\n", "three\n"]);
    expect(states(events)).toMatchObject([
      { id: run.recordId, status: "running" },
      { id: run.recordId, status: "success" },
    ]);
    expect(events.at(-1)).toMatchObject({ event: "end", data: "success" });
  });

  it("that has ended is told at once, with its whole log, and the stream is closed", async () => {
    const run = await aRun();
    await run.end("all\n");
    const events = await collect(eventsOf(await open(run.recordId, await asRole("viewer"))));
    expect(events.map(({ event }) => event)).toEqual(["log", "state", "end"]);
  });

  it("is told to nobody unknown, and an unknown one to nobody", async () => {
    const run = await aRun();
    for (const headers of [
      {},
      { Authorization: `Bearer bxk_${"0".repeat(64)}` },
      { Cookie: "backupx_session=x" },
    ]) {
      const response = await open(run.recordId, headers as Record<string, string>);
      expect(response.status).toBe(401);
      expect(await response.json()).toMatchObject({ code: "UNAUTHENTICATED" });
    }
    const missing = await open(999_999, await asRole("viewer"));
    expect(missing.status).toBe(404);
    expect(await missing.json()).toMatchObject({ code: "BACKUP_RECORD_NOT_FOUND" });
  });

  it("goes on after a break where it was, without a line lost or told twice", async () => {
    const run = await aRun();
    await run.report({ status: "running" }, "one\n", "two\n", "three\n");
    const viewer = await asRole("viewer");
    const first = await collect(
      eventsOf(await open(run.recordId, viewer)),
      (seen) => logs(seen).length === 2,
    );
    await run.end("four\n", "five\n");
    const lastId = logs(first).at(-1)?.id ?? "";
    const second = await collect(eventsOf(await open(run.recordId, { ...viewer, "Last-Event-ID": lastId })));
    expect(textOf([...first, ...second])).toEqual(["one\n", "two\n", "three\n", "four\n", "five\n"]);
  });

  it.each(["nonsense", "-1", "", "1e999", "2.5"])(
    "begins with the whole log for the last id %j",
    async (lastId) => {
      const run = await aRun();
      await run.end("one\n");
      const events = await collect(
        eventsOf(await open(run.recordId, { ...(await asRole("viewer")), "Last-Event-ID": lastId })),
      );
      expect(textOf(events)).toEqual(["one\n"]);
      expect(events.at(-1)?.event).toBe("end");
    },
  );

  it("is told to its end though its log is longer than one look", async () => {
    const run = await aRun();
    const lines = Array.from({ length: 2500 }, (_, index) => `line ${index}\n`);
    for (let at = 0; at < lines.length; at += 200) {
      await run.report({ status: "running" }, ...lines.slice(at, at + 200));
    }
    await run.end("last\n");
    const events = await collect(eventsOf(await open(run.recordId, await asRole("viewer"))));
    expect(textOf(events).join("")).toBe([...lines, "last\n"].join(""));
    expect(events.at(-1)).toMatchObject({ event: "end" });
  });

  it("is left after so many looks as one invocation may make, and the next stream goes on", async () => {
    const run = await aRun();
    let lines = 0;
    const write = () => run.report({ status: "running" }, `line ${++lines}\n`);
    const first = quickly(run.recordId, null, write);
    const before = await collect(await first.open());
    expect(first.looks()).toBeGreaterThan(10);
    // Two queries a look and those of the request itself stay within 50.
    expect(first.looks() * 2 + 4).toBeLessThanOrEqual(50);
    expect(before.some(({ event }) => event === "end")).toBe(false);
    await run.end("last\n");
    const second = quickly(run.recordId, logs(before).at(-1)?.id ?? "");
    const after = await collect(await second.open());
    const all = Array.from({ length: lines }, (_, index) => `line ${index + 1}\n`);
    expect(textOf([...before, ...after])).toEqual([...all, "last\n"]);
    expect(after.at(-1)).toMatchObject({ event: "end", data: "success" });
  });

  it("tells a state again only when it has changed", async () => {
    const run = await aRun();
    await run.report({ status: "running" });
    let looks = 0;
    const stream = quickly(run.recordId, null, async () => {
      if (++looks === 5) await run.end();
    });
    expect(states(await collect(await stream.open()))).toMatchObject([
      { status: "running" },
      { status: "success" },
    ]);
    expect(stream.looks()).toBe(5);
  });
});
