import { type MysqlServer, openMysql } from "./mysql-session.ts";
import { openPostgresql, type PostgresqlServer } from "./postgresql-session.ts";
import type { Access } from "./source.ts";

/** Rows of each table of a server's databases, by `database.schema.table` or `database.table`. */
export type RowCounts = Map<string, number>;

type Asking = Pick<Access, "secrets" | "workDir" | "signal">;

const ownSchemas = "('pg_catalog', 'information_schema')";

/** Of every table of these databases, partitions for themselves. */
export async function countPostgresql(
  server: PostgresqlServer,
  databases: readonly string[],
  access: Asking,
): Promise<RowCounts> {
  const session = await openPostgresql(server, access);
  const counts: RowCounts = new Map();
  try {
    for (const database of databases) {
      const statements = await session.query(
        `select format('select json_build_array(%L, %L, (select count(*) from only %I.%I));',
           schemaname, tablename, schemaname, tablename)
         from pg_tables where schemaname not in ${ownSchemas} order by 1;`,
        database,
      );
      if (statements.length === 0) continue;
      for (const row of await session.query(statements.join("\n"), database)) {
        const [schema, table, count] = JSON.parse(row);
        counts.set(`${database}.${schema}.${table}`, Number(count));
      }
    }
    return counts;
  } finally {
    await session.close();
  }
}

/** Of every base table of these databases that has rows of its own, which those that stand for others have not. */
export async function countMysql(
  server: MysqlServer,
  databases: readonly string[],
  access: Asking,
): Promise<RowCounts> {
  const session = await openMysql(server, access);
  const counts: RowCounts = new Map();
  const wanted = new Set(databases);
  try {
    const tables = await session.query(
      `select hex(convert(table_schema using utf8mb4)), hex(convert(table_name using utf8mb4))
       from information_schema.tables where table_type = 'BASE TABLE'
         and coalesce(engine, '') not in ('MRG_MyISAM', 'FEDERATED', 'CONNECT', 'SPIDER') order by 1, 2;`,
    );
    for (const row of tables) {
      const [database = "", table = ""] = row.map((name) => Buffer.from(name, "hex").toString());
      if (!wanted.has(database)) continue;
      const [[count] = []] = await session.query(
        `select count(*) from ${quoted(database)}.${quoted(table)};`,
      );
      counts.set(`${database}.${table}`, Number(count));
    }
    return counts;
  } finally {
    await session.close();
  }
}

const quoted = (name: string): string => `\`${name.replaceAll("`", "``")}\``;
