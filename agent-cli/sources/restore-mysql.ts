import { DamagedArtifact } from "../pipeline/damaged.ts";
import type { SourceSpec } from "../pipeline/pipeline.ts";
import { type DumpMember, type DumpSink, readDumps } from "./dump-archive.ts";
import { listMysql, type MysqlSession, openMysql } from "./mysql-session.ts";
import { isAskedFor, type PlannedDatabase, planDatabases } from "./plan-databases.ts";
import { ProgramFailed, startConsumer } from "./program.ts";
import type { Access, DumpRestore, SourceRestore } from "./source.ts";
import { DumpEnd } from "./sql-dump-end.ts";
import { dropMysql, endUnfinished, listUnfinished, startUnfinished } from "./unfinished-mysql.ts";

type MysqlSpec = Extract<SourceSpec, { type: "mysql" }>;

const cleanUpMs = 20_000;

/**
 * Puts dumps back into a server. A database cannot be renamed there, so each is loaded in its place: one that is to be
 * replaced is dropped first, and one that could not be loaded whole is dropped again. Until it is whole it is marked, so
 * that nobody takes it for a good one should this be killed.
 */
export async function restoreMysql(restore: SourceRestore<MysqlSpec>, access: Access): Promise<DumpRestore> {
  return new MysqlRestore(restore, access, await openMysql(restore.source, access));
}

class MysqlRestore implements DumpRestore {
  readonly #restore: SourceRestore<MysqlSpec>;
  readonly #access: Access;
  readonly #session: MysqlSession;
  #plan: PlannedDatabase[] = [];

  constructor(restore: SourceRestore<MysqlSpec>, access: Access, session: MysqlSession) {
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
      return isAskedFor(options, member.database) ? checkSink(member.database) : null;
    });
    const existing = (await listMysql(this.#session)).map(({ name }) => name);
    const unfinished = (await listUnfinished(this.#session)).map(({ database }) => database);
    this.#plan = planDatabases(held, options, conflict, { existing, unfinished });
    const kept = held.length - this.#plan.length;
    if (conflict === "keep" && kept > 0) report.log("info", `${kept} databases are kept as they are`);
  }

  async load(bytes: AsyncIterable<Uint8Array>): Promise<{ entries: number; bytes: number }> {
    const { tally } = this.#restore;
    await this.#read(bytes, async (member) => {
      const planned = this.#plan.find(({ from }) => member.kind === "dump" && from === member.database);
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
    const [only, ...others] = new Set(this.#restore.source.databases);
    return readDumps(bytes, {
      suffix: "sql",
      only: only !== undefined && others.length === 0 ? only : null,
      open,
    });
  }

  async #loadSink({ to, exists }: PlannedDatabase): Promise<DumpSink> {
    const { tally, report, mark } = this.#restore;
    tally.currentPath = to;
    await startUnfinished(this.#session, to, { mark, exists }).catch((error) =>
      Promise.reject(explained(error, to)),
    );
    const client = startConsumer(this.#session.client([`--database=${to}`]));
    let isComplete = false;
    const explain = (error: unknown) => Promise.reject(explained(error, to));
    return {
      write: async (bytes) => {
        await client.write(bytes).catch(explain);
        tally.sourceBytes += bytes.length;
      },
      end: async () => {
        await client.end().catch(explain);
        await endUnfinished(this.#session, to, mark);
        isComplete = true;
        tally.entries += 1;
        report.log("info", `database ${to} is restored`);
      },
      stop: async () => {
        await client.stop();
        if (!isComplete) await this.#drop(to);
      },
    };
  }

  /** Also after a cancellation, so with a time of its own. Never rejects: the failure before it is the one to tell. */
  async #drop(database: string): Promise<void> {
    try {
      const signal = AbortSignal.timeout(cleanUpMs);
      const session = await openMysql(this.#restore.source, { ...this.#access, signal });
      try {
        await dropMysql(session, database);
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
}

function checkSink(database: string): DumpSink {
  const end = new DumpEnd();
  return {
    write: async (bytes) => end.add(bytes),
    end: async () => {
      if (!end.isComplete)
        throw new DamagedArtifact(`the dump of database ${database} is cut off before its end`);
    },
    stop: async () => {},
  };
}

function explained(error: unknown, database: string): unknown {
  if (!(error instanceof ProgramFailed)) return error;
  return new Error(`database ${database}: ${error.message}`, { cause: error });
}
