import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { rm, stat } from "node:fs/promises";
import { basename } from "node:path";
import type { SourceSpec } from "../pipeline/pipeline.ts";
import { choose, previewOf } from "./choose-databases.ts";
import { DumpArchive } from "./dump-archive.ts";
import { quoteHanaName, type SaphanaQuery, saphanaQuery } from "./saphana-session.ts";
import { type FoundDatabase, newTally, type Source, type SourceContext, type Tally } from "./source.ts";

type SaphanaSpec = Extract<SourceSpec, { type: "saphana" }>;

const progressEveryMs = 30_000;
const cleanUpMs = 20_000;

/**
 * The databases of a SAP HANA system, by its own data backups. The server writes those into files on its own disk, from
 * where they are read, so the agent has to run there, and as somebody who may read them; one database after the other,
 * and its files are removed once they are in the archive.
 */
export const saphanaSource: Source<SaphanaSpec> = {
  extension: () => "tar",

  async open(spec, context) {
    const query = saphanaQuery(spec, context);
    const databases = choose(spec, await list(query));
    const tally = newTally();
    return { bytes: archive(databases, spec, query, context, tally), tally };
  },

  async preview(spec, access) {
    const found = await list(saphanaQuery(spec, access));
    return previewOf(choose(spec, found), found, spec);
  },

  async discover(server, access) {
    return await list(saphanaQuery(server, access));
  },
};

async function list(query: SaphanaQuery): Promise<FoundDatabase[]> {
  const names = await query(
    "SELECT DATABASE_NAME FROM SYS.M_DATABASES WHERE ACTIVE_STATUS = 'YES' ORDER BY DATABASE_NAME;",
  );
  return names.map((name) => ({ name, sizeBytes: null }));
}

async function* archive(
  databases: string[],
  spec: SaphanaSpec,
  query: SaphanaQuery,
  context: SourceContext,
  tally: Tally,
): AsyncGenerator<Buffer> {
  const members = new DumpArchive(context.slabs);
  for (const database of databases) {
    tally.currentPath = database;
    const prefix = `backupx_${randomBytes(6).toString("hex")}`;
    try {
      await backUp(database, prefix, query, tally);
      const files = await filesOf(prefix, query);
      if (files.length === 0) throw new Error(`the server tells of no files for its backup of ${database}`);
      for (const file of files) {
        const { size } = await stat(file).catch((error) => Promise.reject(unreadable(file, error)));
        if (size === 0) throw new Error(`${file}, which the server has written for ${database}, is empty`);
        yield* members.addSized(
          `${database}/${basename(file)}`,
          size,
          createReadStream(file, { highWaterMark: 1 << 20 }),
        );
      }
    } finally {
      await removeFiles(prefix, spec, context);
    }
    tally.entries += 1;
  }
  yield* members.finish();
}

/** While the server writes, what it tells of its progress shows that something moves. */
async function backUp(database: string, prefix: string, query: SaphanaQuery, tally: Tally): Promise<void> {
  const before = tally.sourceBytes;
  const look = async () => {
    const [bytes] = await query(
      "SELECT COALESCE(SUM(TRANSFERRED_SIZE), 0) FROM SYS_DATABASES.M_BACKUP_PROGRESS WHERE STATE_NAME = 'running';",
    );
    if (Number(bytes) > 0) tally.sourceBytes = before + Number(bytes);
  };
  // That it cannot be told is no reason to stop.
  const watching = setInterval(() => void look().catch(() => {}), progressEveryMs);
  try {
    await query(`BACKUP DATA FOR ${quoteHanaName(database)} USING FILE ('${prefix}');`);
  } catch (error) {
    throw new Error(`database ${database}: ${(error as Error).message}`, { cause: error });
  } finally {
    clearInterval(watching);
  }
}

const filesOf = (prefix: string, query: SaphanaQuery): Promise<string[]> =>
  query(
    `SELECT DISTINCT DESTINATION_PATH FROM SYS_DATABASES.M_BACKUP_CATALOG_FILES WHERE DESTINATION_PATH LIKE '%/${prefix}%' ORDER BY DESTINATION_PATH;`,
  );

const unreadable = (file: string, error: NodeJS.ErrnoException) =>
  new Error(
    `${file}, which the server has written, cannot be read here (${error.code}): the agent has to run beside it`,
  );

/** Also after a cancellation, so with a time of its own. */
async function removeFiles(prefix: string, spec: SaphanaSpec, context: SourceContext): Promise<void> {
  const signal = AbortSignal.timeout(cleanUpMs);
  try {
    for (const file of await filesOf(prefix, saphanaQuery(spec, { ...context, signal })))
      await rm(file, { force: true });
  } catch {
    context.warnings.add(prefix, "files of this name, which the server has written, could not be removed");
  }
}
