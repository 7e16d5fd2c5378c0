import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, rm, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { DamagedArtifact } from "./damaged.ts";
import { errorCode } from "./error-code.ts";
import type { StoredArtifact } from "./pipeline.ts";

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
    if (expected.sizeBytes !== null && this.fetchedBytes !== expected.sizeBytes) {
      throw wrongSize(expected.sizeBytes);
    }
    const sha256 = hash.digest("hex");
    // Without a recorded hash, the second reading must at least be what the first one proved.
    this.#sha256 ??= sha256;
    if (sha256 !== this.#sha256) throw new DamagedArtifact("its SHA-256 is not the one that was recorded");
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
