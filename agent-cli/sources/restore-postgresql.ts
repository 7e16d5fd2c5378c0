import { createHash, randomBytes } from "node:crypto";
import { type FileHandle, open, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { SourceSpec } from "../pipeline/pipeline.ts";
import { type DumpMember, type DumpSink, readDumps } from "./dump-archive.ts";
import { isAskedFor, type PlannedDatabase, planDatabases } from "./plan-databases.ts";
import {
  listPostgresql,
  openPostgresql,
  type PostgresqlSession,
  quoteName,
  quoteText,
} from "./postgresql-session.ts";
import { isFull } from "./private-file.ts";
import { type Consumer, ProgramFailed, startConsumer, textOf } from "./program.ts";
import type { Access, DumpRestore, SourceRestore } from "./source.ts";
import { sqlStatements } from "./sql-statements.ts";

type PostgresqlSpec = Extract<SourceSpec, { type: "postgresql" }>;

const MiB = 1024 * 1024;
/** How much of a dump is kept to find its table of contents, which is all in front: more only when less was not enough. */
const headSteps = [MiB, 16 * MiB, 256 * MiB];
const cleanUpMs = 20_000;

/**
 * Puts dumps back into a server. Each is loaded into a new database with a name of its own that takes the final one only
 * when everything was loaded: a restore that fails leaves no half database, and what it was to replace untouched.
 */
export async function restorePostgresql(
  restore: SourceRestore<PostgresqlSpec>,
  access: Access,
): Promise<DumpRestore> {
  const session = await openPostgresql(restore.source, access);
  return new PostgresqlRestore(restore, access, session);
}

class PostgresqlRestore implements DumpRestore {
  readonly #restore: SourceRestore<PostgresqlSpec>;
  readonly #access: Access;
  readonly #session: PostgresqlSession;
  readonly #checked = new Map<string, string[]>();
  #plan: PlannedDatabase[] = [];

  constructor(restore: SourceRestore<PostgresqlSpec>, access: Access, session: PostgresqlSession) {
    this.#restore = restore;
    this.#access = access;
    this.#session = session;
  }

  async check(bytes: AsyncIterable<Uint8Array>): Promise<void> {
    const { options, conflict, report } = this.#restore;
    const held: string[] = [];
    await this.#read(bytes, async (member) => {
      if (member.kind === "other") return null;
      held.push(member.database);
      return isAskedFor(options, member.database) ? await this.#checkSink(member.database) : null;
    });
    const existing = (await listPostgresql(this.#session)).map(({ name }) => name);
    this.#plan = planDatabases(held, options, conflict, { existing, unfinished: [] });
    const kept = held.length - this.#plan.length;
    if (conflict === "keep" && kept > 0) report.log("info", `${kept} databases are kept as they are`);
  }

  async load(bytes: AsyncIterable<Uint8Array>): Promise<{ entries: number; bytes: number }> {
    const { tally, options } = this.#restore;
    await this.#read(bytes, async (member) => {
      if (member.kind === "other") {
        return options.roles && member.name === "globals.sql" ? new RolesSink(this.#session) : null;
      }
      const planned = this.#plan.find(({ from }) => from === member.database);
      return planned ? await this.#loadSink(planned) : null;
    });
    return { entries: tally.entries, bytes: tally.sourceBytes };
  }

  close(): Promise<void> {
    return this.#session.close();
  }

  #read(
    bytes: AsyncIterable<Uint8Array>,
    open: (member: DumpMember) => Promise<DumpSink | null>,
  ): Promise<void> {
    const { databases, globals } = this.#restore.source;
    const [only, ...others] = new Set(databases);
    const isPlain = only !== undefined && others.length === 0 && !globals;
    return readDumps(bytes, { suffix: "dump", only: isPlain ? only : null, open });
  }

  async #checkSink(database: string): Promise<DumpSink> {
    const head = new DumpHead(this.#access.workDir, (file) => this.#databaseStatements(file));
    // Reads all of it, with the database's data, and writes nothing.
    const parser = startConsumer(this.#session.run("pg_restore", ["--file=/dev/null"]));
    return {
      write: async (bytes) => {
        await Promise.all([parser.write(bytes), head.write(bytes)]);
      },
      end: async () => {
        await parser.end();
        this.#checked.set(database, await head.end());
        await head.remove();
      },
      stop: async () => {
        await parser.stop();
        await head.remove();
      },
    };
  }

  /** What a dump says about its database as a whole: how it was made, its owner, settings and rights. */
  async #databaseStatements(file: string): Promise<string[]> {
    const list = `${file}.list`;
    try {
      const contents = await textOf(this.#session.run("pg_restore", ["--create", "--list", file]));
      await writeFile(
        list,
        contents
          .split("\n")
          .filter((line) => aboutDatabase.test(line))
          .join("\n"),
      );
      const args = ["--create", `--use-list=${list}`, "--file=-", ...this.#without(), file];
      return sqlStatements(await textOf(this.#session.run("pg_restore", args))).filter((sql) =>
        databaseName.test(sql),
      );
    } finally {
      await rm(list, { force: true });
    }
  }

  #without(): string[] {
    return this.#restore.options.owners ? [] : ["--no-owner", "--no-privileges"];
  }

  async #loadSink({ from, to, exists }: PlannedDatabase): Promise<DumpSink> {
    const { tally, report, mark } = this.#restore;
    const temporary = `${temporaryBeginning(to)}-${mark}`;
    const statements = (this.#checked.get(from) ?? []).map((sql) =>
      sql.replace(databaseName, `$1${quoteName(temporary)}`),
    );
    const [create = `CREATE DATABASE ${quoteName(temporary)} TEMPLATE template0`, ...after] = statements;
    tally.currentPath = to;
    let loader: Consumer | null = null;
    const stop = async () => {
      await loader?.stop();
      await this.#drop(temporary);
    };
    try {
      await dropBeginningWith(this.#session, temporaryBeginning(to));
      await this.#session.query(`${create};`);
      const args = ["--exit-on-error", "--no-password", ...this.#without()];
      loader = startConsumer(this.#session.run("pg_restore", args, temporary));
    } catch (error) {
      await stop();
      throw this.#explain(error, to);
    }
    const running = loader;
    return {
      write: async (bytes) => {
        await running.write(bytes).catch((error) => Promise.reject(this.#explain(error, to)));
        tally.sourceBytes += bytes.length;
      },
      end: async () => {
        try {
          await running.end();
          await this.#session.query(after.map((sql) => `${sql};`).join("\n"));
          await this.#takePlace(temporary, to, exists);
        } catch (error) {
          throw this.#explain(error, to);
        }
        tally.entries += 1;
        report.log("info", `database ${to} is restored`);
      },
      stop,
    };
  }

  async #takePlace(temporary: string, to: string, exists: boolean): Promise<void> {
    const { maintenanceDatabase } = this.#session;
    const from = to === maintenanceDatabase ? "template1" : maintenanceDatabase;
    // In one go: between the two there is neither.
    const drop = exists ? `${await dropStatement(this.#session, to)} ` : "";
    await this.#session.query(
      `${drop}alter database ${quoteName(temporary)} rename to ${quoteName(to)};`,
      from,
    );
  }

  /** Also after a cancellation, so with a time of its own. Never rejects: the failure before it is the one to tell. */
  async #drop(database: string): Promise<void> {
    const signal = AbortSignal.timeout(cleanUpMs);
    try {
      const session = await openPostgresql(this.#restore.source, { ...this.#access, signal });
      try {
        await session.query(await dropStatement(session, database));
      } finally {
        await session.close();
      }
    } catch {
      this.#restore.report.log(
        "warn",
        `the half restored database ${database} could not be removed from the server`,
      );
    }
  }

  #explain(error: unknown, database: string): unknown {
    if (!(error instanceof ProgramFailed)) return error;
    const hint = /role .* does not exist/.test(error.message)
      ? " (restore the roles too, or restore without owners)"
      : "";
    return new Error(`database ${database}: ${error.message}${hint}`, { cause: error });
  }
}

/** Removes what the restore with this mark was loading when it was killed; the answer is what it was called. */
export async function dropUnfinishedPostgresql(
  server: PostgresqlSpec,
  mark: string,
  access: Access,
): Promise<string[]> {
  const session = await openPostgresql(server, access);
  try {
    return await dropWhere(
      session,
      `datname like ${quoteText(`${temporaryNames}%`)} and datname like ${quoteText(`%-${mark}`)}`,
    );
  } finally {
    await session.close();
  }
}

const temporaryNames = "backupx-restore-";

/** The same for the same database, so that the next restore of it removes what one that was killed has left. */
const temporaryBeginning = (database: string): string =>
  `${temporaryNames}${createHash("sha256").update(database).digest("hex").slice(0, 12)}`;

const dropBeginningWith = (session: PostgresqlSession, beginning: string): Promise<string[]> =>
  dropWhere(session, `datname like ${quoteText(`${beginning}%`)}`);

async function dropWhere(session: PostgresqlSession, condition: string): Promise<string[]> {
  const rows = await session.query(`select to_json(datname) from pg_database where ${condition};`);
  const found = rows.map((row) => String(JSON.parse(row)));
  for (const name of found) await session.query(await dropStatement(session, name));
  return found;
}

/** Whoever is connected is thrown out, as far as the server can do that. */
async function dropStatement(session: PostgresqlSession, database: string): Promise<string> {
  const [version = ""] = await session.query("show server_version_num;");
  return `drop database if exists ${quoteName(database)}${Number(version) >= 130_000 ? " with (force)" : ""};`;
}

/** Lines of a table of contents that are about the database as a whole. */
const aboutDatabase = /^\d+; \d+ \d+ (DATABASE|DATABASE PROPERTIES|(ACL|COMMENT|SECURITY LABEL) - DATABASE) /;

/** Where a statement about a database has that database's name. */
const databaseName =
  /^((?:CREATE|ALTER) DATABASE |ALTER ROLE (?:"(?:[^"]|"")+"|\S+) IN DATABASE |(?:COMMENT|SECURITY LABEL\b.*?) ON DATABASE |(?:GRANT|REVOKE)\b.*? ON DATABASE )("(?:[^"]|"")+"|[^\s";]+)/s;

/** Keeps the beginning of a dump in a file until its table of contents can be read from that. */
class DumpHead {
  readonly #path: string;
  readonly #read: (file: string) => Promise<string[]>;
  readonly #steps = [...headSteps];
  #file: FileHandle | null = null;
  #bytes = 0;
  #found: string[] | null = null;

  constructor(workDir: string, read: (file: string) => Promise<string[]>) {
    this.#path = join(workDir, `head-${randomBytes(9).toString("hex")}`);
    this.#read = read;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#found) return;
    try {
      this.#file ??= await open(this.#path, "wx", 0o600);
      await this.#file.writeFile(bytes);
    } catch (error) {
      if (!isFull(error)) throw error;
      throw new Error("no space left in the work directory for the beginning of a dump", { cause: error });
    }
    this.#bytes += bytes.length;
    const [step = Number.POSITIVE_INFINITY] = this.#steps;
    if (this.#bytes < step) return;
    this.#steps.shift();
    this.#found = await this.#read(this.#path).catch((error) => {
      if (this.#steps.length > 0) return null;
      throw error;
    });
    if (this.#found) await this.remove();
  }

  async end(): Promise<string[]> {
    return this.#found ?? (await this.#read(this.#path));
  }

  async remove(): Promise<void> {
    await this.#file?.close();
    this.#file = null;
    await rm(this.#path, { force: true });
  }
}

/** Makes the roles of the old server that this one does not have. Those that it has stay as they are. */
class RolesSink implements DumpSink {
  readonly #session: PostgresqlSession;
  readonly #pieces: Buffer[] = [];

  constructor(session: PostgresqlSession) {
    this.#session = session;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#pieces.push(Buffer.from(bytes));
  }

  async end(): Promise<void> {
    const rows = await this.#session.query("select to_json(rolname) from pg_roles;");
    const existing = new Set(rows.map((row) => String(JSON.parse(row))));
    const isNew = (name: string | undefined) => name !== undefined && !existing.has(unquote(name));
    const statements = sqlStatements(Buffer.concat(this.#pieces).toString()).filter((sql) => {
      const [, role] = /^(?:CREATE|ALTER) ROLE ("(?:[^"]|"")+"|\S+)/.exec(sql) ?? [];
      const [, member] = /^GRANT (?:"(?:[^"]|"")+"|[^\s"]+) TO ("(?:[^"]|"")+"|[^\s"]+)/.exec(sql) ?? [];
      return !/ IN DATABASE /.test(sql) && (isNew(role) || isNew(member));
    });
    await this.#session.query(["begin", ...statements, "commit"].map((sql) => `${sql};\n`).join(""));
  }

  async stop(): Promise<void> {}
}

const unquote = (name: string): string =>
  name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name;
