import type { Deps } from "../deps.ts";

/** Notes that an offline node is back; put it before the statement that sets the node online. */
export function cameOnlineStatement({ db, now }: Deps, nodeId: number): D1PreparedStatement {
  return db
    .prepare(
      `insert into notifications (at, kind, node_id, message, details)
       select ?1, 'node_online', id, name || ' is online again', json_object('name', name)
       from nodes where id = ?2 and status = 'offline'`,
    )
    .bind(now(), nodeId);
}
