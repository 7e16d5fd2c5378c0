import { hexText, type MysqlServer, type MysqlSession, openMysql, quoteMysqlName } from "./mysql-session.ts";
import { ProgramFailed } from "./program.ts";
import { unfinishedName } from "./restore-mark.ts";
import type { Access } from "./source.ts";

/** A database that a restore is loading, or was when it was killed, and the table that says so. */
export type Unfinished = { database: string; table: string };

export async function listUnfinished(session: MysqlSession): Promise<Unfinished[]> {
  const rows = await session.query(`
    select hex(convert(table_schema using utf8mb4)), hex(convert(table_name using utf8mb4))
    from information_schema.tables where table_name like '${unfinishedName("%")}';`);
  return rows.map(([database = "", table = ""]) => ({
    database: Buffer.from(database, "hex").toString(),
    table: Buffer.from(table, "hex").toString(),
  }));
}

/**
 * Makes an empty database that is marked as unfinished, instead of the one that exists. In one go: one that is made and
 * not marked yet would stay if this were killed.
 */
export async function startUnfinished(
  session: MysqlSession,
  database: string,
  { mark, exists }: { mark: string; exists: boolean },
): Promise<void> {
  const name = quoteMysqlName(database);
  const lines = [
    exists ? `drop database ${name};` : "",
    `create database ${name};`,
    `create table ${tableOf(database, mark)} (id int primary key);`,
  ];
  try {
    await session.query(lines.join("\n"));
  } catch (error) {
    // Only then it has been made by this, and not by somebody else meanwhile.
    const isMade = error instanceof ProgramFailed && error.message.includes(` at line ${lines.length}: `);
    if (isMade) await session.query(`drop database ${name};`);
    throw error;
  }
}

/** Says that the database is whole. */
export const endUnfinished = (session: MysqlSession, database: string, mark: string): Promise<unknown> =>
  session.query(`drop table ${tableOf(database, mark)};`);

const tableOf = (database: string, mark: string): string =>
  `${quoteMysqlName(database)}.${quoteMysqlName(unfinishedName(mark))}`;

/** Removes what the restore with this mark was loading when it was killed; the answer is what it was called. */
export async function dropUnfinishedMysql(
  server: MysqlServer,
  mark: string,
  access: Access,
): Promise<string[]> {
  const session = await openMysql(server, access);
  try {
    const left = (await listUnfinished(session)).filter(({ table }) => table === unfinishedName(mark));
    for (const { database } of left) await dropMysql(session, database);
    return left.map(({ database }) => database);
  } finally {
    await session.close();
  }
}

/** Removes a database that a client of ours may still be at work in: what that had sent last holds its tables. */
export async function dropMysql(session: MysqlSession, database: string): Promise<void> {
  const running = await session.query(
    `select id from information_schema.processlist where db = ${hexText(database)} and user = substring_index(user(), '@', 1);`,
  );
  for (const [id] of running) await session.query(`kill ${Number(id)};`).catch(() => {});
  await session.query(`drop database if exists ${quoteMysqlName(database)};`);
}
