import { closeSync, createReadStream, openSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import type { FileSum } from "../file-sum.ts";
import { FileSumming } from "../file-summing.ts";
import { contentSize, type TarEntry } from "../tar-entry.ts";
import type { TarHandler } from "../untar.ts";
import type { IndexCheck } from "./index-check.ts";

/** One thing as a backup has it; names as in the archive, without a slash at either end. */
export type ListedEntry = {
  path: Buffer;
  type: TarEntry["type"];
  mode: number;
  uid: number;
  gid: number;
  /** Bytes on disk, holes included. */
  size: number;
  mtimeNs: bigint;
  linkPath: Buffer | null;
  /** Of a file's content: as it is on disk, holes read as zeros; or, of one with holes, as an archive stores it. */
  sum: FileSum | null;
  asStored: boolean;
};

const flushChars = 1024 * 1024;
const zeros = Buffer.alloc(1024 * 1024);

export type ListOptions = {
  /** Where to write down what the archive holds: on disk and not in memory, for it may be millions. Null: nowhere. */
  file: string | null;
  /** What the archive must hold. */
  index: IndexCheck | null;
};

/** Takes note of an archive while it is read: counts, compares with its index, writes down. */
export class ArchiveList implements TarHandler {
  entries = 0;
  bytes = 0;
  currentPath: Buffer | null = null;
  readonly #options: ListOptions;
  readonly #fd: number;
  #waiting = "";
  #entry: TarEntry | null = null;
  /** Of its content as it is on disk, for the list. */
  #onDisk: FileSumming | null = null;
  #at = 0;

  constructor(options: ListOptions) {
    this.#options = options;
    this.#fd = options.file === null ? -1 : openSync(options.file, "wx", 0o600);
  }

  entry(entry: TarEntry): void {
    const { file, index } = this.#options;
    const isBackedUp = index?.entry(entry) ?? true;
    if (isBackedUp) this.entries += 1;
    this.currentPath = entry.path;
    this.#at = 0;
    this.#entry = entry;
    if (entry.type !== "file") return this.#note(null);
    if (isBackedUp) this.bytes += contentSize(entry);
    this.#onDisk = file === null ? null : new FileSumming();
  }

  sparseMap(map: Buffer): void {
    this.#options.index?.content(map);
  }

  data(bytes: Buffer, offset: number): void {
    this.#fillHole(offset);
    this.#onDisk?.add(bytes);
    this.#options.index?.content(bytes);
    this.#at = offset + bytes.length;
  }

  endEntry(): void {
    const entry = this.#entry;
    if (!entry) return;
    this.#fillHole(contentSize(entry));
    this.#options.index?.endContent();
    this.#note(this.#onDisk?.sum() ?? null);
  }

  /** To be called when the archive was read to its end. */
  finish(): void {
    this.#flush();
    this.#options.index?.finish();
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
  }

  #fillHole(until: number): void {
    for (; this.#onDisk !== null && this.#at < until; this.#at += zeros.length) {
      this.#onDisk.add(zeros.subarray(0, Math.min(zeros.length, until - this.#at)));
    }
    this.#at = until;
  }

  #note(sum: FileSum | null): void {
    const entry = this.#entry;
    this.#entry = null;
    if (!entry || this.#fd < 0) return;
    const { path, type, mode, uid, gid, mtimeNs, linkPath } = entry;
    const fields = [type, mode, uid, gid, contentSize(entry), `${mtimeNs}`, sum];
    this.#waiting += `${JSON.stringify([text(path), text(linkPath), ...fields])}\n`;
    if (this.#waiting.length >= flushChars) this.#flush();
  }

  #flush(): void {
    const bytes = Buffer.from(this.#waiting);
    this.#waiting = "";
    if (this.#fd < 0) return;
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
  }
}

/** Reads such a list back, in the order of the archive. */
export async function* readList(path: string): AsyncGenerator<ListedEntry> {
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY });
  for await (const line of lines) {
    const [name, link, type, mode, uid, gid, size, mtime, sum] = JSON.parse(line);
    yield {
      path: withoutSlash(Buffer.from(name, "base64")),
      type,
      mode,
      uid,
      gid,
      size,
      mtimeNs: BigInt(mtime),
      linkPath: link === null ? null : Buffer.from(link, "base64"),
      sum,
      asStored: false,
    };
  }
}

const text = (name: Buffer | null): string | null => name?.toString("base64") ?? null;

/** Directories have one at their end in an archive. */
export const withoutSlash = (path: Buffer): Buffer =>
  path.length > 1 && path.at(-1) === 0x2f ? path.subarray(0, -1) : path;
