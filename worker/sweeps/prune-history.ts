import type { Deps } from "../deps.ts";
import type { RunKind } from "../records/log.ts";

/** Rows deleted at a time: each is a written row, and a sweep must not hold the database up. */
const CHUNK = 500;

const DAY_MS = 86_400_000;

type Pruning = {
  /** Tells by one row whether something is older than ?1. */
  look: string;
  /** Deletes a chunk of what is older than ?1. */
  remove: string;
  keep: "history" | "a day" | "ten days";
};

/**
 * Ids are given in the order of time, so the oldest rows are the lowest ids: the first tells whether there is anything
 * to do, and at most CHUNK of them are looked at, however long the history. The newest row always stays: an emptied
 * table would begin again at 1, and agents remember the ids of commands.
 */
const oldest = (table: string, born: string, ended: string): Pruning => ({
  look: `select 1 from (select ${born} as born from ${table} order by id limit 1) where born < ?1`,
  remove: `delete from ${table} where id in (
    select id from (select id, ${ended} as ended from ${table} order by id limit ${CHUNK}) where ended < ?1)
    and id < (select max(id) from ${table})`,
  keep: "history",
});
const oldestLogs = (kind: RunKind): Pruning => {
  const inOrder = (columns: string, limit: number) =>
    `(select ${columns} from record_logs where kind = '${kind}' order by record_id, seq limit ${limit})`;
  return {
    look: `select 1 from ${inOrder("at", 1)} where at < ?1`,
    remove: `delete from record_logs where rowid in (
      select row from ${inOrder("rowid as row, at", CHUNK)} where at < ?1)`,
    keep: "history",
  };
};
const expired = (table: string, end: string): Pruning => ({
  look: `select 1 from ${table} where ${end} < ?1 limit 1`,
  remove: `delete from ${table} where rowid in (select rowid from ${table} where ${end} < ?1 limit ${CHUNK})`,
  keep: "a day",
});

const prunings: Pruning[] = [
  // What has not ended has no completed_at and stays.
  oldest("agent_commands", "created_at", "completed_at"),
  oldest("audit_logs", "at", "at"),
  oldest("notifications", "at", "at"),
  oldestLogs("backup"),
  oldestLogs("restore"),
  oldestLogs("verification"),
  oldest("verifications", "created_at", "finished_at"),
  // A code can say for a day more that it was used or is over.
  expired("install_codes", "expires_at"),
  expired("sessions", "expires_at"),
  expired("login_failures", "until"),
  // The vault drops an unfinished upload's parts by itself after a week; older records began theirs earlier.
  {
    look: "select 1 from (select created_at from vault_uploads order by record_id limit 1) where created_at < ?1",
    remove: `delete from vault_uploads where rowid in (
      select rowid from vault_uploads order by record_id limit ${CHUNK}) and created_at < ?1`,
    keep: "ten days",
  },
];

/** Minutes until every table has had its turn. */
export const PRUNING_ROUND_MINUTES = prunings.length;

/** Deletes a chunk of what nobody needs any more from one table, whose turn it is in this minute. */
export async function pruneHistory({ db, now, config }: Deps, minute: number): Promise<void> {
  const pruning = prunings[minute % prunings.length];
  if (!pruning) return;
  const kept = { history: config.historyMs, "a day": DAY_MS, "ten days": 10 * DAY_MS };
  const before = now() - kept[pruning.keep];
  const some = await db.prepare(pruning.look).bind(before).first();
  if (some) await db.prepare(pruning.remove).bind(before).run();
}
