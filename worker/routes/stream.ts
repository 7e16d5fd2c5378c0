import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import type { Deps } from "../deps.ts";
import type { HonoEnv } from "../http.ts";
import { MAX_LOG_LINES, type RunKind, readLog } from "../records/log.ts";

const OPEN_STATES = new Set(["queued", "running"]);
const LOOK_EVERY_MS = 1000;
/** Two queries a look: the free plan allows 50 in one invocation. The browser then connects again and goes on. */
const MAX_LOOKS = 22;

/**
 * A run, live, as server-sent events: `state` whenever it changes, `log` per line (its id is the line's number, so a
 * client that connects again misses none), `end` when the run has ended.
 */
export function streamRun(
  c: Context<HonoEnv>,
  deps: Deps,
  kind: RunKind,
  runId: number,
  read: () => Promise<{ status: string }>,
): Response {
  return streamSSE(c, async (stream) => {
    let seen = lastSeen(c);
    let lastState = "";
    for (let look = 0; look < MAX_LOOKS && !stream.aborted; look++) {
      const run = await read();
      const { lines } = await readLog(deps, kind, runId, { after: seen });
      for (const line of lines)
        await stream.writeSSE({ event: "log", id: String(line.seq), data: JSON.stringify(line) });
      seen = lines.at(-1)?.seq ?? seen;
      // There is more to tell before the state that these lines led to.
      if (lines.length === MAX_LOG_LINES) continue;
      const state = JSON.stringify(run);
      if (state !== lastState) await stream.writeSSE({ event: "state", data: state });
      lastState = state;
      if (!OPEN_STATES.has(run.status)) {
        await stream.writeSSE({ event: "end", data: run.status });
        return;
      }
      await deps.sleep(LOOK_EVERY_MS);
    }
  });
}

/** What is no line's number means: from the first line on. */
function lastSeen(c: Context<HonoEnv>): number {
  const id = c.req.header("Last-Event-ID") ?? "";
  return /^\d{1,15}$/.test(id) ? Number(id) : 0;
}
