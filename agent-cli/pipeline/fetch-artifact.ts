import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { DamagedArtifact } from "./damaged.ts";
import { errorCode } from "./error-code.ts";
import type { RestoreJob } from "./pipeline.ts";

/** Room that a spooled artifact must leave free. */
const reserveBytes = 256 * 1024 * 1024;

/** Reads an artifact twice: once to prove it, once to use it. */
export type Artifact = {
  /** Bytes read in the current pass. */
  readonly fetchedBytes: number;
  /** The whole artifact; once it was read to its end without an error, size and hash were right. */
  first(): AsyncIterable<Uint8Array>;
  /** The same bytes again: from the work directory if they found room there, else fetched and checked anew. */
  second(): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
};

export async function openArtifact(job: RestoreJob): Promise<Artifact> {
  const stored = await job.storage.stat(job.key, { signal: job.signal });
  const spool = await Spool.create(job.workDir, job.expected.sizeBytes ?? stored?.sizeBytes ?? null);
  return new FetchedArtifact(job, spool);
}

class FetchedArtifact implements Artifact {
  fetchedBytes = 0;
  readonly #job: RestoreJob;
  readonly #spool: Spool | null;
  #sha256: string | null;

  constructor(job: RestoreJob, spool: Spool | null) {
    this.#job = job;
    this.#spool = spool;
    this.#sha256 = job.expected.sha256?.toLowerCase() ?? null;
  }

  async *first(): AsyncGenerator<Uint8Array> {
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
      throw new DamagedArtifact(`its size is not the ${expected.sizeBytes} bytes that were stored`);
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

  static async create(workDir: string, sizeBytes: number | null): Promise<Spool | null> {
    if (sizeBytes === null) return null;
    const { bavail, bsize } = await statfs(workDir);
    // Twice its size: what is restored may land on the same disk.
    if (bavail * bsize < 2 * sizeBytes + reserveBytes) return null;
    const path = join(workDir, "artifact");
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

  async *read(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    for await (const chunk of createReadStream(this.#path, { highWaterMark: 1024 * 1024, signal })) {
      yield chunk as Buffer;
    }
  }

  async remove(): Promise<void> {
    await this.#file?.close();
    this.#file = null;
    this.usable = false;
    await rm(this.#path, { force: true });
  }
}
