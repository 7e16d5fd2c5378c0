import { setImmediate } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { DamagedArtifact } from "./damaged.ts";
import type { MemberPath } from "./member-path.ts";
import type { Warning } from "./pipeline.ts";
import { type ExtractionPart, type ExtractionTally, SegmentExtractor } from "./segment-extractor.ts";
import type { PlacedFrame } from "./segments.ts";
import { slabBytes } from "./slabs.ts";
import { threadEntry } from "./thread-entry.ts";
import type { WarningList } from "./warnings.ts";

/** Takes segments to be written, one frame after the other. A method that rejects has left no half-written file. */
export type ExtractionLane = {
  begin(members: Buffer): void;
  /** Where the next frame of so many bytes is to be put; it is used for one after the other. */
  room(bytes: number): Buffer<ArrayBuffer>;
  /** Takes what was put into its room. Resolves when it can take another one. */
  frame(frame: PlacedFrame, compressed: Buffer<ArrayBuffer>): Promise<void>;
  end(): void;
  readonly tally: ExtractionTally;
  /** Resolves when everything is written; says where members that others link to are. */
  finish(): Promise<Iterable<readonly [string, MemberPath]>>;
  close(): Promise<void>;
};

export type ToExtractor =
  | { type: "prepare"; part: ExtractionPart }
  | { type: "begin"; members: Uint8Array }
  | { type: "frame"; frame: PlacedFrame; compressed: Uint8Array<ArrayBuffer> }
  | { type: "end" }
  | { type: "finish" }
  | { type: "close" };

export type FromExtractor =
  | { type: "written"; tally: ExtractionTally; room: ArrayBuffer }
  | { type: "warning"; warning: Warning }
  | { type: "failed"; message: string; damaged: boolean }
  | {
      type: "finished";
      tally: ExtractionTally;
      restoredTargets: { key: string; path: Uint8Array[] }[];
    };

/** Writes in this thread: for a few files, another one would only cost its start. */
export function ownLane(part: ExtractionPart, warnings: WarningList): ExtractionLane {
  const extractor = new SegmentExtractor(part, warnings);
  let room = Buffer.alloc(0);
  return {
    begin: (members) => extractor.begin(members),
    room(bytes) {
      if (bytes > room.length) room = Buffer.allocUnsafeSlow(bytes);
      return room.subarray(0, bytes);
    },
    async frame(frame, compressed) {
      extractor.frame(frame, compressed);
      // Whatever else is to be done in this thread gets its turn: feeding the others above all.
      await setImmediate();
    },
    end: () => extractor.end(),
    get tally() {
      return extractor.tally;
    },
    finish: async () => extractor.restoredTargets,
    close: async () => extractor.close(),
  };
}

const maxFramesWaiting = 6;
/** As much as a frame of the packer's can be. */
const roomBytes = slabBytes + slabBytes / 64;

/** Writes in a thread of its own, which starts at once and writes nothing before it was prepared. */
export class ThreadLane implements ExtractionLane {
  tally: ExtractionTally = { entries: 0, bytes: 0, currentPath: null };
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  readonly #warnings: WarningList;
  readonly #rooms: ArrayBuffer[] = [];
  #waiting = 0;
  #failure: Error | null = null;
  #finished: Map<string, MemberPath> | null = null;
  #wake: () => void = () => {};

  constructor(warnings: WarningList) {
    this.#warnings = warnings;
    this.#worker = new Worker(threadEntry("extract-worker"));
    this.#exited = new Promise((resolve) =>
      this.#worker.once("exit", () => {
        this.#fail(new Error("a thread of the restore ended by itself"));
        resolve();
      }),
    );
    this.#worker.on("message", (message: FromExtractor) => this.#hear(message));
    this.#worker.on("error", (error) => this.#fail(error));
  }

  prepare(part: ExtractionPart): void {
    this.#say({ type: "prepare", part });
  }

  begin(members: Buffer): void {
    this.#say({ type: "begin", members });
  }

  room(bytes: number): Buffer<ArrayBuffer> {
    if (bytes > roomBytes) return Buffer.allocUnsafeSlow(bytes);
    return Buffer.from(this.#rooms.pop() ?? new ArrayBuffer(roomBytes), 0, bytes);
  }

  async frame(frame: PlacedFrame, compressed: Buffer<ArrayBuffer>): Promise<void> {
    this.#waiting += 1;
    this.#say({ type: "frame", frame, compressed });
    while (this.#waiting >= maxFramesWaiting && !this.#failure) await this.#change();
    if (this.#failure) throw this.#failure;
  }

  end(): void {
    this.#say({ type: "end" });
  }

  async finish(): Promise<Map<string, MemberPath>> {
    this.#say({ type: "finish" });
    while (!this.#finished && !this.#failure) await this.#change();
    if (this.#failure) throw this.#failure;
    return this.#finished ?? new Map();
  }

  async close(): Promise<void> {
    this.#say({ type: "close" });
    await this.#exited;
  }

  #say(message: ToExtractor): void {
    this.#worker.postMessage(message, bytesToGive(message));
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #hear(message: FromExtractor): void {
    if (message.type === "warning") this.#warnings.add(message.warning.path, message.warning.reason);
    else if (message.type === "failed")
      this.#fail(message.damaged ? DamagedArtifact.again(message.message) : new Error(message.message));
    else this.#advance(message);
  }

  #advance(message: Extract<FromExtractor, { type: "written" | "finished" }>): void {
    this.tally = message.tally;
    if (message.type === "written") {
      this.#waiting -= 1;
      if (message.room.byteLength === roomBytes) this.#rooms.push(message.room);
    } else {
      const asBuffers = (path: Uint8Array[]) => path.map((name) => Buffer.from(name));
      this.#finished = new Map(message.restoredTargets.map(({ key, path }) => [key, asBuffers(path)]));
    }
    this.#wake();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#wake();
  }
}

/** Members are copied, for they are few and may lie in memory that others use. */
const bytesToGive = (message: ToExtractor): ArrayBuffer[] =>
  message.type === "frame" ? [message.compressed.buffer] : [];
