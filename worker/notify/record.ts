import type { Deps } from "../deps.ts";

/** The statement that tells people of the record which the statement just before it in the batch inserted, if it did. */
export function notifyIfRecorded(
  { db, now }: Deps,
  notification: { kind: string; message: string },
): D1PreparedStatement {
  return db
    .prepare(
      `insert into notifications (at, kind, record_id, message)
       select ?, ?, last_insert_rowid(), ? where changes() > 0`,
    )
    .bind(now(), notification.kind, notification.message);
}
