import { hostname } from "node:os";
import { resolve } from "node:path";
import { ExitError } from "../exit-codes.ts";
import { makeFolders } from "../make-folders.ts";
import { artifactExtension } from "../pipeline/backup.ts";
import { errorCode } from "../pipeline/error-code.ts";
import type { Compression, SourceSpec } from "../pipeline/pipeline.ts";
import { databasePassword, databaseServer, isServer } from "./database-server.ts";
import { runApart, runOnce, shownWarnings } from "./once.ts";
import { openRead, readPlace, type Where } from "./place.ts";
import { counted, formatBytes, printJson, printLine } from "./print.ts";

type Options = Where & {
  to?: string;
  name?: string;
  exclude?: string[];
  oneFileSystem?: boolean;
  sqlite?: boolean;
  passwordFile?: string;
  tls?: string;
  tlsCa?: string;
  compression: Compression;
  level?: string;
  recipient: string[];
  json?: boolean;
};

/** Makes one backup without any master. */
export async function backUpOnce(paths: string[], options: Options): Promise<void> {
  const source = sourceOf(paths, options);
  const password = isServer(source) ? await databasePassword(options.passwordFile) : null;
  const sourceSecrets = { password };
  const pipeline = {
    compression: options.compression,
    level: levelOf(options.level),
    encryption: options.recipient.length > 0 ? { recipients: options.recipient } : null,
  };
  const fileName = `${stemOf(options.name)}${artifactExtension(source, options.compression, pipeline.encryption !== null)}`;
  const read = await readPlace(folderOf(options), fileName, options);
  // Settings that cannot be right are told before anything is read.
  if (options.storage !== undefined) await openRead(read, options);
  const { shown, ...place } = read;
  const target = { ...place, name: options.storage ?? options.to ?? "" };
  const job = { kind: "backup_once", source, sourceSecrets, pipeline, target } as const;
  const caCertFile = options.caCert === undefined ? null : resolve(options.caCert);
  const result = await runOnce(async (run) => ({
    artifact: shown,
    ...(await runApart(job, run, caCertFile)),
  }));
  const { targets: _one, ...made } = result;
  if (options.json) return printJson(made);
  printLine(`${made.artifact}`);
  printLine(
    `${counted(made.entries, "entry", "entries")}, ${formatBytes(made.sourceBytes)} in, ${formatBytes(made.sizeBytes)} stored`,
  );
  printLine(`SHA-256 ${made.sha256}`);
  if (made.warningCount === 0) return;
  printLine(`${counted(made.warningCount, "warning", "warnings")}:`);
  for (const line of shownWarnings(made.warnings, made.warningCount)) printLine(line);
}

/** What the backup is to lie in. */
function folderOf({ to, storage }: Options): string {
  if (storage !== undefined) return to ?? "";
  if (to === undefined) throw new ExitError("usage", "--to or --storage must say where the backup goes");
  if (!to.startsWith("s3://")) makeFolder(to);
  return to;
}

function sourceOf(paths: string[], options: Options): SourceSpec {
  const [server, ...others] = paths.map((path) => databaseServer(path, options));
  if (server && others.length === 0) return server;
  if (server || others.some((other) => other !== null)) {
    throw new ExitError(
      "usage",
      "a database server is backed up alone: its databases are named in its address",
    );
  }
  const full = paths.map((path) => resolve(path));
  if (options.sqlite) return { type: "sqlite", paths: full };
  const { exclude = [], oneFileSystem = false } = options;
  return { type: "file", paths: full, excludes: exclude, oneFileSystem };
}

function levelOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const level = Number(text);
  if (!Number.isInteger(level) || level < 1 || level > 19)
    throw new ExitError("usage", "--level must be 1 to 19");
  return level;
}

function stemOf(name: string | undefined): string {
  const base = name ?? hostname();
  if (!/^[^/\0]{1,100}$/.test(base))
    throw new ExitError("usage", "--name must be 1 to 100 characters without a slash");
  return `${base}-${new Date().toISOString().replace(/[-:]|\.\d+/g, "")}`;
}

function makeFolder(folder: string): void {
  try {
    makeFolders(resolve(folder), 0o700);
  } catch (error) {
    throw new ExitError("failed", `--to ${folder}: no directory can be made there (${errorCode(error)})`);
  }
}
