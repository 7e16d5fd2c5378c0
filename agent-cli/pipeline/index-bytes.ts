import { broken, maxPathBytes } from "./index-format.ts";

/** Reads what the builder wrote, and throws rather than read beyond the end. */
export class BytesIn {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  bytes(count: number): Buffer {
    this.requireRoom(count, 1);
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  uint32(): number {
    return this.bytes(4).readUInt32LE(0);
  }

  double(): number {
    return this.bytes(8).readDoubleLE(0);
  }

  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) break;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw broken("it is cut off");
  }

  /** A text with its length before it. */
  text(): Buffer {
    const length = this.varint();
    if (length === 0 || length > maxPathBytes) throw broken("it has an impossible link");
    return this.bytes(length);
  }

  /** Puts the next path of a path list over the one before it; returns its length. */
  nextPath(into: Buffer, previousBytes: number): number {
    const shared = this.varint();
    const length = this.varint();
    if (shared > previousBytes || shared + length > into.length) throw broken("it has an impossible path");
    const from = this.#at;
    this.#at += length;
    if (this.#at > this.#bytes.length) throw broken("it is cut off");
    this.#bytes.copy(into, shared, from, this.#at);
    return shared + length;
  }

  /** Another reader that begins where this one is. */
  copy(): BytesIn {
    const twin = new BytesIn(this.#bytes);
    twin.#at = this.#at;
    return twin;
  }

  /** `count` paths of a path list, which together are no longer than `maxBytes`. */
  paths(count: number, maxBytes: number): Buffer[] {
    this.requireRoom(count, 2);
    const paths: Buffer[] = [];
    const path = Buffer.allocUnsafe(maxPathBytes);
    let pathBytes = 0;
    let total = 0;
    for (let i = 0; i < count; i += 1) {
      pathBytes = this.nextPath(path, pathBytes);
      total += pathBytes;
      if (total > maxBytes) throw broken("it has an impossible path");
      paths.push(Buffer.from(path.subarray(0, pathBytes)));
    }
    return paths;
  }

  /** Whether `count` items of at least `bytes` each can be there at all: before memory is taken for them. */
  requireRoom(count: number, bytes: number): void {
    if (count * bytes > this.#bytes.length - this.#at) throw broken("it is cut off");
  }

  requireEnd(): void {
    if (this.#at !== this.#bytes.length) throw broken("there is more in it than it says");
  }
}
