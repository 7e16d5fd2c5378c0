import { SHARE_ENV, Worker } from "node:worker_threads";
import type { ComparedSegment, CompareSettings } from "../sources/compare-segment.ts";
import { sealAndRelease } from "./age-payload.ts";
import { favourFeeder } from "./favour-feeder.ts";
import { checkedLevel, type FrameEncoder, frameEncoder } from "./frame-encoder.ts";
import type { Segment } from "./index-entries.ts";
import { ownMemory, release } from "./own-memory.ts";
import type { Answer, Ask, Frame, RequestKind, Requests } from "./pack-requests.ts";
import { packersOf } from "./packers.ts";
import type { Compression } from "./pipeline.ts";
import { SlabPool } from "./slabs.ts";
import { threadEntry } from "./thread-entry.ts";

/** What packing a source needs to know; `compare` is for comparing with a base. */
type PackSettings = {
  compression: Compression;
  level: number | null;
  /** Whether each frame of zstd's carries a checksum of its content. */
  frameChecksums: boolean;
  /** How many are to be at work at once; null leaves it to the machine. */
  threads: number | null;
  compare: CompareSettings | null;
};

/** Threads that wait for a disk leave the processor to others. */
const leastReaders = 3;

/**
 * The next requests wait at the thread already, so that it does not idle until this one gets round to it. Readers are small
 * and many: with two of them waiting, a cold disk was idle for a third of the time.
 */
const asksPerThread: Record<RequestKind, number> = { compare: 2, seal: 2, readAhead: 8 };

/**
 * Who works beside this thread: Node's own threads, which compress, and JavaScript threads of ours, which compare, seal and
 * read ahead. Of those, one that ends before its time breaks all that was asked and whatever is asked afterwards, so that
 * nobody waits for an answer that will not come.
 */
export class PackThreads {
  readonly slabs = new SlabPool();
  readonly compression: Compression;
  readonly #level: number | null;
  readonly #frameChecksums: boolean;
  #encode: FrameEncoder | null = null;
  readonly #compare: CompareSettings | null;
  readonly #threads: Thread[] = [];
  readonly #waiting: Waiting[] = [];
  /** What breaks those who wait for a frame. */
  readonly #inWork = new Set<(error: Error) => void>();
  readonly #most: number;
  readonly #mostReaders: number;
  /** Slabs, as far as they were filled, that go on without being compressed. */
  readonly #sentAsIs = new WeakSet<Uint8Array>();
  /** Frames, whose memory is nobody else's though they may not fill it. */
  readonly #frames = new WeakSet<Uint8Array>();
  #failure: Error | null = null;

  constructor({ compression, level, frameChecksums, threads, compare }: PackSettings) {
    this.compression = compression;
    this.#frameChecksums = frameChecksums;
    this.#most = packersOf(threads);
    this.#mostReaders = threads ?? Math.max(this.#most, leastReaders);
    this.#level = compression === "none" ? null : checkedLevel(compression, level);
    this.#compare = compare;
  }

  /** How many pieces to have in work at once: two more than threads, so that none idles while one is awaited. */
  readonly inFlight = (): number => this.#most + 2;

  /** How many are at work at once. */
  get count(): number {
    return this.#most;
  }

