import type { Deps } from "../deps.ts";
import type { Sign } from "../doorbell/bell.ts";

/**
 * Brings the database up to what the Doorbell knows of sockets. Nothing is asked of the database when nobody came or
 * went. Who went counts as polling from its last sign of life on, so that it goes offline like any other silent node.
 */
export async function syncPresence(deps: Deps): Promise<void> {
  const census = (await deps.bell.census()).filter(({ version }) => version !== null);
  if (census.length === 0) return;
  // First who went, then who came: a node that moved to another shard is told by both.
  await deps.db.batch([
    goneStatement(
      deps,
      census.flatMap(({ gone }) => gone),
    ),
    ...arrivedStatements(
      deps,
      census.flatMap(({ arrived }) => arrived),
    ),
  ]);
  await Promise.all(census.map((shard) => deps.bell.acknowledge(shard)));
}

const signs = "(select value ->> 'id' as id, value ->> 'lastSeen' as at from json_each(?1)) as sign";

function goneStatement({ db }: Deps, gone: Sign[]): D1PreparedStatement {
  return db
    .prepare(
      `update nodes set connection = 'poll', last_seen = max(coalesce(last_seen, 0), sign.at) from ${signs}
       where nodes.id = sign.id and nodes.connection = 'socket'`,
    )
    .bind(JSON.stringify(gone));
}

function arrivedStatements({ db, now }: Deps, arrived: Sign[]): D1PreparedStatement[] {
  if (arrived.length === 0) return [];
  const list = JSON.stringify(arrived);
  return [
    db
      .prepare(
        `insert into notifications (at, kind, node_id, message, details)
         select ?2, 'node_online', nodes.id, name || ' is online again', json_object('name', name)
         from ${signs}
         join nodes on nodes.id = sign.id where status = 'offline'`,
      )
      .bind(list, now()),
    db
      .prepare(
        `update nodes set connection = 'socket', status = 'online', last_seen = max(coalesce(last_seen, 0), sign.at)
         from ${signs} where nodes.id = sign.id and (connection <> 'socket' or status <> 'online')`,
      )
      .bind(list),
  ];
}
