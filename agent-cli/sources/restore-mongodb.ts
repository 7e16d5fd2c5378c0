import type { SourceSpec } from "../pipeline/pipeline.ts";
import { type DumpMember, type DumpSink, readDumps } from "./dump-archive.ts";
import { isOwnDatabase, type MongodbSession, openMongodb } from "./mongodb-session.ts";
import { type PlannedDatabase, planDatabases } from "./plan-databases.ts";
import { startConsumer } from "./program.ts";
import { readMongoArchive } from "./read-mongodb-archive.ts";
import { unfinishedName } from "./restore-mark.ts";
import type { Access, DumpRestore, SourceRestore } from "./source.ts";

type MongodbSpec = Extract<SourceSpec, { type: "mongodb" }>;

const cleanUpMs = 20_000;

/**
 * Puts archives of mongodump back. Databases that were not there before and could not be restored whole are dropped
 * again, and are marked until they are whole. Of those that are replaced, each collection that the backup holds is
 * dropped first.
 */
export async function restoreMongodb(
  restore: SourceRestore<MongodbSpec>,
  access: Access,
): Promise<DumpRestore> {
  return new MongodbRestore(restore, access, await openMongodb(restore.source, access));
}

class MongodbRestore implements DumpRestore {
  readonly #restore: SourceRestore<MongodbSpec>;
  readonly #access: Access;
  readonly #session: MongodbSession;
  #plan: PlannedDatabase[] = [];
  /** What another restore has left by halves. */
  #unfinished: string[] = [];

  constructor(restore: SourceRestore<MongodbSpec>, access: Access, session: MongodbSession) {
    this.#restore = restore;
    this.#access = access;
    this.#session = session;
  }

  async check(bytes: AsyncIterable<Uint8Array>): Promise<void> {
    const { options, conflict } = this.#restore;
    const held = new Set<string>();
    await this.#read(bytes, async () => checkSink(held));
    const names = [...held].filter((name) => !isOwnDatabase(name));
    const existing = await this.#existing();
    this.#unfinished = (await this.#session.listUnfinished(existing)).map(({ database }) => database);
    this.#plan = planDatabases(names, options, conflict, { existing, unfinished: this.#unfinished });
  }

  async load(bytes: AsyncIterable<Uint8Array>): Promise<{ entries: number; bytes: number }> {
    const { tally } = this.#restore;
    await this.#read(bytes, async (member) => {
      const inIt = this.#plan.filter(({ from }) => [from, allOfThem].includes(nameOf(member) ?? from));
      return inIt.length > 0 ? this.#loadSink(inIt) : null;
    });
    return { entries: tally.entries, bytes: tally.sourceBytes };
  }

  close(): Promise<void> {
    return this.#session.close();
  }

  async #existing(): Promise<string[]> {
    const found = await this.#session.list();
    if (found !== null) return found.map(({ name }) => name);
    if (this.#restore.conflict === "overwrite") return [];
    throw new Error(
      "it cannot be told which databases exist: install mongosh on this machine, or choose to overwrite",
    );
  }

  #read(
    bytes: AsyncIterable<Uint8Array>,
    open: (member: DumpMember) => Promise<DumpSink | null>,
  ): Promise<void> {
    return readDumps(bytes, { suffix: "archive", only: allOfThem, open });
  }

  async #loadSink(planned: PlannedDatabase[]): Promise<DumpSink> {
    const { tally, conflict, options, report, mark } = this.#restore;
    const made = this.#madeOf(planned);
    const names = planned.map(({ to }) => to).join(", ");
    tally.currentPath = names;
    const isAll = options.databases === null && conflict !== "keep";
    const args = [
      "--archive",
      "--stopOnError",
      ...(conflict === "overwrite" ? ["--drop"] : []),
      ...(this.#restore.source.oplog && isAll ? ["--oplogReplay"] : []),
      // Everything, accounts and roles included, unless some are chosen.
      ...(isAll ? [] : planned.map(({ from }) => `--nsInclude=${pattern(from)}`)),
      ...planned
        .filter(({ from, to }) => from !== to)
        .flatMap(({ from, to }) => [`--nsFrom=${pattern(from)}`, `--nsTo=${pattern(to)}`]),
    ];
    await this.#start(made);
    const loader = startConsumer(this.#session.run("mongorestore", args));
    let isComplete = false;
    return {
      write: async (bytes) => {
        await loader.write(bytes);
        tally.sourceBytes += bytes.length;
      },
      end: async () => {
        await loader.end();
        if (made.length > 0) await this.#session.dropCollection(made, unfinishedName(mark));
        isComplete = true;
        tally.entries += planned.length;
        report.log("info", `restored: ${names}`);
      },
      stop: async () => {
        await loader.stop();
        if (!isComplete) await this.#drop(made);
      },
    };
  }

  async #start(databases: string[]): Promise<void> {
    if (databases.length === 0) return;
    for (const half of databases.filter((name) => this.#unfinished.includes(name)))
      await this.#session.drop(half);
    try {
      await this.#session.makeCollection(databases, unfinishedName(this.#restore.mark));
    } catch (error) {
      await this.#drop(databases);
      throw error;
    }
  }

  /** The databases that this makes. Without a list of what existed, everything may have; but nobody misses halves. */
  #madeOf(planned: PlannedDatabase[]): string[] {
    const isOverwriting = this.#restore.conflict === "overwrite";
    return planned
      .filter(({ to, exists }) => (isOverwriting ? this.#unfinished.includes(to) : !exists))
      .map(({ to }) => to);
  }

  /** Also after a cancellation, so with a time of its own. Never rejects: the failure before it is the one to tell. */
  async #drop(databases: string[]): Promise<void> {
    try {
      const signal = AbortSignal.timeout(cleanUpMs);
      const session = await openMongodb(this.#restore.source, { ...this.#access, signal });
      try {
        for (const database of databases) await session.drop(database);
      } finally {
        await session.close();
      }
    } catch {
      this.#restore.report.log("warn", "what was restored by halves could not be removed from the server");
    }
  }
}

/** Removes what the restore with this mark was loading when it was killed; the answer is what it was called. */
export async function dropUnfinishedMongodb(
  server: MongodbSpec,
  mark: string,
  access: Access,
): Promise<string[]> {
  const session = await openMongodb(server, access);
  try {
    const existing = (await session.list()) ?? [];
    const unfinished = await session.listUnfinished(existing.map(({ name }) => name));
    const left = unfinished.filter(({ collection }) => collection === unfinishedName(mark));
    for (const { database } of left) await session.drop(database);
    return left.map(({ database }) => database);
  } finally {
    await session.close();
  }
}

/** Stands for the databases of an artifact that is one archive; no database is called so. */
const allOfThem = "";

const nameOf = (member: DumpMember): string | null => (member.kind === "dump" ? member.database : null);

/** All collections of a database, in the language of mongorestore. */
const pattern = (database: string): string => `${database.replace(/[\\*$]/g, "\\$&")}.*`;

function checkSink(held: Set<string>): DumpSink {
  return readMongoArchive(({ databases }) => {
    for (const name of databases) held.add(name);
  });
}
