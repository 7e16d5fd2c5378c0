import type { Deps } from "../deps.ts";

export type Notification = {
  kind: string;
  nodeId?: number;
  /** Left out by a statement that follows the one which inserts the record: then it takes that record's id. */
  recordId?: number;
  message: string;
};

/** The statement that records what people should know; put it into the batch of what happened. */
export function notifyStatement({ db, now }: Deps, notification: Notification): D1PreparedStatement {
  const { kind, nodeId, recordId, message } = notification;
  return db
    .prepare("insert into notifications (at, kind, node_id, record_id, message) values (?, ?, ?, ?, ?)")
    .bind(now(), kind, nodeId ?? null, recordId ?? null, message);
}

/** The same about the record that the statement just before it in the batch inserted, if it did. */
export function notifyIfRecorded(
  { db, now }: Deps,
  notification: Omit<Notification, "recordId">,
): D1PreparedStatement {
  return db
    .prepare(
      `insert into notifications (at, kind, node_id, record_id, message)
       select ?, ?, ?, last_insert_rowid(), ? where changes() > 0`,
    )
    .bind(now(), notification.kind, notification.nodeId ?? null, notification.message);
}
