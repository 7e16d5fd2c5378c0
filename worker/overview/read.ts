import type { z } from "zod";
import type { overview } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { listRecords } from "../records/read.ts";
import { attentionOf, attentionStatements, type Target } from "./attention.ts";
import { DAY_MS, dayOf } from "./day.ts";

type Overview = z.input<typeof overview>;
type Day = Omit<Overview["days"][number], "at"> & { day: number };

const DAYS = 30;
const MAX_TARGETS = 100;

/** Whether everything is safe. However long the history and large the fleet, it reads some hundred rows. */
export async function readOverview(deps: Deps): Promise<Overview> {
  const { db, now } = deps;
  const today = dayOf(now());
  const [running, recent, [tallies, begun, days, targets, byNode, next, ...attention]] = await Promise.all([
    listRecords(deps, { status: "running", limit: 5 }),
    listRecords(deps, { limit: 8 }),
    db.batch([
      db.prepare("select name, value from tallies"),
      db.prepare(
        `select exists (select 1 from (select last_seen from nodes order by id limit 50) where last_seen is not null)
           as connected, exists (select 1 from daily_counts where succeeded > 0) as backedUp`,
      ),
      db
        .prepare(
          "select day, succeeded, failed, missed, stored_bytes as storedBytes from daily_counts where day > ?",
        )
        .bind(today - DAYS),
      db.prepare(
        `select id, name, type, used_bytes as usedBytes, quota_bytes as quotaBytes, last_test as lastTest
         from storage_targets
         order by id limit ${MAX_TARGETS}`,
      ),
      db.prepare(
        `select id as nodeId, name, task_count as tasks from nodes where task_count > 0
         order by task_count desc limit 8`,
      ),
      db.prepare(
        `select t.id as taskId, t.name, t.next_run_at as at, n.name as nodeName
         from (select * from backup_tasks where next_run_at is not null order by next_run_at limit 6) t
         left join nodes n on n.id = t.node_id order by t.next_run_at`,
      ),
      ...attentionStatements(deps),
    ]),
  ]);
  const shownTargets = rowsOf<Overview["targets"][number] & Target>(targets);
  const { connected, backedUp } = rowsOf<{ connected: number; backedUp: number }>(begun)[0] ?? {};
  const tally = new Map(
    rowsOf<{ name: string; value: number }>(tallies).map(({ name, value }) => [name, value]),
  );
  return {
    totals: {
      nodes: tally.get("nodes") ?? 0,
      tasks: tally.get("tasks") ?? 0,
      targets: shownTargets.length,
    },
    begun: { connected: connected === 1, backedUp: backedUp === 1 },
    attention: attentionOf(attention, shownTargets),
    days: everyDay(rowsOf<Day>(days), today),
    targets: shownTargets,
    tasksByNode: rowsOf(byNode),
    nextRuns: rowsOf(next),
    running: running.items,
    recent: recent.items,
  };
}

const rowsOf = <T>(result: D1Result | undefined) => (result?.results ?? []) as T[];

function everyDay(counted: Day[], today: number): Overview["days"] {
  const byDay = new Map(counted.map((day) => [day.day, day]));
  return Array.from({ length: DAYS }, (_, index) => {
    const day = today - DAYS + 1 + index;
    const { succeeded = 0, failed = 0, missed = 0, storedBytes = 0 } = byDay.get(day) ?? {};
    return { at: day * DAY_MS, succeeded, failed, missed, storedBytes };
  });
}
