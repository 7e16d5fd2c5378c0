import { expireCommands } from "../commands/expire.ts";
import { ringDue } from "../commands/ring-due.ts";
import type { Deps } from "../deps.ts";
import { finishRemovals } from "../records/finish-removals.ts";
import { sweepRetention } from "../retention/sweep.ts";
import { runDueTasks } from "../schedules/run-due.ts";
import { runDueVerifications } from "../verifications/run-due.ts";
import { expectConnected } from "./expect-connected.ts";
import { markSilentOffline } from "./mark-silent-offline.ts";
import { pruneHistory } from "./prune-history.ts";
import { syncPresence } from "./sync-presence.ts";

const SWEEPS_PER_MINUTE = 4;
const INTERVAL_MS = 60_000 / SWEEPS_PER_MINUTE;
const MINUTES_PER_DAY = 1440;
/** Some minute of the day when nothing else is likely to happen (02:47 UTC). */
const DAILY_MINUTE = 167;

type Part = [name: string, run: (deps: Deps) => Promise<unknown>];

/** Who was closed is told before who is silent, so that one sweep finds both. */
const parts: Part[] = [
  ["presence", syncPresence],
  ["offline", markSilentOffline],
  ["commands", expireCommands],
];

/**
 * Sweeps at 0, 15, 30 and 45 s after `startedAt`. A late start leaves out the sweeps whose time is over, but makes the
 * last one in any case; everything is computed from timestamps, so one too many does no harm.
 */
export async function sweepForAMinute(deps: Deps, startedAt: number): Promise<void> {
  let startable = deps.config.dueTasksPerMinute;
  for (let turn = 0; turn < SWEEPS_PER_MINUTE; turn++) {
    const wait = startedAt + turn * INTERVAL_MS - deps.now();
    if (wait > 0) await deps.sleep(wait);
    else if (-wait >= INTERVAL_MS && turn < SWEEPS_PER_MINUTE - 1) continue;
    startable -= await sweepOnce(deps, startable);
  }
  await verifyDue(deps, startable);
  await tidy(deps, Math.floor(startedAt / 60_000));
}

/**
 * Everything that is due now, of tasks at most `startable`; returns how many were looked at. A part that fails is
 * logged and leaves the others alone.
 */
export async function sweepOnce(deps: Deps, startable = deps.config.dueTasksPerMinute): Promise<number> {
  for (const part of parts) await runPart(deps, part);
  let due = 0;
  await runPart(deps, [
    "schedules",
    async () => {
      if (startable > 0) due = await runDueTasks(deps, startable);
    },
  ]);
  return due;
}

/** Once a minute is often enough for these. Each makes five database calls where starting a backup makes four. */
async function verifyDue(deps: Deps, startable: number): Promise<void> {
  const limit = Math.floor((startable * 4) / 5);
  if (limit > 0) await runPart(deps, ["verifications", () => runDueVerifications(deps, limit)]);
}

async function tidy(deps: Deps, minute: number): Promise<void> {
  await runPart(deps, ["waiting", () => ringDue(deps)]);
  await runPart(deps, ["history", () => pruneHistory(deps, minute)]);
  await runPart(deps, ["removals", () => finishRemovals(deps)]);
  await runPart(deps, ["retention", () => sweepRetention(deps, minute)]);
  if (minute % MINUTES_PER_DAY === DAILY_MINUTE) await runPart(deps, ["connected", expectConnected]);
}

async function runPart(deps: Deps, [name, run]: Part): Promise<void> {
  try {
    await run(deps);
  } catch (error) {
    deps.log("sweep part failed", { part: name, error: String(error) });
  }
}
