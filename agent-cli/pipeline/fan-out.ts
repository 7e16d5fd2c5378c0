import type { StoredObject } from "../storage/storage.ts";
import { Channel } from "./channel.ts";
import type { BackupTarget, TargetResult } from "./pipeline.ts";

/** What may wait for the slowest target. Drivers buffer their own parts, so more would only cost memory. */
const maxWaitingBytes = 4 * 1024 * 1024;

/** Nothing was stored, because every target failed. */
export class AllTargetsFailed extends Error {
  readonly targets: TargetResult[];
  constructor(targets: TargetResult[]) {
    super(
      `no target could store the backup: ${targets.map(({ name, error }) => `${name}: ${error}`).join("; ")}`,
    );
    this.name = "AllTargetsFailed";
    this.targets = targets;
  }
}

/** Sends one stream to all targets at once, at the pace of the slowest one that still works. */
export class FanOut {
  /** The stream has ended, and the targets are completing what they got. */
  finishing = false;
  readonly #outlets: Outlet[];
  readonly #signal: AbortSignal;
  readonly #free: (piece: Uint8Array) => void;

  /** `free` is given each piece of the stream that no target needs any longer; it may use its memory again. */
  constructor(
    targets: readonly BackupTarget[],
    signal: AbortSignal,
    free: (piece: Uint8Array) => void = () => {},
  ) {
    if (targets.length === 0) throw new Error("the backup has no storage target");
    this.#outlets = targets.map((target) => new Outlet(target, signal));
    this.#signal = signal;
    this.#free = free;
  }

  /** What the slowest of the targets that still take bytes has passed on; infinite when there is none. */
  get passedOnBytes(): number {
    const open = this.#outlets.filter((outlet) => outlet.open);
    return Math.min(...open.map((outlet) => outlet.passedOnBytes));
  }

  /** Resolves when every target has ended one way or the other; throws when the stream breaks or all targets fail. */
  async run(source: AsyncIterable<Uint8Array>): Promise<TargetResult[]> {
    for (const outlet of this.#outlets) outlet.start();
    const stop = () => this.#failAll(this.#signal.reason);
    this.#signal.addEventListener("abort", stop, { once: true });
    try {
      await this.#feed(source);
      return await this.#results();
    } catch (error) {
      this.#failAll(error);
      await Promise.all(this.#outlets.map((outlet) => outlet.settled()));
      throw this.#signal.aborted ? this.#signal.reason : error;
    } finally {
      this.#signal.removeEventListener("abort", stop);
    }
  }

  async #feed(source: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of source) {
      this.#signal.throwIfAborted();
      const done = lastOf(this.#outlets.length, () => this.#free(chunk));
      await Promise.all(this.#outlets.map((outlet) => outlet.send(chunk, done)));
      this.#signal.throwIfAborted();
      if (this.#outlets.every((outlet) => !outlet.open)) break;
    }
    for (const outlet of this.#outlets) outlet.end();
    this.finishing = true;
  }

  async #results(): Promise<TargetResult[]> {
    const results = await Promise.all(this.#outlets.map((outlet) => outlet.settled()));
    this.#signal.throwIfAborted();
    if (results.every(({ status }) => status === "failed")) throw new AllTargetsFailed(results);
    return results;
  }

  #failAll(error: unknown): void {
    for (const outlet of this.#outlets) outlet.fail(error);
  }
}

/** A function that, once it was called so often, does what is to be done in the end. */
function lastOf(count: number, action: () => void): () => void {
  let left = count;
  return () => {
    left -= 1;
    if (left === 0) action();
  };
}

/** One target's end of the stream. */
class Outlet {
  readonly #target: BackupTarget;
  readonly #channel = new Channel(maxWaitingBytes);
  readonly #abort = new AbortController();
  readonly #signal: AbortSignal;
  #sent = 0;
  #failure: unknown = null;
  #result: Promise<TargetResult> | null = null;
  open = true;
  passedOnBytes = 0;

  constructor(target: BackupTarget, signal: AbortSignal) {
    this.#target = target;
    this.#signal = AbortSignal.any([signal, this.#abort.signal]);
  }

  start(): void {
    this.#result = this.#put().finally(() => {
      this.open = false;
      this.#channel.abandon();
    });
  }

  /** `done` is called when this target has no more need of the chunk, and never when it fails before. */
  async send(chunk: Uint8Array, done: () => void): Promise<void> {
    if (!this.open) return done();
    const quota = this.#target.quotaRemainingBytes;
    if (quota !== null && this.#sent + chunk.length > quota) {
      this.fail(
        new Error(`the quota of this target is used up: only ${quota} more bytes may be written to it`),
      );
      return;
    }
    this.#sent += chunk.length;
    await this.#channel.send(chunk, done);
  }

  end(): void {
    this.#channel.end();
  }

  /** Breaks the upload, so that nothing becomes visible, and remembers why. */
  fail(error: unknown): void {
    if (!this.open) return;
    this.open = false;
    this.#failure ??= error;
    this.#channel.fail(error);
    this.#abort.abort(error);
  }

  async settled(): Promise<TargetResult> {
    if (!this.#result) throw new Error("the upload was not started");
    return await this.#result;
  }

  async #put(): Promise<TargetResult> {
    const { storage, key } = this.#target;
    try {
      const onBytes = (bytes: number) => {
        this.passedOnBytes += bytes;
      };
      const stored = await storage.put(key, this.#channel, { signal: this.#signal, onBytes });
      const error = this.#failure ?? this.#incomplete(stored);
      return this.#toResult(error);
    } catch (error) {
      return this.#toResult(this.#failure ?? error);
    }
  }

  #incomplete(stored: StoredObject): Error | null {
    if (!this.#channel.delivered) return new Error("the upload ended before the backup did");
    if (stored.sizeBytes === this.#sent) return null;
    return new Error(`${stored.sizeBytes} bytes were stored, not ${this.#sent}`);
  }

  #toResult(error: unknown): TargetResult {
    const { id, name } = this.#target;
    if (error === null) return { id, name, status: "success", sizeBytes: this.#sent, error: null };
    const text = error instanceof Error ? error.message : String(error);
    return { id, name, status: "failed", sizeBytes: 0, error: text };
  }
}
