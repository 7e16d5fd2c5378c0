import { availableParallelism } from "node:os";
import { SHARE_ENV, Worker } from "node:worker_threads";
import type { ComparedSegment } from "../sources/compare-segment.ts";
import type { Segment } from "./index-entries.ts";
import type {
  Answer,
  Ask,
  FilePart,
  Frame,
  PackedBatch,
  RequestKind,
  Requests,
  ThreadSettings,
} from "./pack-requests.ts";
import { SlabPool } from "./slabs.ts";

/** Each thread holds some 20 MB, so more of them are started only where the task says so. */
const mostByDefault = 4;

/** So much of what is packed must come from the disk for more threads than cores to be of use. */
const coldShare = 0.5;
const diskBlockBytes = 512;

/** The next request waits at the thread already, so that it does not idle until this one gets round to it. */
const asksPerThread = 2;

/**
 * Threads that pack: they read files, compress and seal. One that ends before its time breaks all that was asked and
 * whatever is asked afterwards, so that nobody waits for an answer that will not come.
 */
export class PackThreads {
  readonly slabs = new SlabPool();
  readonly compression: ThreadSettings["compression"];
  readonly #settings: ThreadSettings;
  readonly #threads: Thread[] = [];
  readonly #waiting: Waiting[] = [];
  readonly #most: number;
  #target: number;
  #reader: Thread | null = null;
  #failure: Error | null = null;
  #diskBlocks = process.resourceUsage().fsRead;

  constructor(settings: ThreadSettings, threads: number | null) {
    this.#settings = settings;
    this.compression = settings.compression;
    this.#target = threads ?? Math.min(availableParallelism(), mostByDefault);
    this.#most = threads ?? mostByDefault;
  }

  /** How many pieces to have in work at once: two more than threads, so that none idles while one is awaited. */
  readonly inFlight = (): number => this.#target + 2;

  /** How many threads there are to be at the start. */
  get count(): number {
    return this.#target;
  }

  /** A slab's first bytes as one frame. The slab is used again. */
  async frame(slab: ArrayBuffer, used: number): Promise<Frame> {
    const answer = await this.#ask("frame", { slab, used }, [slab]);
    this.slabs.give(answer.slab);
    return answer.frame;
  }

  async files(batch: Uint8Array): Promise<PackedBatch> {
    const packed = await this.#ask("files", { batch }, [batch.buffer as ArrayBuffer]);
    if (this.#target < this.#most) this.#lookAtDisk(packed.sourceBytes);
    return packed;
  }

  /** Threads that wait for a disk leave the processor to others. */
  #lookAtDisk(packedBytes: number): void {
    const { fsRead } = process.resourceUsage();
    const readBytes = (fsRead - this.#diskBlocks) * diskBlockBytes;
    this.#diskBlocks = fsRead;
    if (packedBytes > 0 && readBytes > packedBytes * coldShare) this.#target += 1;
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

  /** Seals before anything else: what is compressed already waits for it. */
  async seal(run: Requests["seal"]["ask"]): Promise<Uint8Array> {
    const { buffer } = run.bytes;
    const { sealed } = await this.#ask("seal", run, buffer instanceof ArrayBuffer ? [buffer] : [], true);
    return sealed;
  }

  /** Begins a file that is read part by part, by a thread beside the others. */
  async open(batch: Uint8Array): Promise<void> {
    await this.#read("open", { batch }, batch.buffer as ArrayBuffer);
  }

  /** The open file's next part, in the slab that is given or one that was given before. */
  part(slab: ArrayBuffer): Promise<FilePart> {
    return this.#read("part", { slab }, slab);
  }

  async #read<K extends "open" | "part">(kind: K, ask: Requests[K]["ask"], moved: ArrayBuffer) {
    if (this.#failure) throw this.#failure;
    this.#reader ??= this.#start();
    return this.#reader.ask(kind, ask, [moved]);
  }

  /** Breaks everything that was asked, and whatever will be. */
  fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
    for (const thread of this.#all()) thread.fail(this.#failure);
  }

  /** Ends all threads, whatever they are doing, and waits until they are gone. */
  async close(): Promise<void> {
    this.fail(new Error("the packing threads are closed"));
    await Promise.all(this.#all().map((thread) => thread.close()));
  }

  #all(): Thread[] {
    return this.#reader ? [...this.#threads, this.#reader] : this.#threads;
  }

  #start(): Thread {
    return new Thread(this.#settings, (error) => this.fail(error));
  }

  async #ask<K extends RequestKind>(
    kind: K,
    ask: Requests[K]["ask"],
    moved: ArrayBuffer[],
    urgent = false,
  ): Promise<Requests[K]["answer"]> {
    if (this.#failure) throw this.#failure;
    const thread = await this.#freeThread(urgent);
    try {
      return await thread.ask(kind, ask, moved);
    } finally {
      this.#waiting.shift()?.resolve(thread);
    }
  }

  /** A thread that has room for one more request; the place is kept for whoever asked first. */
  #freeThread(urgent: boolean): Thread | Promise<Thread> {
    const idle = this.#threads.find(({ asked }) => asked === 0);
    if (idle) return idle;
    if (this.#threads.length < this.#target) {
      const started = this.#start();
      this.#threads.push(started);
      return started;
    }
    const least = this.#threads.reduce((a, b) => (b.asked < a.asked ? b : a));
    if (least.asked < asksPerThread) return least;
    return new Promise((resolve, reject) => {
      if (urgent) this.#waiting.unshift({ resolve, reject });
      else this.#waiting.push({ resolve, reject });
    });
  }
}

type Waiting = { resolve(thread: Thread): void; reject(error: Error): void };
type Pending = { resolve(answer: never): void; reject(error: Error): void };

// The package carries the thread's entry beside the others; run from its sources, it lies beside this file.
const entry = new URL(
  import.meta.url.endsWith(".ts") ? "./pack-thread.ts" : "./pack-thread.js",
  import.meta.url,
);

/** One thread and what it was asked. */
class Thread {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #next = 0;
  #failure: Error | null = null;
  #closing = false;

  constructor(settings: ThreadSettings, onFailure: (error: Error) => void) {
    this.#worker = new Worker(entry, { workerData: settings, env: SHARE_ENV, execArgv: [] });
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
