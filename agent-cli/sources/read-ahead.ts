import type { PackThreads } from "../pipeline/pack-threads.ts";
import type { Tally } from "./source.ts";
import type { Step } from "./walk-base.ts";

/** So much of what is packed must come from a disk for reading ahead to be of use: it costs CPU time. */
const coldShare = 0.5;
const diskBlockBytes = 512;
/** So many entries ahead, and so many files in one request. */
const stepsAhead = 1024;
const filesAtOnce = 32;

/**
 * A disk answers several readers faster than one. While what is packed comes from a disk and not from memory, other
 * threads read the files that are next, so that whoever packs them finds them in the kernel's cache.
 */
export class ReadAhead {
  readonly #threads: PackThreads;
  readonly #tally: Tally;
  #isCold = false;
  #packedBytes = 0;
  #diskBlocks = process.resourceUsage().fsRead;

  constructor(threads: PackThreads, tally: Tally) {
    this.#threads = threads;
    this.#tally = tally;
  }

  /** To be called now and then: sees where what was packed since the last time came from. */
  look(): void {
    const { fsRead } = process.resourceUsage();
    const packed = this.#tally.sourceBytes - this.#packedBytes;
    this.#isCold = packed > 0 && (fsRead - this.#diskBlocks) * diskBlockBytes > packed * coldShare;
    this.#diskBlocks = fsRead;
    this.#packedBytes = this.#tally.sourceBytes;
  }

  /** The same steps, some of them known before they are due. */
  *through(steps: Iterable<Step>): Generator<Step> {
    const ahead: Step[] = [];
    let files: Buffer[] = [];
    for (const step of steps) {
      if (!this.#isCold && ahead.length === 0) {
        yield step;
        continue;
      }
      ahead.push(step);
      if (step.kind === "file") files.push(step.path);
      if (files.length === filesAtOnce) {
        this.#read(files);
        files = [];
      }
      while (ahead.length > (this.#isCold ? stepsAhead : 0)) yield ahead.shift() as Step;
    }
    yield* ahead;
  }

  #read(files: readonly Buffer[]): void {
    // A thread that breaks down is told of by whoever waits for one.
    this.#threads.readAhead(files).catch(() => {});
  }
}
