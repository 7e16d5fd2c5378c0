import { randomBytes } from "node:crypto";
import { accessSync, constants, createReadStream, statSync } from "node:fs";
import { rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { backup, DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { errorCode } from "../pipeline/error-code.ts";
import { TarWriter } from "../pipeline/tar.ts";
import { memberName, type TarEntry } from "../pipeline/tar-entry.ts";
import { readAccountNames } from "./account-names.ts";
import { findSqlite } from "./find-sqlite.ts";
import { newPreview, newTally, type Preview, type Source, type SourceContext, type Tally } from "./source.ts";
import { checkIntegrity } from "./sqlite-file.ts";
import { removeSidecars } from "./sqlite-sidecars.ts";

type SqliteSpec = { type: "sqlite"; paths: string[] };

/** One step for the whole database: with smaller ones every write of another process starts the copy again. */
const allPages = 2_147_483_647;
const patienceMs = 120_000;
const sqliteBusy = 5;
const sqliteFull = 13;
const sqliteNotADatabase = 26;

/**
 * SQLite databases, each as a consistent copy that was made while others may write, and that passed an integrity check.
 * One database is its plain file; several are a tar archive of them. Any failure fails the backup.
 */
export const sqliteSource: Source<SqliteSpec> = {
  discover: findSqlite,
  preview: async (spec) => previewDatabases(distinct(spec)),
  extension: (spec) => (distinct(spec).length === 1 ? "sqlite" : "tar"),
  async open(spec, context) {
    const paths = distinct(spec);
    if (paths.length === 0) throw new Error("no SQLite database is named");
    for (const path of paths) requireFile(path);
    const tally = newTally();
    const bytes = paths.length === 1 ? plain(paths, context, tally) : archive(paths, context, tally);
    return { bytes, tally };
  },
};

const distinct = (spec: SqliteSpec): string[] => [...new Set(spec.paths.map((path) => resolve(path)))];

/** Databases with what still lies in their logs; whether one is sound is for its backup to find out. */
function previewDatabases(paths: string[]): Preview {
  const preview = newPreview();
  for (const path of paths) {
    try {
      requireFile(path);
      accessSync(path, constants.R_OK);
      const log = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
      const sizeBytes = statSync(path).size + log;
      preview.entries += 1;
      preview.bytes = (preview.bytes ?? 0) + sizeBytes;
      preview.first.push({ path, sizeBytes });
    } catch (error) {
      const denied = ["EACCES", "EPERM"].includes(errorCode(error));
      const reason = denied ? "permission denied" : (error as Error).message;
      preview.unreadable.count += 1;
      preview.unreadable.first.push({ path, reason });
    }
  }
  return { ...preview, complete: true };
}

function requireFile(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) throw new Error(`there is no SQLite database at ${path}`);
  if (!found.isFile()) throw new Error(`${path} is not a SQLite database: it is not a file`);
}

async function* plain(paths: string[], context: SourceContext, tally: Tally): AsyncGenerator<Uint8Array> {
  for (const path of paths) {
    yield* withCopy(path, context, tally, (copy) => readFile(copy, tally));
    tally.entries += 1;
  }
}

async function* archive(paths: string[], context: SourceContext, tally: Tally): AsyncGenerator<Uint8Array> {
  const tar = new TarWriter(context.slabs);
  for (const path of paths) {
    yield* withCopy(path, context, tally, async function* (copy) {
      const { size } = await stat(copy);
      tar.writeHeader(entryFor(path, size));
      for await (const chunk of readFile(copy, tally)) {
        tar.write(chunk);
        yield* tar.take();
      }
      tar.pad(size);
    });
    tally.entries += 1;
  }
  yield* tar.finish();
}

/** Copies are made one at a time and removed as soon as they were read: the work directory holds one of them at most. */
async function* withCopy(
  path: string,
  context: SourceContext,
  tally: Tally,
  read: (copy: string) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const copy = join(context.workDir, `sqlite-${randomBytes(8).toString("hex")}`);
  tally.currentPath = path;
  try {
    await copyDatabase(path, copy, context.signal);
    checkIntegrity(copy, `the copy of ${path}`);
    yield* read(copy);
  } finally {
    removeSidecars(copy);
    await rm(copy, { force: true });
  }
}

async function copyDatabase(path: string, copy: string, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (let attempt = 0; ; attempt += 1) {
    signal.throwIfAborted();
    const error = await tryCopy(path, copy);
    if (error === null) return;
    if (!isBusy(error)) throw explain(path, error);
    if (performance.now() > deadline) throw new Error(`${path} was locked by another process for too long`);
    await rm(copy, { force: true });
    // A writer of a rollback-journal database holds everybody off only for moments; uneven waits find a gap.
    await sleep(10 + Math.random() * Math.min(1000, 20 * 2 ** Math.min(attempt, 6)), undefined, { signal });
  }
}

async function tryCopy(path: string, copy: string): Promise<unknown> {
  let source: DatabaseSync | null = null;
  try {
    source = new DatabaseSync(openable(path), { timeout: 5000 });
    // Touches the header, so that a file of another kind is told from one that is busy.
    source.prepare("SELECT count(*) FROM sqlite_master").get();
    await backup(source, copy, { rate: allPages });
    return null;
  } catch (error) {
    return error ?? new Error("unknown");
  } finally {
    source?.close();
  }
}

/**
 * Opens for writing although nothing is written: a read-only connection leaves empty log files beside a database that
 * nobody else has open, and cannot recover one that its owner left in the middle of a transaction.
 */
function openable(path: string): URL {
  const url = pathToFileURL(path);
  url.searchParams.set("mode", "rw");
  return url;
}

const sqliteCode = (error: unknown): number => Number((error as { errcode?: number }).errcode ?? 0) & 0xff;

/** A backup step that finds the database locked is reported by node:sqlite as the error "not an error". */
const isBusy = (error: unknown): boolean =>
  sqliteCode(error) === sqliteBusy || (error instanceof Error && error.message === "not an error");

function explain(path: string, error: unknown): Error {
  const code = sqliteCode(error);
  if (code === sqliteNotADatabase) return new Error(`${path} is not a SQLite database (or it is encrypted)`);
  if (code === sqliteFull) return new Error(`no space left in the work directory for the copy of ${path}`);
  return new Error(
    `${path} could not be copied: ${error instanceof Error ? error.message : errorCode(error)}`,
  );
}

async function* readFile(path: string, tally: Tally): AsyncGenerator<Uint8Array> {
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    tally.sourceBytes += (chunk as Buffer).length;
    yield chunk as Buffer;
  }
}

function entryFor(path: string, size: number): TarEntry {
  const target = statSync(path, { bigint: true });
  const names = readAccountNames();
  return {
    path: memberName(Buffer.from(path)),
    type: "file",
    mode: Number(target.mode) & 0o7777,
    uid: Number(target.uid),
    gid: Number(target.gid),
    userName: names.user(Number(target.uid)),
    groupName: names.group(Number(target.gid)),
    size,
    mtimeNs: target.mtimeNs,
    linkPath: null,
    devMajor: 0,
    devMinor: 0,
    sparse: null,
  };
}
