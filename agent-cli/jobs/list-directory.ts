import { lstat, readdir, stat } from "node:fs/promises";
import { join, parse, resolve } from "node:path";
import type { DirectoryListing } from "./job.ts";

const MAX_ENTRIES = 5_000;
/** A result must fit into one report of 1 MiB. */
const MAX_BYTES = 800_000;
const AT_ONCE = 64;

/** What a directory holds: directories first, then by name. */
export async function listDirectory(asked: string): Promise<DirectoryListing> {
  if (asked.includes("\0")) throw new Error("cannot list this path: it contains a NUL character");
  const folder = resolve(parse(process.cwd()).root, asked === "." ? "" : asked);
  const found = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`cannot list ${folder}: ${reasons[error.code ?? ""] ?? error.code ?? error.message}`);
  });
  const entries = await mapBatches(found, async (entry) => ({
    name: entry.name,
    isDir:
      entry.isDirectory() || (entry.isSymbolicLink() && (await leadsToDirectory(join(folder, entry.name)))),
  }));
  entries.sort((a, b) => Number(b.isDir) - Number(a.isDir) || (a.name < b.name ? -1 : 1));
  const shown = await mapBatches(entries.slice(0, MAX_ENTRIES), async ({ name, isDir }) => {
    const path = join(folder, name);
    return { name, path, isDir, size: isDir ? 0 : await sizeOf(path) };
  });
  const fitting = fitInto(shown, MAX_BYTES);
  return fitting.length < found.length ? { entries: fitting, truncated: true } : { entries: fitting };
}

const reasons: Record<string, string> = {
  ENOENT: "there is no such directory",
  ENOTDIR: "it is not a directory",
  EACCES: "the agent may not read it",
  EPERM: "the agent may not read it",
  ELOOP: "too many symbolic links",
  ENAMETOOLONG: "the name is too long",
};

const leadsToDirectory = (path: string): Promise<boolean> =>
  stat(path).then(
    (target) => target.isDirectory(),
    () => false,
  );

const sizeOf = (path: string): Promise<number> =>
  lstat(path).then(
    ({ size }) => size,
    () => 0,
  );

async function mapBatches<T, R>(items: T[], map: (item: T) => Promise<R>): Promise<R[]> {
  const mapped: R[] = [];
  for (let at = 0; at < items.length; at += AT_ONCE) {
    mapped.push(...(await Promise.all(items.slice(at, at + AT_ONCE).map(map))));
  }
  return mapped;
}

function fitInto<T>(items: T[], maxBytes: number): T[] {
  let size = 0;
  const end = items.findIndex((item) => {
    size += Buffer.byteLength(JSON.stringify(item)) + 1;
    return size > maxBytes;
  });
  return end === -1 ? items : items.slice(0, end);
}
