/** Takes exact numbers of bytes from a stream of chunks of any size. */
export class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** `count` bytes, or fewer when the stream ends before. */
  async take(count: number): Promise<Buffer> {
    if (this.#rest.length >= count) return this.#cut(count);
    const parts = [this.#rest];
    let have = this.#rest.length;
    while (have < count) {
      const chunk = await this.#next();
      if (!chunk) break;
      parts.push(chunk);
      have += chunk.length;
    }
    this.#rest = Buffer.concat(parts, have);
    return this.#cut(Math.min(count, have));
  }

  /** Puts as many bytes as there is room for into `target`; false when the stream ends before. */
  async fill(target: Buffer): Promise<boolean> {
    for (let used = 0; used < target.length; ) {
      if (this.#rest.length === 0) {
        const chunk = await this.#next();
        if (!chunk) return false;
        this.#rest = chunk;
      }
      const part = this.#cut(Math.min(this.#rest.length, target.length - used));
      target.set(part, used);
      used += part.length;
    }
    return true;
  }

  /** Drops `count` bytes without holding them; says how many were there. */
  async skip(count: number): Promise<number> {
    let left = count;
    while (left > 0) {
      const part = await this.take(Math.min(left, 64 * 1024));
      if (part.length === 0) break;
      left -= part.length;
    }
    return count - left;
  }

  /** Lets the source clean up when reading stops before its end. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  async #next(): Promise<Buffer | null> {
    const { done, value } = await this.#chunks.next();
    return done ? null : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }

  #cut(count: number): Buffer {
    const bytes = this.#rest.subarray(0, count);
    this.#rest = this.#rest.subarray(count);
    return bytes;
  }
}