  /** A slab's first bytes as one frame, which may be the slab itself; otherwise that is used again. */
  async frame(slab: ArrayBuffer, used: number): Promise<Frame> {
    if (this.#failure) throw this.#failure;
    const plain = new Uint8Array(slab, 0, used);
    if (this.compression === "none") {
      this.#sentAsIs.add(plain);
      return { bytes: plain, plainBytes: used };
    }
    const bytes = await this.#unlessFailed(this.#encoded(plain, this.compression));
    this.#frames.add(bytes);
    this.slabs.give(slab);
    return { bytes, plainBytes: used };
  }

  /** Takes back the memory of what was sent, unless it is a part of something that may still be needed. */
  takeBack(sent: Uint8Array): void {
    if (this.#sentAsIs.has(sent)) this.slabs.give(sent.buffer);
    else if (this.#frames.has(sent) || sent.length === sent.buffer.byteLength) release(sent);
  }

  /** Node ends no frame before its time, which at the highest levels is seconds. Whoever is stopped does not wait for it. */
  #unlessFailed<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#inWork.add(reject);
      work.then(resolve, reject).finally(() => this.#inWork.delete(reject));
    });
  }

  /** The encoder is made for the first frame: a differential run may come to none. */
  async #encoded(plain: Uint8Array, compression: "zstd" | "gzip"): Promise<Uint8Array> {
    const isFirst = this.#encode === null;
    // One more than are at work waits among Node's threads already: this one is not always there to hand it over.
    this.#encode ??= frameEncoder({
      compression,
      level: this.#level,
      checksum: this.#frameChecksums,
      most: this.#most + 1,
    });
    const frame = await this.#encode(plain);
    if (isFirst) favourFeeder();
    return frame;
  }

  /** What has become of the entries of a base's segment. */
  async compare({ packed, plainBytes, count }: Segment): Promise<ComparedSegment> {
    const bytes = new Uint8Array(packed);
    const ask = { packed: bytes, plainBytes, count };
    const compared = await this.#ask("compare", ask, [bytes.buffer]);
    const { first, last, roots } = compared;
    // What has come from a thread is plain bytes.
    return {
      ...compared,
      first: Buffer.from(first),
      last: Buffer.from(last),
      roots: roots.map((root) => Buffer.from(root)),
    };
  }

  /** Starts a thread before there is something to seal: it takes as long to begin as some frames to be made. */
  expectSealing(): void {
    if (this.#sealsInThread) this.#threads.push(this.#start());
  }

  /**
   * Seals before anything else: what is compressed already waits for it. With two frames in work at once, those who make
   * them are what all wait for, and a thread that has to share their processors costs more than it takes off this one.
   */
  async seal(run: Requests["seal"]["ask"]): Promise<Uint8Array> {
    if (!this.#sealsInThread) return sealAndRelease(run);
    const moved = [run.tail, run.bytes].map(ownMemory).filter((memory) => memory !== null);
    const { sealed } = await this.#ask("seal", run, moved);
    return sealed;
  }

  get #sealsInThread(): boolean {
    return this.#most > 2;
  }

  #start(): Thread {
    return new Thread(this.#compare, (error) => this.fail(error));
  }

  /** Has files read that are about to be packed. */
  async readAhead(paths: readonly Buffer[]): Promise<void> {
    // As texts: of a small buffer, all of the pool that it lies in would be copied.
    await this.#ask("readAhead", { paths: paths.map((path) => path.toString("latin1")) }, []);
  }

  /** Breaks everything that was asked, and whatever will be. */
  fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
    for (const reject of this.#inWork) reject(this.#failure);
    for (const thread of this.#threads) thread.fail(this.#failure);
  }

  /** Ends all threads, whatever they are doing, and waits until they are gone. */
  async close(): Promise<void> {
    this.fail(new Error("the packing threads are closed"));
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }

  async #ask<K extends RequestKind>(
    kind: K,
    ask: Requests[K]["ask"],
    moved: ArrayBuffer[],
  ): Promise<Requests[K]["answer"]> {
    if (this.#failure) throw this.#failure;
    const thread = await this.#freeThread(kind);
    try {
      return await thread.ask(kind, ask, moved);
    } finally {
      this.#waiting.shift()?.resolve(thread);
    }
  }

  /** One thread seals more than a gigabyte a second. */
  #mostFor(kind: RequestKind): number {
    if (kind === "seal") return 1;
    return kind === "readAhead" ? this.#mostReaders : this.#most;
  }

  /** A thread that has room for one more request; the place is kept for whoever asked first. */
  #freeThread(kind: RequestKind): Thread | Promise<Thread> {
    const idle = this.#threads.find(({ asked }) => asked === 0);
    if (idle) return idle;
    if (this.#threads.length < this.#mostFor(kind)) {
      const started = this.#start();
      this.#threads.push(started);
      return started;
    }
    const least = this.#threads.reduce((a, b) => (b.asked < a.asked ? b : a));
    if (least.asked < asksPerThread[kind]) return least;
    return new Promise((resolve, reject) => {
      // What is to be sealed is compressed already, and waits in memory.
      if (kind === "seal") this.#waiting.unshift({ resolve, reject });
      else this.#waiting.push({ resolve, reject });
    });
  }
}

type Waiting = { resolve(thread: Thread): void; reject(error: Error): void };
type Pending = { resolve(answer: never): void; reject(error: Error): void };

/** One thread and what it was asked. */
class Thread {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #next = 0;
  #failure: Error | null = null;
  #closing = false;

  constructor(settings: CompareSettings | null, onFailure: (error: Error) => void) {
    this.#worker = new Worker(threadEntry("pack-thread"), {
      workerData: settings,
      env: SHARE_ENV,
      execArgv: [],
      // They leave little behind; what they may keep of it counts for each of them.
      resourceLimits: { maxYoungGenerationSizeMb: 1 },
    });
    this.#worker.on("message", (answer: Answer) => this.#settle(answer));
    this.#worker.on("error", (error) =>
      onFailure(broken(error instanceof Error ? error.message : String(error))),
    );
    this.#worker.on("exit", (code) => {
      if (!this.#closing) onFailure(broken(`it ended with code ${code}`));
    });
  }

  /** How many requests it has not answered. */
  get asked(): number {
    return this.#pending.size;
  }

  ask<K extends RequestKind>(
    kind: K,
    ask: Requests[K]["ask"],
    moved: ArrayBuffer[],
  ): Promise<Requests[K]["answer"]> {
    if (this.#failure) return Promise.reject(this.#failure);
    this.#next += 1;
    const id = this.#next;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#worker.postMessage({ id, kind, ask } as Ask, moved);
    });
  }

  fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }

  async close(): Promise<void> {
    this.#closing = true;
    await this.#worker.terminate();
  }

  #settle(answer: Answer): void {
    const pending = this.#pending.get(answer.id);
    this.#pending.delete(answer.id);
    if ("error" in answer) pending?.reject(new Error(answer.error));
    else pending?.resolve(answer.answer as never);
  }
}

const broken = (reason: string) => new Error(`a packing thread broke down: ${reason}`);
