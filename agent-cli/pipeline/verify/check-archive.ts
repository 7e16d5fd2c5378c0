import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { removeTree } from "../../remove-tree.ts";
import type { ArchiveIndex, IndexBase } from "../archive-index.ts";
import { DamagedArtifact } from "../damaged.ts";
import { openArtifact } from "../fetch-artifact.ts";
import { baseFor, mayBeBase } from "../find-base.ts";
import { openIndexed } from "../indexed-archive.ts";
import type { StoredArtifact } from "../pipeline.ts";
import { contentSize } from "../tar-entry.ts";
import { toTarEntry } from "../to-tar-entry.ts";
import { TarReader } from "../untar.ts";
import { ArchiveList, type ListedEntry, readList } from "./archive-list.ts";
import { compareTree } from "./compare-tree.ts";
import { addDifference, type ContentCheck, type Looked } from "./content-check.ts";
import { damaged, type Finding, keysOf, notChecked, passed, type VerifyJob } from "./finding.ts";
import { IndexCheck, listedIn } from "./index-check.ts";
import { restoreTo } from "./restore-to.ts";
import { requireRoom } from "./room.ts";

/** What a file, however small, takes of a disk besides its bytes. */
const bytesPerEntry = 4096;

/**
 * An archive of files. Opened: every header and byte of it is read and compared with its index. Restored: compared with
 * the index, which of a differential backup holds also what lies in its base; without one, with the archive's own list.
 */
export function checkArchive(job: VerifyJob, looked: Looked): ContentCheck {
  const file = join(job.workDir, `list-${randomBytes(6).toString("hex")}`);
  let index: ArchiveIndex | null = null;
  return {
    name: "archive",
    async open(content) {
      index = await openIndex(job);
      const list = new ArchiveList({
        file: job.grade >= 4 && !index ? file : null,
        index: index && new IndexCheck(index),
      });
      try {
        await readArchive(content, list, index, job.signal, looked);
      } finally {
        list.close();
      }
      return [passed("archive", whatWasRead(list, index))];
    },
    async restore() {
      const base = index?.base ? await baseFor(job.base, index.base) : null;
      const missing = index?.base && whyNotOn(index.base, base);
      if (missing) return [notChecked("restore", missing)];
      await requireRoom(job.workDir, index ? roomFor(index) : roomOf(looked), "restoring it");
      const place = join(job.workDir, `restored-${randomBytes(6).toString("hex")}`);
      try {
        const { warnings } = await restoreTo({ ...job, base }, place);
        const unmade = new Set(warnings.map(({ path }) => path.slice(place.length)));
        const entries = index ? listedIn(index) : readList(file);
        return [await compare(job, looked, { place, entries, unmade })];
      } finally {
        await removeTree(place);
      }
    },
  };
}

/** Why a differential backup cannot be restored here; null when its full one is at hand. */
function whyNotOn(needed: IndexBase, base: StoredArtifact | null): string | null {
  if (!base) return "it is a differential backup, and its full one is not at hand";
  return mayBeBase(base, needed)
    ? null
    : "it is a differential backup, and the full one at hand is not the one that it stands on";
}

async function openIndex(job: VerifyJob): Promise<ArchiveIndex | null> {
  if (job.compression !== "zstd") return null;
  const { archiveIndex } = job;
  const stored = { ...job, identities: keysOf(job), ...(archiveIndex === undefined ? {} : { archiveIndex }) };
  const artifact = await openArtifact(stored, null);
  try {
    return (await openIndexed(artifact, stored))?.index ?? null;
  } finally {
    await artifact.close();
  }
}

async function readArchive(
  content: AsyncIterable<Uint8Array>,
  list: ArchiveList,
  index: ArchiveIndex | null,
  signal: AbortSignal,
  looked: Looked,
): Promise<void> {
  const reader = new TarReader(list);
  let tarBytes = 0;
  for await (const chunk of content) {
    signal.throwIfAborted();
    tarBytes += chunk.length;
    reader.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    looked.entries = list.entries;
    looked.bytes = list.bytes;
    looked.currentPath = list.currentPath?.toString() ?? null;
  }
  reader.end();
  list.finish();
  const indexed = index?.frames.reduce((sum, { plainBytes }) => sum + plainBytes, 0) ?? tarBytes;
  if (indexed !== tarBytes)
    throw new DamagedArtifact(`it unpacks to ${tarBytes} bytes, its index says ${indexed}`);
}

function whatWasRead({ entries, bytes }: ArchiveList, index: ArchiveIndex | null): string {
  const read = `it was read to its end: ${entries} entries, ${bytes} bytes`;
  if (!index) return `${read}; it has no index to compare it with`;
  return index.base
    ? `${read}, as its index has them; ${index.entries.length - entries} more are in its full backup`
    : `${read}, as its index has them`;
}

const roomOf = ({ bytes, entries }: { bytes: number; entries: number }): number =>
  bytes + entries * bytesPerEntry;

function roomFor({ entries }: ArchiveIndex): number {
  let bytes = 0;
  for (const entry of entries) if (entry.type === "file") bytes += contentSize(toTarEntry(entry));
  return roomOf({ bytes, entries: entries.length });
}

type Restored = {
  place: string;
  entries: AsyncIterable<ListedEntry>;
  /** What this machine could not give back, such as a device to somebody who is not root. */
  unmade: ReadonlySet<string>;
};

async function compare(
  { signal }: VerifyJob,
  looked: Looked,
  { place, entries, unmade }: Restored,
): Promise<Finding> {
  const name = "restore";
  const missed: string[] = [];
  const count = await compareTree(entries, {
    root: place,
    signal,
    onEntry: (path) => {
      looked.currentPath = path;
    },
    onDifference: (path, reason) => {
      if (unmade.has(path)) missed.push(path);
      else addDifference(looked, path, reason);
    },
  });
  if (looked.differenceCount > 0) {
    const first = looked.differences.slice(0, 3).map(({ path, reason }) => `${path}: ${reason}`);
    return damaged(name, `restored, ${differs(looked.differenceCount)}: ${first.join("; ")}`);
  }
  if (missed.length > 0) {
    const first = missed.slice(0, 3).join(", ");
    return notChecked(
      name,
      `restored, ${missed.length} of ${count} entries could not be made here: ${first}`,
    );
  }
  return passed(name, `restored, all ${count} entries are as the backup has them`);
}

const differs = (count: number) => (count === 1 ? "one thing differs" : `${count} things differ`);
