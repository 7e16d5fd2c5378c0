import type { EndedRun, LiveNoun } from "../../protocol/index.ts";

/** `recheck`: somebody may have lost what they could see. */
export type News = { changed: Set<LiveNoun>; ended: EndedRun[]; recheck: boolean };

/** Which noun of the console each table is shown under; null: under none. Every table is here. */
export const nounOfTable: Record<string, LiveNoun | null> = {
  nodes: "nodes",
  agent_commands: "commands",
  backup_tasks: "tasks",
  task_targets: "tasks",
  task_tags: "tasks",
  storage_targets: "targets",
  backup_records: "records",
  record_copies: "records",
  record_logs: null,
  vault_uploads: null,
  restore_records: "restores",
  verifications: "verifications",
  install_codes: null,
  users: "users",
  sessions: null,
  api_keys: "api-keys",
  login_failures: null,
  audit_logs: "audit",
  notifications: "notifications",
  daily_counts: null,
  tallies: null,
};

const accessTables = new Set(["users", "sessions", "api_keys"]);
const writing = /^\s*(?:insert\s+(?:or\s+\w+\s+)?into|(update)|(delete)\s+from)\s+"?(\w+)"?/i;
const QUIET = "/* no news */ ";

/** Marks a statement that repeats what is known, such as a sign of life or a run's progress: no console is told. */
export const noNews = (sql: string, isKnown = true): string => (isKnown ? QUIET + sql : sql);

/** What a statement would change, by its text; null when that is nothing that anybody is told of. */
export type Subject = { noun: LiveNoun | null; recheck: boolean };
export function subjectOf(sql: string): Subject | null {
  const [, update, remove, table] = writing.exec(sql) ?? [];
  if (table === undefined) return null;
  const noun = nounOfTable[table] ?? null;
  // Who signs in takes nothing from anybody.
  const recheck =
    accessTables.has(table) && (remove !== undefined || (update !== undefined && table !== "sessions"));
  return noun === null && !recheck ? null : { noun, recheck };
}

const nameOf = {
  backup: "task_name",
  restore: "(select task_name from backup_records where id = record_id)",
  verification: "(select name from backup_tasks where id = task_id)",
};

/** The end of a statement that ends a run: with it, open consoles learn how it ended. */
export const tellingEnd = (kind: EndedRun["kind"]): string =>
  `returning '${kind}' as ended_kind, id as ended_id, status as ended_status, error_message as ended_error,
     coalesce(${nameOf[kind]}, '') as ended_name`;

const MAX_ERROR_LENGTH = 300;
/** What a run that goes on is called; a restore's report ends it or not by one statement. */
const OPEN = new Set(["queued", "running"]);

/** The runs that a statement has ended. */
export function endedIn(rows: unknown[]): EndedRun[] {
  return (rows as Record<string, unknown>[])
    .filter((row) => row["ended_kind"] !== undefined && !OPEN.has(String(row["ended_status"])))
    .map((row) => ({
      kind: row["ended_kind"] as EndedRun["kind"],
      id: Number(row["ended_id"]),
      status: String(row["ended_status"]),
      name: String(row["ended_name"]),
      error: String(row["ended_error"]).slice(0, MAX_ERROR_LENGTH),
    }));
}
