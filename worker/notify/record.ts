import type { z } from "zod";
import type { objects } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";

type NotificationDetails = z.input<typeof objects.notificationDetails>;

/** The statement that tells people of the record which the statement just before it in the batch inserted, if it did. */
export function notifyIfRecorded(
  { db, now }: Deps,
  notification: { kind: string; message: string; details: NotificationDetails },
): D1PreparedStatement {
  return db
    .prepare(
      `insert into notifications (at, kind, record_id, message, details)
       select ?, ?, last_insert_rowid(), ?, ? where changes() > 0`,
    )
    .bind(now(), notification.kind, notification.message, JSON.stringify(notification.details));
}
