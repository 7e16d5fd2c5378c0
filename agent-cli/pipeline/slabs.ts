/**
 * One slab becomes one frame. Twice the size compresses up to 1 % better and costs some 30 MiB, for each frame in flight is
 * held twice over.
 */
export const slabBytes = 2 * 1024 * 1024;
const maxIdle = 4;

/** Where a writer gets its next slab from. */
export type SlabSource = { take(): Buffer };

/**
 * Large buffers that are used again once their content was compressed. Left to the garbage collector they pile up:
 * it sees a small object and is in no hurry.
 */
export class SlabPool implements SlabSource {
  readonly #idle: Buffer[] = [];

  take(): Buffer {
    return this.#idle.pop() ?? Buffer.allocUnsafeSlow(slabBytes);
  }

  /** Takes a slab back, of which nobody may hold a view any longer. */
  give(slab: ArrayBufferLike): void {
    if (slab.byteLength !== slabBytes) throw new Error("only whole slabs are used again");
    if (this.#idle.length < maxIdle) this.#idle.push(Buffer.from(slab));
  }
}
