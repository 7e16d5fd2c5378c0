import type { RowCounts } from "../../sources/count-rows.ts";
import { type DumpSink, readDumps } from "../../sources/dump-archive.ts";
import { hasJudged, ProgramFailed } from "../../sources/program.ts";
import type { Access } from "../../sources/source.ts";
import type { TemporaryServer } from "../../sources/temporary-server.ts";
import { DamagedArtifact } from "../damaged.ts";
import type { ServerSpec, SourceSpec } from "../pipeline.ts";
import { runRestore } from "../restore.ts";
import { addDifference, type ContentCheck, type Looked } from "./content-check.ts";
import { counted } from "./counted.ts";
import { CannotCheck, damaged, type Finding, keysOf, notChecked, passed, type VerifyJob } from "./finding.ts";
import { requireRoom } from "./room.ts";

/** A dump that is being read through; `rows` is what it holds of each table. */
export type DumpReading = DumpSink & { rows: RowCounts };

/** What dumps of one kind of database need to be looked into. */
export type Dumps<Server extends ServerSpec> = {
  suffix: string;
  /** The database of an artifact that is one dump and no archive. */
  only: string | null;
  /** Begins to read a dump through without any server. */
  read(database: string): Promise<DumpReading>;
  startServer(workDir: string, signal: AbortSignal): Promise<TemporaryServer<Server>>;
  /** The source as if it had been that server. */
  sourceOn(server: Server): SourceSpec;
  /** Whether owners and roles can be had from the dumps. */
  withRoles: boolean;
  countRows(
    server: Server,
    databases: readonly string[],
    access: Pick<Access, "secrets" | "workDir" | "signal">,
  ): Promise<RowCounts>;
};

/** A server with a database takes some times what the dump has: tables, indexes, the server's own files. */
const roomPerByte = 3;
const serverBytes = 300 * 1024 * 1024;

/**
 * Dumps of a database server. Opened: each is read through by what would load it. Restored: loaded into a server of this
 * verification alone, and the rows of every table counted.
 */
export function checkDumps<Server extends ServerSpec>(
  job: VerifyJob,
  looked: Looked,
  dumps: Dumps<Server>,
): ContentCheck {
  const databases: string[] = [];
  const held: RowCounts = new Map();
  return {
    name: "dump",
    async open(content) {
      const findings: Finding[] = [];
      const { suffix, only } = dumps;
      await readDumps(counted(content, looked), {
        suffix,
        only,
        open: async (member) => {
          if (member.kind === "other") return null;
          const { database } = member;
          looked.currentPath = database;
          const reading = await dumps.read(database);
          return told(reading, () => {
            databases.push(database);
            looked.entries = databases.length;
            for (const [table, rows] of reading.rows) held.set(table, rows);
            findings.push(passed("dump", `the dump of ${database} was read to its end`));
          });
        },
      }).catch(explained);
      if (findings.length === 0) throw new CannotCheck("there is no dump of a database in it");
      return findings;
    },
    async restore() {
      await requireRoom(job.workDir, serverBytes + roomPerByte * looked.bytes, "loading it");
      const { workDir, signal } = job;
      const running = await dumps.startServer(workDir, signal);
      try {
        await load(job, dumps, running.server);
        const access = { secrets: { password: null }, workDir, signal };
        const loaded = await dumps.countRows(running.server, databases, access);
        return [compare(looked, held, loaded, databases, running.version)];
      } finally {
        await running.close();
      }
    },
  };
}

const told = (reading: DumpReading, onEnd: () => void): DumpSink => ({
  write: (bytes) => reading.write(bytes),
  async end() {
    await reading.end();
    onEnd();
  },
  stop: () => reading.stop(),
});

/** A program that is missing, too old or was killed says nothing of the dump that it was to read. */
const judgesTheDump = (error: ProgramFailed): boolean =>
  hasJudged(error) && !/unsupported version/.test(error.message);

function explained(error: unknown): never {
  if (!(error instanceof ProgramFailed)) throw error;
  if (!judgesTheDump(error)) throw new CannotCheck(error.message, { cause: error });
  throw new DamagedArtifact(error.message, { cause: error });
}

async function load<Server extends ServerSpec>(
  job: VerifyJob,
  dumps: Dumps<Server>,
  server: Server,
): Promise<void> {
  const source = dumps.sourceOn(server);
  try {
    await runRestore({
      sourceType: source.type,
      source,
      compression: job.compression,
      identities: keysOf(job),
      storage: job.storage,
      key: job.key,
      expected: job.expected,
      ...(job.nearby === undefined ? {} : { nearby: job.nearby }),
      options: { databases: null, renameDatabases: {}, owners: dumps.withRoles, roles: dumps.withRoles },
      destination: null,
      selectedPaths: null,
      conflict: "overwrite",
      workDir: job.workDir,
      report: { progress: job.report.progress, log: () => {} },
      signal: job.signal,
    });
  } catch (error) {
    const { cause, message } = error as Error;
    // It may want an extension, a locale or a version that this machine has not: no word against the dump.
    if (!(error instanceof ProgramFailed || cause instanceof ProgramFailed)) throw error;
    throw new CannotCheck(`it could not be loaded into a temporary server here: ${message}`, {
      cause: error,
    });
  }
}

function compare(
  looked: Looked,
  held: RowCounts,
  loaded: RowCounts,
  databases: readonly string[],
  version: string,
): Finding {
  for (const [table, rows] of held) {
    const found = loaded.get(table);
    if (found === undefined)
      addDifference(looked, table, "its rows are in the dump, and the table is missing");
    else if (found !== rows) addDifference(looked, table, `it has ${found} rows, and the dump ${rows}`);
  }
  if (looked.differenceCount > 0) {
    const first = looked.differences.slice(0, 3).map(({ path, reason }) => `${path}: ${reason}`);
    return damaged("restore", `loaded into ${version}, its rows differ: ${first.join("; ")}`);
  }
  const [untold] = [...loaded].find(([table, rows]) => rows > 0 && !held.has(table)) ?? [];
  if (untold !== undefined)
    return notChecked(
      "restore",
      `loaded into ${version}: how many rows the dump has of ${untold} is unknown`,
    );
  const rows = [...loaded.values()].reduce((sum, count) => sum + count, 0);
  const what = `${databases.length === 1 ? "1 database" : `${databases.length} databases`}, ${loaded.size} tables and ${rows} rows`;
  return passed("restore", `loaded into ${version}: ${what}, as many in each table as in the dump`);
}
