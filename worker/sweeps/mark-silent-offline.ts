import { timing } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";

/** Only these can fall silent unnoticed: of a node with a socket, the Doorbell knows. Served by nodes_polling. */
const silent = "status = 'online' and connection = 'poll' and last_seen < ?1";

/**
 * Sets nodes offline whose last sign of life is too old, each with one notification: both statements see the same rows,
 * and of two sweeps at once the second finds none left.
 */
export async function markSilentOffline({ db, now }: Deps): Promise<void> {
  const limit = now() - timing.offlineAfterSeconds * 1000;
  const some = await db.prepare(`select id from nodes where ${silent} limit 1`).bind(limit).first();
  if (!some) return;
  await db.batch([
    db
      .prepare(
        `insert into notifications (at, kind, node_id, message, details)
         select ?2, 'node_offline', id, name || ' is offline: no sign of life since '
           || strftime('%Y-%m-%d %H:%M:%S', last_seen / 1000, 'unixepoch') || ' UTC',
           json_object('name', name, 'since', last_seen)
         from nodes where ${silent}`,
      )
      .bind(limit, now()),
    db.prepare(`update nodes set status = 'offline' where ${silent}`).bind(limit),
  ]);
}
