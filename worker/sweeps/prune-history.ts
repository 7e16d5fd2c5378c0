import type { Deps } from "../deps.ts";

/** Rows deleted at a time: each is a written row, and a sweep must not hold the database up. */
const CHUNK = 500;

const DAY_MS = 86_400_000;

type Pruning = { statement: string; keep: "history" | "a day" };

/**
 * Ids are given in the order of time, so the oldest rows are the lowest ids: the first row tells whether there is
 * anything to do, and at most CHUNK rows are looked at, however long the history. `?1` is the time before which a row
 * goes.
 */
const oldest = (table: string, born: string, ended: string) =>
  `delete from ${table} where ${ended} < ?1 and id in (
     select id from ${table} where (select ${born} from ${table} order by id limit 1) < ?1 order by id limit ${CHUNK})`;
const oldestLogs = (kind: string) =>
  `delete from record_logs where at < ?1 and rowid in (
     select rowid from record_logs where kind = '${kind}'
       and (select at from record_logs where kind = '${kind}' order by record_id, seq limit 1) < ?1
     order by record_id, seq limit ${CHUNK})`;
const expired = (table: string, end: string) =>
  `delete from ${table} where rowid in (select rowid from ${table} where ${end} < ?1 limit ${CHUNK})`;

const prunings: Pruning[] = [
  // What has not ended has no completed_at and stays.
  { statement: oldest("agent_commands", "created_at", "completed_at"), keep: "history" },
  { statement: oldest("audit_logs", "at", "at"), keep: "history" },
  { statement: oldest("notifications", "at", "at"), keep: "history" },
  { statement: oldestLogs("record"), keep: "history" },
  { statement: oldestLogs("restore"), keep: "history" },
  // A code can say for a day more that it was used or is over.
  { statement: expired("install_codes", "expires_at"), keep: "a day" },
  { statement: expired("sessions", "expires_at"), keep: "a day" },
  { statement: expired("login_failures", "until"), keep: "a day" },
];

/** Minutes until every table has had its turn. */
export const PRUNING_ROUND_MINUTES = prunings.length;

/** Deletes a chunk of what nobody needs any more from one table, whose turn it is in this minute. */
export async function pruneHistory({ db, now, config }: Deps, minute: number): Promise<void> {
  const pruning = prunings[minute % prunings.length];
  if (!pruning) return;
  const before = now() - (pruning.keep === "history" ? config.historyMs : DAY_MS);
  await db.prepare(pruning.statement).bind(before).run();
}
