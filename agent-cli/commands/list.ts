import { resolve } from "node:path";
import { ExitError } from "../exit-codes.ts";
import { type ListedEntry, listArchive } from "../pipeline/list-archive.ts";
import { identitiesFor, kindOf } from "./artifact-kind.ts";
import { runOnce } from "./once.ts";
import { openPlace } from "./place.ts";
import { formatBytes, printJson, printLine } from "./print.ts";

type Options = { from: string; path?: string; name?: string; identity?: string; json?: boolean };

const pageEntries = 1000;

/** Lists a directory of an archive, or searches in it, without any master. */
export async function listOnce(options: Options): Promise<void> {
  const { sourceType, compression, encrypted } = kindOf(options.from);
  if (sourceType !== "file") throw new ExitError("usage", "only a backup of files has contents to list");
  const identities = encrypted ? await identitiesFor(options.identity) : null;
  const entries = await runOnce(async ({ signal }) => {
    const { storage, key, nearby } = await openPlace(options.from, null);
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
  const shownName = JSON.stringify(wholePath ? path : name).slice(1, -1);
  const target = linkPath === null ? "" : ` -> ${JSON.stringify(linkPath).slice(1, -1)}`;
  return `${shownSize.padStart(10)}  ${time.padEnd(19)}  ${shownName}${target}`;
}
