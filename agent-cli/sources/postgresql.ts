import type { SourceSpec } from "../pipeline/pipeline.ts";
import { aboutDatabase } from "./about-database.ts";
import { choose, previewOf } from "./choose-databases.ts";
import { closeAfter } from "./close-after.ts";
import { DumpArchive, memberOf } from "./dump-archive.ts";
import {
  listPostgresql,
  openPostgresql,
  type PostgresqlSession,
  requireNewEnough,
} from "./postgresql-session.ts";
import { checkedBy, outputOf, ProgramFailed, textOf } from "./program.ts";
import { dropUnfinishedPostgresql, restorePostgresql } from "./restore-postgresql.ts";
import { newTally, type Source, type SourceContext, type Tally } from "./source.ts";

type PostgresqlSpec = Extract<SourceSpec, { type: "postgresql" }>;

/** How long a dump waits for a table that somebody has locked, for example to alter it. */
const lockWaitMs = 600_000;

/**
 * The databases of a PostgreSQL server, each as pg_dump's custom format: consistent in itself while others write. Each
 * dump is read through by pg_restore while it is made. One database without the server's globals is that dump alone;
 * anything else is an archive of dumps, with the globals (roles and tablespaces) in front.
 */
export const postgresqlSource: Source<PostgresqlSpec> = {
  extension: (spec) => (isPlain(spec) ? "dump" : "tar"),

  async open(spec, context) {
    const session = await openPostgresql(spec, context);
    try {
      await requireNewEnough(session);
      const databases = await wanted(session, spec);
      const tally = newTally();
      const dumps = new Dumps(session, spec, tally);
      const bytes = isPlain(spec) ? dumps.plain(databases) : dumps.archive(databases, context);
      return { bytes: closeAfter(bytes, session), tally };
    } catch (error) {
      await session.close();
      throw error;
    }
  },

  async preview(spec, access) {
    const session = await openPostgresql(spec, access);
    try {
      await requireNewEnough(session);
      const found = await listPostgresql(session);
      const preview = previewOf(await wanted(session, spec, found), found, spec);
      const closed = found.filter(
        ({ name, allowed }) => !allowed && preview.first.some(({ path }) => path === name),
      );
      preview.unreadable = {
        count: closed.length,
        first: closed.map(({ name }) => ({ path: name, reason: "this user may not connect to it" })),
      };
      return preview;
    } finally {
      await session.close();
    }
  },

  async discover(server, access) {
    const session = await openPostgresql(server, access);
    try {
      return (await listPostgresql(session)).map(({ name, sizeBytes }) => ({ name, sizeBytes }));
    } finally {
      await session.close();
    }
  },

  restore: restorePostgresql,
  dropUnfinished: dropUnfinishedPostgresql,
};

const isPlain = ({ databases, globals }: PostgresqlSpec): boolean =>
  new Set(databases).size === 1 && !globals;

/** Of all databases, the one that every server is made with counts only once something was put into it. */
async function wanted(
  session: PostgresqlSession,
  spec: PostgresqlSpec,
  found?: { name: string }[],
): Promise<string[]> {
  const databases = choose(spec, found ?? (await listPostgresql(session)));
  const isUnused =
    spec.databases.length === 0 && databases.includes("postgres") && (await isEmpty(session, "postgres"));
  return isUnused ? databases.filter((name) => name !== "postgres") : databases;
}

async function isEmpty(session: PostgresqlSession, database: string): Promise<boolean> {
  const rows = await session.query(
    `select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
     union all select 1 from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
     union all select 1 from pg_largeobject_metadata limit 1;`,
    database,
  );
  return rows.length === 0;
}

class Dumps {
  readonly #session: PostgresqlSession;
  readonly #spec: PostgresqlSpec;
  readonly #tally: Tally;

  constructor(session: PostgresqlSession, spec: PostgresqlSpec, tally: Tally) {
    this.#session = session;
    this.#spec = spec;
    this.#tally = tally;
  }

  async *plain(databases: string[]): AsyncGenerator<Buffer> {
    for (const database of databases) yield* this.#dump(database);
  }

  async *archive(databases: string[], context: SourceContext): AsyncGenerator<Buffer> {
    const archive = new DumpArchive(context.slabs);
    if (this.#spec.globals) {
      this.#tally.currentPath = "globals";
      const globals = Buffer.from(await this.#globals(context));
      this.#tally.sourceBytes += globals.length;
      yield* archive.addSmall("globals.sql", globals);
    }
    for (const database of databases) yield* archive.add(memberOf(database, "dump"), this.#dump(database));
    yield* archive.finish();
  }

  async *#dump(database: string): AsyncGenerator<Buffer> {
    this.#tally.currentPath = database;
    const { excludeTables, excludeTableData } = this.#spec;
    const args = [
      "--format=custom",
      // Compressed once, with what is around it, and better.
      "--compress=0",
      "--no-password",
      `--lock-wait-timeout=${lockWaitMs}`,
      ...excludeTables.map((pattern) => `--exclude-table=${pattern}`),
      ...excludeTableData.map((pattern) => `--exclude-table-data=${pattern}`),
    ];
    const dump = outputOf(this.#session.run("pg_dump", args, database));
    const parse = this.#session.run("pg_restore", ["--file=/dev/null"]);
    for await (const chunk of aboutDatabase(checkedBy(dump, parse), database)) {
      this.#tally.sourceBytes += chunk.length;
      yield chunk;
    }
    this.#tally.entries += 1;
  }

  /** Roles with their passwords where this user may read them, which mostly only a superuser may. */
  async #globals({ warnings }: SourceContext): Promise<string> {
    const { maintenanceDatabase } = this.#session;
    const args = ["--globals-only", "--no-password"];
    try {
      return complete(await textOf(this.#session.run("pg_dumpall", args, maintenanceDatabase)));
    } catch (error) {
      if (!(error instanceof ProgramFailed) || !/permission denied|must be superuser/.test(error.message))
        throw error;
      warnings.add("globals", "roles are stored without their passwords, which this user may not read");
      const without = [...args, "--no-role-passwords"];
      return complete(await textOf(this.#session.run("pg_dumpall", without, maintenanceDatabase)));
    }
  }
}

/** A text dump says that it is complete; since 2025 another line follows that. */
function complete(globals: string): string {
  if (globals.slice(-512).includes("-- PostgreSQL database cluster dump complete")) return globals;
  throw new Error("pg_dumpall stopped before the end of the globals");
}
