import type { IndexEntry } from "./archive-index.ts";
import { contentOf } from "./artifact-content.ts";
import { DamagedArtifact } from "./damaged.ts";
import { openArtifact } from "./fetch-artifact.ts";
import { openIndexed } from "./indexed-archive.ts";
import type { Compression, StoredArtifact } from "./pipeline.ts";
import { contentSize, type TarEntry } from "./tar-entry.ts";
import { TarReader } from "./untar.ts";

/** What a listing shows of one entry. A directory that only lies above others has no time and no mode. */
export type ListedEntry = {
  name: string;
  path: string;
  type: TarEntry["type"];
  size: number;
  mtime: number | null;
  mode: number | null;
  linkPath: string | null;
};

export type Listing = {
  entries: ListedEntry[] /** For the next page, null at the end. */;
  next: string | null;
};

/** Which part of a backup's contents is wanted. */
export type WantedPage = {
  /** Absolute; what is directly in this directory is listed, by name. */
  path: string;
  /** What has this in its name, whatever its case, anywhere below `path`; null: see `path`. */
  name: string | null;
  /** The last page's `next`. */
  after: string | null;
  limit: number;
};

export type ListJob = StoredArtifact &
  WantedPage & {
    compression: Compression;
    /** The most to read of an archive without an index, in which everything has to be read. */
    maxBytesWithoutIndex: number | null;
    signal: AbortSignal;
  };

export type Named = Omit<ListedEntry, "name">;

/** Lists a directory of an archive, or searches it. With an index, only that is fetched. */
export async function listArchive(job: ListJob): Promise<Listing> {
  const artifact = await openArtifact(job, null);
  try {
    const own = job.compression === "zstd" ? await openIndexed(artifact, job) : null;
    const collect = collectPage(job);
    if (own) for (const entry of own.index.entries) collect.add(fromIndex(entry));
    else {
      const { sizeBytes } = artifact;
      const limit = job.maxBytesWithoutIndex;
      if (limit !== null && (sizeBytes ?? limit + 1) > limit)
        throw new Error(
          "this backup has no index and is too large to be read for a listing: restore it to another place, with a dry run first",
        );
      const content = contentOf({ ...job, identities: job.identities ?? null }, artifact.first());
      await readNames(content, (entry) => collect.add(entry), job.signal);
    }
    return collect.finish();
  } finally {
    await artifact.close();
  }
}

/** Picks the wanted page from all entries of a backup, which are added in its order. */
export const collectPage = (wanted: WantedPage): { add(entry: Named): void; finish(): Listing } =>
  wanted.name === null ? new Directory(wanted) : new Search(wanted, wanted.name);

const fromIndex = (entry: IndexEntry): Named => ({
  path: entry.path.toString(),
  type: entry.type,
  size: entry.size,
  mtime: Number(entry.mtimeNs / 1_000_000n),
  mode: entry.mode,
  linkPath: entry.linkPath?.toString() ?? null,
});

async function readNames(
  content: AsyncIterable<Uint8Array>,
  take: (entry: Named) => void,
  signal: AbortSignal,
): Promise<void> {
  const reader = new TarReader({
    entry: (entry) => take(fromTar(entry)),
    data() {},
    endEntry() {},
  });
  for await (const chunk of content) {
    signal.throwIfAborted();
    reader.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
  }
  reader.end();
}

const fromTar = (entry: TarEntry): Named => ({
  path: `/${entry.path.toString().replace(/^\/+|\/+$/g, "")}`,
  type: entry.type,
  size: entry.type === "file" ? contentSize(entry) : 0,
  mtime: Number(entry.mtimeNs / 1_000_000n),
  mode: entry.mode,
  linkPath: entry.linkPath?.toString() ?? null,
});

/** What is directly in one directory, in the order of names. */
class Directory {
  readonly #prefix: string;
  readonly #job: WantedPage;
  readonly #found = new Map<string, ListedEntry>();
  #exists: boolean;

  constructor(job: WantedPage) {
    this.#job = job;
    this.#prefix = asPrefix(job.path);
    this.#exists = this.#prefix === "/";
  }

  add(entry: Named): void {
    if (`${entry.path}/` === this.#prefix && entry.type === "directory") this.#exists = true;
    if (!entry.path.startsWith(this.#prefix)) return;
    const rest = entry.path.slice(this.#prefix.length);
    const slash = rest.indexOf("/");
    const name = slash < 0 ? rest : rest.slice(0, slash);
    if (name === "") return;
    if (slash < 0) this.#found.set(name, { name, ...entry });
    else if (!this.#found.has(name)) this.#found.set(name, directoryAbove(name, this.#prefix));
  }

  finish(): Listing {
    if (!this.#exists && this.#found.size === 0)
      throw new Error(`there is no directory ${this.#job.path} in this backup`);
    const { after, limit } = this.#job;
    const names = [...this.#found.keys()].filter((name) => after === null || name > after).sort();
    const entries = names.slice(0, limit).map((name) => this.#found.get(name) as ListedEntry);
    return pageOf(entries, names.length > limit, ({ name }) => name);
  }
}

const directoryAbove = (name: string, prefix: string): ListedEntry => ({
  name,
  path: `${prefix}${name}`,
  type: "directory",
  size: 0,
  mtime: null,
  mode: null,
  linkPath: null,
});

/** Everything whose name fits, in the archive's order. */
class Search {
  readonly #prefix: string;
  readonly #job: WantedPage;
  readonly #wanted: string;
  readonly #found: ListedEntry[] = [];
  #reached: boolean;

  constructor(job: WantedPage, wanted: string) {
    this.#job = job;
    this.#prefix = asPrefix(job.path);
    this.#wanted = wanted.toLowerCase();
    this.#reached = job.after === null;
  }

  add(entry: Named): void {
    if (!this.#reached) this.#reached = entry.path === this.#job.after;
    else if (this.#found.length <= this.#job.limit && entry.path.startsWith(this.#prefix)) {
      const name = entry.path.slice(entry.path.lastIndexOf("/") + 1);
      if (name.toLowerCase().includes(this.#wanted)) this.#found.push({ name, ...entry });
    }
  }

  finish(): Listing {
    const { limit } = this.#job;
    return pageOf(this.#found.slice(0, limit), this.#found.length > limit, ({ path }) => path);
  }
}

const asPrefix = (path: string): string => `${path.replace(/\/+$/, "")}/`;

/** An answer must fit into one report. */
const maxPageBytes = 700_000;

function pageOf(entries: ListedEntry[], more: boolean, keyOf: (entry: ListedEntry) => string): Listing {
  let bytes = 0;
  let end = 0;
  while (end < entries.length) {
    bytes += Buffer.byteLength(JSON.stringify(entries[end]));
    if (bytes > maxPageBytes) break;
    end += 1;
  }
  if (end === 0 && entries.length > 0) throw new DamagedArtifact("a name in it is too long to be shown");
  const last = entries[end - 1];
  return {
    entries: entries.slice(0, end),
    next: last && (more || end < entries.length) ? keyOf(last) : null,
  };
}
