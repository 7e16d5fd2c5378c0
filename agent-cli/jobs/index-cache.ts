import { createHash } from "node:crypto";
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { makeFolders } from "../make-folders.ts";

/** Beyond these, the indexes that were not used for the longest time go. */
const maxKept = 100;
const maxKeptBytes = 1024 * 1024 * 1024;

const fileName = ({ taskId, recordId }: Kept) => `t${taskId}-r${recordId}.index`;
const draftEnd = ".part";
const isIndex = /^t(\d+)-r\d+\.index(\.part)?$/;

/** Where an agent keeps them. */
export const indexFolder = (stateDir: string): string => join(stateDir, "indexes");

/** Removes what backups that were killed had begun to keep. To be called while none is under way. */
export function removeLeftDrafts(stateDir: string): void {
  const folder = indexFolder(stateDir);
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    if (isIndex.test(name) && name.endsWith(draftEnd)) rmSync(join(folder, name), { force: true });
  }
}

type Kept = { taskId: number; recordId: number };

/**
 * Indexes of the last full backup of each task, as they stand in its artifact. They hold names, sizes and hashes of files
 * and can always be fetched again, unless the backup is encrypted and the key is elsewhere.
 */
export class IndexCache {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The index, if it is there and has this SHA-256. */
  read(kept: Kept, sha256: string): Buffer | null {
    const path = join(this.#folder, fileName(kept));
    try {
      const bytes = readFileSync(path);
      if (createHash("sha256").update(bytes).digest("hex") !== sha256) return null;
      const now = new Date();
      utimesSync(path, now, now);
      return bytes;
    } catch {
      return null;
    }
  }

  /** Writes an index that is kept once `keep` is called: until then it belongs to a backup that may still fail. */
  draft(kept: Kept, bytes: Uint8Array): { keep(): void; discard(): void } {
    makeFolders(this.#folder, 0o700);
    const path = join(this.#folder, fileName(kept));
    const draft = `${path}${draftEnd}`;
    writeFileSync(draft, bytes, { mode: 0o600 });
    return {
      keep: () => {
        renameSync(draft, path);
        this.#prune(kept);
      },
      discard: () => rmSync(draft, { force: true }),
    };
  }

  /** Only the last full backup of a task is compared with, and tasks come and go. */
  #prune(last: Kept): void {
    const others = this.#list().filter(({ name }) => name !== fileName(last));
    let count = 1;
    let bytes = 0;
    for (const { name, taskId, sizeBytes, usedAt } of others.sort((a, b) => b.usedAt - a.usedAt)) {
      count += 1;
      bytes += sizeBytes;
      // A part is another job's that is under way, unless it is a day old.
      const isStale = name.endsWith(draftEnd) ? Date.now() - usedAt > 86_400_000 : taskId === last.taskId;
      if (isStale || count > maxKept || bytes > maxKeptBytes)
        rmSync(join(this.#folder, name), { force: true });
    }
  }

  #list(): { name: string; taskId: number; sizeBytes: number; usedAt: number }[] {
    return readdirSync(this.#folder).flatMap((name) => {
      const taskId = isIndex.exec(name)?.[1];
      const stat = statSync(join(this.#folder, name), { throwIfNoEntry: false });
      if (taskId === undefined || !stat) return [];
      return [{ name, taskId: Number(taskId), sizeBytes: stat.size, usedAt: stat.mtimeMs }];
    });
  }
}
