import { resolve } from "node:path";
import { ExitError } from "../exit-codes.ts";
import { type ListedEntry, listArchive } from "../pipeline/list-archive.ts";
import { identitiesFor, kindOf } from "./artifact-kind.ts";
import { runOnce } from "./once.ts";
import { artifactOf, openPlace, openWhole, requireThere, type Where } from "./place.ts";
import { counted, formatBytes, printJson, printLine, printTable } from "./print.ts";
import type { Stored, StoredObject } from "./stored-objects.ts";

type Options = Where & { from?: string; path?: string; name?: string; identity?: string; json?: boolean };

const pageEntries = 1000;

/** Lists what is in a storage, or in an archive, without any master. */
export async function listOnce(named: string | undefined, options: Options): Promise<void> {
  const { storage } = options;
  if (named !== undefined || options.from !== undefined || storage === undefined)
    return await listContents(artifactOf(named, options), options);
  await listStorage({ ...options, storage });
}

async function listStorage(options: Options & { storage: string }): Promise<void> {
  if (options.path !== undefined)
    throw new ExitError("usage", "--path is for what is in an archive: name the archive, too");
  const { objects, ...others } = await runOnce(async ({ signal }) => {
    const { listStored } = await import("./stored-objects.ts");
    return listStored(await openWhole(options), { signal });
  });
  const wanted = options.name?.toLowerCase() ?? "";
  const found = { objects: objects.filter(({ key }) => key.toLowerCase().includes(wanted)), ...others };
  if (options.json) printJson(found);
  else showStored(found);
}

function showStored({ objects, repositories, others }: Stored): void {
  if (objects.length > 0) {
    const head = ["BACKUP OF", "STORED", "TYPE", "SIZE", "ENCRYPTED", "TASK", "RECORD", "OBJECT"];
    printTable([head, ...objects.map(rowOf)]);
  } else if (repositories.length + others.count > 0) printLine("no backups are here");
  else printLine("nothing is here: are its address, path and prefix right?");
  for (const { key, snapshots, sizeBytes } of repositories) {
    const what = `${counted(snapshots, "snapshot", "snapshots")}, ${formatBytes(sizeBytes)}`;
    printLine(`${shown(key)}: a repository of restic's with ${what}: restic itself opens it`);
  }
  if (others.count > 0)
    printLine(
      `and ${counted(others.count, "other object", "other objects")}, ${formatBytes(others.sizeBytes)}`,
    );
}

const rowOf = (object: StoredObject): string[] => {
  const { key, sizeBytes, type, encrypted, task, recordId, time, storedAt } = object;
  return [
    shownTime(time),
    shownTime(storedAt),
    type ?? "-",
    formatBytes(sizeBytes),
    encrypted === null ? "-" : encrypted ? "yes" : "no",
    task === null ? "-" : `${shown(task.name)} (${task.id})`,
    recordId === null ? "-" : String(recordId),
    shown(key),
  ];
};

const shownTime = (time: string | null) => time?.slice(0, 19).replace("T", " ") ?? "-";

/** Lists a directory of an archive, or searches in it. */
async function listContents(artifact: string, options: Options): Promise<void> {
  const { sourceType, compression, encrypted } = kindOf(artifact);
  if (sourceType !== "file") throw new ExitError("usage", "only a backup of files has contents to list");
  const identities = encrypted ? await identitiesFor(options.identity) : null;
  const entries = await runOnce(async ({ signal }) => {
    const place = await openPlace(artifact, options);
    await requireThere(place, options, signal);
    const { storage, key, nearby } = place;
    const path = resolve(options.path ?? "/");
    const expected = { sha256: null, sizeBytes: null };
    const job = { storage, key, nearby, expected, identities, compression, path, signal };
    const name = options.name ?? null;
    const found: ListedEntry[] = [];
    for (let after: string | null = null; ; ) {
      const page = { name, after, limit: pageEntries, maxBytesWithoutIndex: null };
      const { entries, next } = await listArchive({ ...job, ...page });
      found.push(...entries);
      if (next === null) return found;
      after = next;
    }
  });
  if (options.json) return printJson(entries);
  for (const entry of entries) printLine(lineOf(entry, options.name !== undefined));
}

function lineOf({ name, path, type, size, mtime, linkPath }: ListedEntry, wholePath: boolean): string {
  const time = mtime === null ? "" : new Date(mtime).toISOString().slice(0, 19).replace("T", " ");
  const shownSize = type === "file" ? formatBytes(size) : type;
  const target = linkPath === null ? "" : ` -> ${shown(linkPath)}`;
  return `${shownSize.padStart(10)}  ${time.padEnd(19)}  ${shown(wholePath ? path : name)}${target}`;
}

/** Names may hold anything; a terminal gets no control characters of theirs. */
const shown = (name: string): string => JSON.stringify(name).slice(1, -1);
