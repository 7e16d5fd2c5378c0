import type { Deps } from "../deps.ts";

export type RunKind = "backup" | "restore" | "verification";
export type LogLine = { seq: number; at: number; text: string };
export type LogChunks = { log?: { seq: number; text: string }[] | undefined; logAppend?: string | undefined };

const DEFAULT_TAIL = 200;
/** Most lines that `readLog` gives at once. */
export const MAX_LOG_LINES = 1000;

/** Statements that append to a run's log: numbered chunks once each, text without a number after the last. */
export function appendLogStatements({ db, now }: Deps, kind: RunKind, runId: number, chunks: LogChunks) {
  return [
    ...(chunks.log && chunks.log.length > 0
      ? [
          db
            .prepare(
              `insert into record_logs (kind, record_id, seq, at, text)
               select ?1, ?2, value ->> 'seq', ?3, value ->> 'text' from json_each(?4) where true
               on conflict do nothing`,
            )
            .bind(kind, runId, now(), JSON.stringify(chunks.log)),
        ]
      : []),
    ...(chunks.logAppend
      ? [
          db
            .prepare(
              `insert into record_logs (kind, record_id, seq, at, text)
               select ?1, ?2, coalesce(max(seq), 0) + 1, ?3, ?4 from record_logs where kind = ?1 and record_id = ?2`,
            )
            .bind(kind, runId, now(), chunks.logAppend),
        ]
      : []),
  ];
}

/** A run's log: what follows `after`, or else its last `tail` chunks; at most MAX_LOG_LINES at a time. */
export async function readLog(
  { db }: Deps,
  kind: RunKind,
  runId: number,
  query: { after?: number | undefined; tail?: number | undefined },
): Promise<{ lines: LogLine[]; next: number }> {
  const follow = query.after !== undefined;
  const { results } = await db
    .prepare(
      `select seq, at, text from record_logs where kind = ? and record_id = ? and seq > ?
       order by seq ${follow ? "asc" : "desc"} limit ?`,
    )
    .bind(kind, runId, query.after ?? 0, follow ? MAX_LOG_LINES : (query.tail ?? DEFAULT_TAIL))
    .all<LogLine>();
  const lines = follow ? results : results.reverse();
  return { lines, next: lines.at(-1)?.seq ?? query.after ?? 0 };
}
