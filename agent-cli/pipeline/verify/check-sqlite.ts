import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { removeTree } from "../../remove-tree.ts";
import { checkIntegrity, looksLikeSqlite } from "../../sources/sqlite-file.ts";
import { removeSidecars } from "../../sources/sqlite-sidecars.ts";
import { DamagedArtifact } from "../damaged.ts";
import { TarReader } from "../untar.ts";
import type { ContentCheck, Looked } from "./content-check.ts";
import { damaged, type Finding, passed, type VerifyJob } from "./finding.ts";
import { restoreTo } from "./restore-to.ts";
import { requireRoom } from "./room.ts";
import { ScratchFile } from "./scratch-file.ts";

type Database = { name: string; sizeBytes: number; sha256: string };

/**
 * SQLite databases, one as it is or several in an archive: SQLite's own integrity check of each; restored, each must be
 * the same bytes, sound, and readable table by table.
 */
export function checkSqlite(job: VerifyJob, looked: Looked): ContentCheck {
  const databases: Database[] = [];
  return {
    name: "database",
    async open(content) {
      const folder = join(job.workDir, `opened-${randomBytes(6).toString("hex")}`);
      await mkdir(folder, { mode: 0o700 });
      try {
        return await openAll(content, folder, job, looked, databases);
      } finally {
        await removeTree(folder);
      }
    },
    async restore() {
      const bytes = databases.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      await requireRoom(job.workDir, 2 * bytes, "restoring it");
      const place = join(job.workDir, `restored-${randomBytes(6).toString("hex")}`);
      try {
        await mkdir(place, { mode: 0o700 });
        const isArchive = databases.length > 1 || databases[0]?.name !== "";
        const single = join(place, "database");
        await restoreTo(job, isArchive ? place : single);
        const findings: Finding[] = [];
        for (const database of databases) {
          findings.push(await compare(database, isArchive ? join(place, database.name) : single));
        }
        return findings;
      } finally {
        await removeTree(place);
      }
    },
  };
}

async function openAll(
  content: AsyncIterable<Uint8Array>,
  folder: string,
  job: VerifyJob,
  looked: Looked,
  databases: Database[],
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const path = join(folder, "database");
  const copy = new ScratchFile(job.workDir);
  let hash = createHash("sha256");
  const begin = async () => {
    hash = createHash("sha256");
    await copy.begin(path);
  };
  const end = async (name: string) => {
    const database = { name, sizeBytes: await copy.end(), sha256: hash.digest("hex") };
    databases.push(database);
    looked.entries = databases.length;
    findings.push(integrityOf(database, path));
    removeSidecars(path);
    await copy.remove();
  };
  try {
    for await (const event of databasesIn(content)) {
      job.signal.throwIfAborted();
      if (event.kind === "begin") await begin();
      else if (event.kind === "end") await end(event.name);
      else {
        looked.bytes += event.bytes.length;
        hash.update(event.bytes);
        await copy.write(event.bytes);
      }
    }
  } finally {
    await copy.remove();
  }
  if (databases.length === 0) throw new DamagedArtifact("there is no database in it");
  return findings;
}

function integrityOf({ name, sizeBytes }: Database, path: string): Finding {
  const shown = name === "" ? "the database" : `/${name}`;
  try {
    checkIntegrity(path, shown);
    return passed("database", `${shown} (${sizeBytes} bytes) passed SQLite's integrity check`);
  } catch (error) {
    return damaged("database", (error as Error).message);
  }
}

async function compare({ name, sizeBytes, sha256 }: Database, path: string): Promise<Finding> {
  const shown = name === "" ? "the database" : `/${name}`;
  const found = await stat(path).catch(() => null);
  if (!found) return damaged("restore", `${shown} was not restored`);
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 }))
    hash.update(chunk as Buffer);
  if (found.size !== sizeBytes || hash.digest("hex") !== sha256) {
    return damaged("restore", `${shown} was restored with another content than the backup has`);
  }
  const { tables, rows } = countRows(path);
  return passed(
    "restore",
    `${shown}, restored, has the same ${sizeBytes} bytes, ${tables} tables and ${rows} rows`,
  );
}

/** Reads every row of every table, and nothing else: virtual tables may need extensions that are not here. */
function countRows(path: string): { tables: number; rows: number } {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const tables = database
      .prepare("select name from sqlite_schema where type = 'table' and coalesce(rootpage, 0) > 0")
      .all()
      .map(({ name }) => String(name));
    let rows = 0;
    for (const table of tables) {
      const counted = database.prepare(`select count(*) as n from "${table.replaceAll('"', '""')}"`).get();
      rows += Number(counted?.["n"] ?? 0);
    }
    return { tables: tables.length, rows };
  } finally {
    database.close();
    removeSidecars(path);
  }
}

type Event = { kind: "begin" } | { kind: "bytes"; bytes: Buffer } | { kind: "end"; name: string };

/** One database after the other. An artifact that is a database itself has one without a name. */
async function* databasesIn(content: AsyncIterable<Uint8Array>): AsyncGenerator<Event> {
  let reader: TarReader | null = null;
  let begun = false;
  const events: Event[] = [];
  let start: Buffer = Buffer.alloc(0);
  for await (const chunk of content) {
    let bytes: Buffer = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (!begun) {
      start = Buffer.concat([start, bytes]);
      if (start.length < 16) continue;
      begun = true;
      bytes = start;
      if (looksLikeSqlite(start)) yield { kind: "begin" };
      else reader = membersTo(events);
    }
    if (reader === null) yield { kind: "bytes", bytes };
    else {
      reader.push(bytes);
      yield* events.splice(0);
    }
  }
  if (!begun) throw new DamagedArtifact("it holds nothing");
  if (reader === null) yield { kind: "end", name: "" };
  reader?.end();
}

function membersTo(events: Event[]): TarReader {
  let name = "";
  return new TarReader({
    entry: ({ type, path }) => {
      name = path.toString();
      if (type === "file") events.push({ kind: "begin" });
    },
    data: (bytes) => void events.push({ kind: "bytes", bytes: Buffer.from(bytes) }),
    endEntry: () => void events.push({ kind: "end", name }),
  });
}
