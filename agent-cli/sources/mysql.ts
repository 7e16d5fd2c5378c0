import type { SourceSpec } from "../pipeline/pipeline.ts";
import { aboutDatabase } from "./about-database.ts";
import { choose, previewOf } from "./choose-databases.ts";
import { closeAfter } from "./close-after.ts";
import { DumpArchive, memberOf } from "./dump-archive.ts";
import { hexText, listMysql, type MysqlDatabase, type MysqlSession, openMysql } from "./mysql-session.ts";
import { outputOf, ProgramFailed, textOf } from "./program.ts";
import { restoreMysql } from "./restore-mysql.ts";
import { newTally, type Source, type SourceContext, type Tally } from "./source.ts";
import { endsAsDump } from "./sql-dump-end.ts";
import { dropUnfinishedMysql, listUnfinished, type Unfinished } from "./unfinished-mysql.ts";

type MysqlSpec = Extract<SourceSpec, { type: "mysql" }>;

/**
 * The databases of a MySQL or MariaDB server as SQL, each consistent in itself while others write. One that is named is
 * its plain dump; several, or all, are an archive of dumps. No dump names its database, so it can be loaded into any.
 */
export const mysqlSource: Source<MysqlSpec> = {
  extension: (spec) => (isPlain(spec) ? "sql" : "tar"),

  async open(spec, context) {
    const session = await openMysql(spec, context);
    try {
      const databases = await wanted(session, spec);
      if (spec.singleTransaction) await warnOfTables(session, databases, context);
      const tally = newTally();
      const unfinished = await listUnfinished(session);
      warnOfUnfinished(unfinished, databases, context);
      const dumps = new Dumps(session, spec, tally, unfinished);
      const bytes = isPlain(spec) ? dumps.plain(databases) : dumps.archive(databases, context);
      return { bytes: closeAfter(bytes, session), tally };
    } catch (error) {
      await session.close();
      throw error;
    }
  },

  async preview(spec, access) {
    const session = await openMysql(spec, access);
    try {
      const found = await listMysql(session);
      const chosen = choose(spec, found);
      return previewOf(chosen, found, spec);
    } finally {
      await session.close();
    }
  },

  async discover(server, access) {
    const session = await openMysql(server, access);
    try {
      return (await listMysql(session)).map(({ name, sizeBytes }) => ({ name, sizeBytes }));
    } finally {
      await session.close();
    }
  },

  restore: restoreMysql,
  dropUnfinished: dropUnfinishedMysql,
};

const isPlain = ({ databases }: MysqlSpec): boolean => new Set(databases).size === 1;

async function wanted(session: MysqlSession, spec: MysqlSpec): Promise<MysqlDatabase[]> {
  const found = await listMysql(session);
  const names = choose(spec, found);
  return names.flatMap((name) => found.find((database) => database.name === name) ?? []);
}

/** A transaction gives one view of those tables only whose engine knows transactions. */
async function warnOfTables(session: MysqlSession, databases: MysqlDatabase[], { warnings }: SourceContext) {
  const rows = await session.query(`
    select hex(convert(table_schema using utf8mb4)), hex(convert(table_name using utf8mb4)), engine
    from information_schema.tables t join information_schema.engines e using (engine)
    where t.table_type = 'BASE TABLE' and e.transactions <> 'YES'
      and table_schema in (${databases.map(({ name }) => hexText(name)).join(", ")});`);
  for (const [schema = "", table = "", engine] of rows) {
    const name = `${Buffer.from(schema, "hex")}.${Buffer.from(table, "hex")}`;
    warnings.add(
      name,
      `its engine ${engine} knows no transactions: what was written meanwhile may be in it by halves`,
    );
  }
}

function warnOfUnfinished(unfinished: Unfinished[], databases: MysqlDatabase[], { warnings }: SourceContext) {
  for (const { database } of unfinished) {
    if (!databases.some(({ name }) => name === database)) continue;
    warnings.add(database, "it is half restored: the restore that loads it still runs, or was killed");
  }
}

class Dumps {
  readonly #session: MysqlSession;
  readonly #spec: MysqlSpec;
  readonly #tally: Tally;
  readonly #unfinished: readonly Unfinished[];

  constructor(session: MysqlSession, spec: MysqlSpec, tally: Tally, unfinished: readonly Unfinished[]) {
    this.#session = session;
    this.#spec = spec;
    this.#tally = tally;
    this.#unfinished = unfinished;
  }

  async *plain(databases: MysqlDatabase[]): AsyncGenerator<Buffer> {
    for (const database of databases) yield* this.#dump(database);
  }

  async *archive(databases: MysqlDatabase[], context: SourceContext): AsyncGenerator<Buffer> {
    const archive = new DumpArchive(context.slabs);
    const users = this.#spec.databases.length === 0 ? await this.#users(context) : null;
    if (users !== null) yield* archive.addSmall("users.sql", Buffer.from(users));
    for (const database of databases)
      yield* archive.add(memberOf(database.name, "sql"), this.#dump(database));
    yield* archive.finish();
  }

  async *#dump(database: MysqlDatabase): AsyncGenerator<Buffer> {
    this.#tally.currentPath = database.name;
    yield preamble(database);
    const dump = outputOf(this.#session.dump([...this.#options(database.name), "--", database.name]));
    for await (const chunk of endsAsDump(
      aboutDatabase(dump, database.name, hintAbout(database.name)),
      database.name,
    )) {
      this.#tally.sourceBytes += chunk.length;
      yield chunk;
    }
    this.#tally.entries += 1;
  }

  #options(database: string): string[] {
    const { singleTransaction, excludeTables } = this.#spec;
    const oracleOnly = [
      // Would make a dump that only a server with the same history takes.
      "--set-gtid-purged=OFF",
      // Asks servers of other makes for a table that they do not have.
      "--column-statistics=0",
    ];
    return [
      ...(singleTransaction ? ["--single-transaction"] : ["--lock-tables"]),
      "--quick",
      "--routines",
      "--triggers",
      "--events",
      "--hex-blob",
      "--no-tablespaces",
      ...excludeTables
        .filter((table) => table.startsWith(`${database}.`))
        .map((table) => `--ignore-table=${table}`),
      // What a restore has marked with it would be marked for ever in what is restored from this.
      ...this.#unfinished
        .filter((one) => one.database === database)
        .map(({ table }) => `--ignore-table=${database}.${table}`),
      ...(this.#session.flavour === "mysql" ? oracleOnly : []),
    ];
  }

  /** Accounts and rights, which MariaDB's program alone can tell, of a user that may read them. */
  async #users({ warnings }: SourceContext): Promise<string | null> {
    if (this.#session.flavour !== "mariadb") return null;
    try {
      return await textOf(this.#session.dump(["--system=users"]));
    } catch (error) {
      if (!(error instanceof ProgramFailed)) throw error;
      warnings.add("users", `accounts and rights are not stored: ${error.message}`);
      return null;
    }
  }
}

/** What dumps do not say of a database without naming it: the character set of tables to come. */
function preamble({ name, charset, collation }: MysqlDatabase): Buffer {
  const title = name.replace(/[\r\n]/g, " ");
  return Buffer.from(
    `-- The database ${title}\nALTER DATABASE CHARACTER SET ${charset} COLLATE ${collation};\n`,
  );
}

/** The program looks for the events' database under the name as it would be escaped inside of a string. */
const hintAbout = (database: string) => (message: string) =>
  /when selecting the database/.test(message) && /['"\\]/.test(database)
    ? " (the program cannot dump the events of a database with a quote or a backslash in its name)"
    : "";
