import { createHash } from "node:crypto";
import { closeSync, createReadStream, openSync, readSync } from "node:fs";
import { type FileHandle, open, rm, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { openFlags } from "../open-flags.ts";
import { DamagedArtifact } from "./damaged.ts";
import { errorCode } from "./error-code.ts";
import { hashFile } from "./hash-file.ts";
import type { StoredArtifact } from "./pipeline.ts";

/** What is smaller is hashed before another thread would have started. */
const minBytesForThread = 32 * 1024 * 1024;

/** Room that a spooled artifact must leave free. */
const reserveBytes = 256 * 1024 * 1024;

/** Reads an artifact twice, once to prove it and once to use it, or in parts. */
export type Artifact = {
  /** Bytes read in the current pass. */
  readonly fetchedBytes: number;
  /** The whole artifact; once it was read to its end without an error, size and hash were right. */
  first(): AsyncIterable<Uint8Array>;
  /** The same bytes again: from the work directory if they found room there, else fetched and checked anew. */
  second(): AsyncIterable<Uint8Array>;
  /** Reads the whole of it once; when it resolves, size and hash were right. */
  prove(): Promise<void>;
  /** A part of it at once, where it is a file of this machine: false when it must be asked for by `range`. */
  readNow(offset: number, target: Buffer): boolean;
  /** A part of it, from where it costs least. */
  range(offset: number, length: number): AsyncIterable<Uint8Array>;
  /** Null when nobody knows. */
  readonly sizeBytes: number | null;
  close(): Promise<void>;
};

type Fetching = StoredArtifact & { signal: AbortSignal };

/** `spoolPath` is where a copy may be put between the two readings; null for none. */
export async function openArtifact(job: Fetching, spoolPath: string | null): Promise<Artifact> {
  const stored = await job.storage.stat(job.key, { signal: job.signal });
  const known = job.expected.sizeBytes;
  if (stored && known !== null && stored.sizeBytes !== known) throw wrongSize(known);
  return new FetchedArtifact(job, known ?? stored?.sizeBytes ?? null, job.nearby ? null : spoolPath);
}

const wrongSize = (sizeBytes: number) =>
  new DamagedArtifact(`its size is not the ${sizeBytes} bytes that were stored`);

class FetchedArtifact implements Artifact {
  fetchedBytes = 0;
  readonly sizeBytes: number | null;
  readonly #job: Fetching;
  readonly #spoolPath: string | null;
  #spool: Spool | null = null;
  #sha256: string | null;
  /** Of its file on this machine, once that is open; -1 when there is none to be had. */
  #fd: number | null = null;

  constructor(job: Fetching, sizeBytes: number | null, spoolPath: string | null) {
    this.#job = job;
    this.sizeBytes = sizeBytes;
    this.#spoolPath = spoolPath;
    this.#sha256 = job.expected.sha256?.toLowerCase() ?? null;
  }

  async *first(): AsyncGenerator<Uint8Array> {
    this.fetchedBytes = 0;
    this.#spool = this.#spoolPath === null ? null : await Spool.create(this.#spoolPath, this.sizeBytes);
    for await (const chunk of this.#fetch()) {
      await this.#spool?.write(chunk);
      yield chunk;
    }
    await this.#spool?.complete();
  }

  async *second(): AsyncGenerator<Uint8Array> {
    this.fetchedBytes = 0;
    if (!this.#spool?.usable) yield* this.#fetch();
    else {
      for await (const chunk of this.#spool.read(this.#job.signal)) {
        this.fetchedBytes += chunk.length;
        yield chunk;
      }
    }
  }

  async prove(): Promise<void> {
    const { signal } = this.#job;
    const fd = (this.sizeBytes ?? 0) < minBytesForThread ? -1 : this.#descriptor();
    if (fd < 0) {
      for await (const _ of this.first()) signal.throwIfAborted();
      return;
    }
    const show = (bytes: number) => {
      this.fetchedBytes = bytes;
    };
    const { bytes, sha256 } = await hashFile(fd, signal, show);
    this.#requireExpected(bytes, sha256);
  }

  readNow(offset: number, target: Buffer): boolean {
    const fd = this.#descriptor();
    if (fd < 0) return false;
    for (let used = 0; used < target.length; ) {
      const read = readInto(fd, target, used, offset + used);
      if (read === 0) throw new DamagedArtifact("it is cut off");
      used += read;
    }
    this.fetchedBytes += target.length;
    return true;
  }

  /** What cannot be opened is left to the storage, which has the words for it. */
  #descriptor(): number {
    const { storage, key, nearby } = this.#job;
    const path = this.#spool?.usable ? this.#spoolPath : nearby ? (storage.pathOf?.(key) ?? null) : null;
    if (path === null) return -1;
    try {
      this.#fd ??= openSync(path, openFlags);
    } catch {
      this.#fd = -1;
    }
    return this.#fd;
  }

  async *range(offset: number, length: number): AsyncGenerator<Uint8Array> {
    if (length === 0) return;
    const { storage, key, signal } = this.#job;
    const range = { offset, length };
    const bytes = this.#spool?.usable
      ? this.#spool.read(signal, range)
      : await storage.get(key, { signal, range });
    let left = length;
    for await (const chunk of bytes) {
      signal.throwIfAborted();
      this.fetchedBytes += chunk.length;
      left -= chunk.length;
      if (left < 0) throw new DamagedArtifact("more of it came than was asked for");
      yield chunk;
    }
    if (left > 0) throw new DamagedArtifact("it is cut off");
  }

  async close(): Promise<void> {
    if (this.#fd !== null && this.#fd >= 0) closeSync(this.#fd);
    this.#fd = null;
    await this.#spool?.remove();
  }

  async *#fetch(): AsyncGenerator<Uint8Array> {
    const { storage, key, signal, expected } = this.#job;
    const hash = createHash("sha256");
    for await (const chunk of await storage.get(key, { signal })) {
      signal.throwIfAborted();
      hash.update(chunk);
      this.fetchedBytes += chunk.length;
      if (expected.sizeBytes !== null && this.fetchedBytes > expected.sizeBytes) break;
      yield chunk;
    }
    this.#requireExpected(this.fetchedBytes, hash.digest("hex"));
  }

  #requireExpected(bytes: number, sha256: string): void {
    const { sizeBytes } = this.#job.expected;
    if (sizeBytes !== null && bytes !== sizeBytes) throw wrongSize(sizeBytes);
    // Without a recorded hash, the second reading must at least be what the first one proved.
    this.#sha256 ??= sha256;
    if (sha256 !== this.#sha256) throw new DamagedArtifact("its SHA-256 is not the one that was recorded");
  }
}

function readInto(fd: number, target: Buffer, from: number, position: number): number {
  try {
    return readSync(fd, target, from, target.length - from, position);
  } catch (error) {
    throw new Error(`the backup could not be read: ${errorCode(error)}`, { cause: error });
  }
}

/** A copy of the artifact in the work directory. A copy that runs out of room is given up, not an error. */
class Spool {
  usable = false;
  readonly #path: string;
  #file: FileHandle | null;

  static async create(path: string, sizeBytes: number | null): Promise<Spool | null> {
    if (sizeBytes === null) return null;
    const { bavail, bsize } = await statfs(dirname(path));
    // Twice its size: what is restored may land on the same disk.
    if (bavail * bsize < 2 * sizeBytes + reserveBytes) return null;
    return new Spool(path, await open(path, "wx", 0o600));
  }

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (!this.#file) return;
    try {
      await this.#file.writeFile(chunk);
    } catch (error) {
      if (!["ENOSPC", "EDQUOT"].includes(errorCode(error))) throw error;
      await this.remove();
    }
  }

  async complete(): Promise<void> {
    this.usable = this.#file !== null;
    await this.#file?.close();
    this.#file = null;
  }

  async *read(signal: AbortSignal, range?: { offset: number; length: number }): AsyncGenerator<Uint8Array> {
    const part = range ? { start: range.offset, end: range.offset + range.length - 1 } : {};
    const options = { highWaterMark: 1024 * 1024, signal, ...part };
    for await (const chunk of createReadStream(this.#path, options)) yield chunk as Buffer;
  }

  async remove(): Promise<void> {
    await this.#file?.close();
    this.#file = null;
    this.usable = false;
    await rm(this.#path, { force: true });
  }
}
