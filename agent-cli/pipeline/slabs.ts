/**
 * One slab becomes one zstd frame. Twice the size compresses 0.2 % better and costs some 30 MiB, for each frame in flight is
 * held twice over.
 */
export const slabBytes = 2 * 1024 * 1024;
const maxIdle = 8;

/**
 * Large buffers that are used again once their content was compressed. Left to the garbage collector they pile up:
 * it sees a small object and is in no hurry.
 */
export class SlabPool {
  readonly #idle: Buffer[] = [];
  readonly #own = new WeakSet<ArrayBufferLike>();

  take(): Buffer {
    const idle = this.#idle.pop();
    if (idle) return idle;
    const slab = Buffer.allocUnsafeSlow(slabBytes);
    this.#own.add(slab.buffer);
    return slab;
  }

  /** Takes a slab back, of which nobody may hold a view any longer. Other buffers are ignored. */
  give(bytes: Uint8Array): void {
    if (!this.#own.has(bytes.buffer) || this.#idle.length >= maxIdle) return;
    this.#idle.push(Buffer.from(bytes.buffer, 0, slabBytes));
  }
}
