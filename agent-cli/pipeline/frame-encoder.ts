import { promisify } from "node:util";
import { constants, createZstdCompress, gzip, zstdCompress, zstdCompressSync } from "node:zlib";
import type { Compression } from "./pipeline.ts";
import { Pool } from "./pool.ts";
import type { ZlibWrite } from "./zlib-inside.ts";

/** Makes one complete frame of some bytes, in memory that is nobody else's and less than four times as long. */
export type FrameEncoder = (plain: Uint8Array) => Promise<Buffer>;

const defaultLevel = { zstd: 1, gzip: 6 };
const levelRange = { zstd: [1, 22], gzip: [1, 9] } as const;

/** The level to compress with; throws in words when there is no such level. */
export function checkedLevel(compression: "zstd" | "gzip", level: number | null): number {
  const value = level ?? defaultLevel[compression];
  const [min, max] = levelRange[compression];
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new Error(`compression level ${value} is not one of ${compression} (${min} to ${max})`);
}

/**
 * Frames are made on the threads that Node keeps for such work: a JavaScript thread for each core would take 50 ms to start
 * and 30 MB to keep. So `encode` may be called again before it has answered; `most` are worked on at once.
 */
export function frameEncoder({ compression, level, checksum, most }: FrameSettings): FrameEncoder {
  if (compression === "gzip") return gzipEncoder(checkedLevel("gzip", level));
  const params = {
    [constants.ZSTD_c_compressionLevel]: checkedLevel("zstd", level),
    [constants.ZSTD_c_checksumFlag]: checksum ? 1 : 0,
    [constants.ZSTD_c_contentSizeFlag]: 1,
  };
  return reusingEncoder(params, most) ?? plainEncoder(params);
}

export type FrameSettings = {
  compression: Exclude<Compression, "none">;
  level: number | null;
  /** Whether zstd's frames carry a checksum of their content; gzip's always do. */
  checksum: boolean;
  most: number;
};

type Params = Record<number, number>;

/** What zlib's stream objects have inside. It is no promise of Node's, so its use is checked. */
type Handle = {
  init(params: Uint32Array, pledged: undefined, state: Uint32Array, done: () => void): void;
  onerror: (message: string) => void;
  write: ZlibWrite;
  writeSync: ZlibWrite;
};

/**
 * Compresses with one zstd context for many frames: making a new one for each, as the public call does, takes a fifth more
 * CPU time. Null when this Node has not what it needs, or does not do with it what is expected.
 */
function reusingEncoder(params: Params, most: number): FrameEncoder | null {
  const probe = Buffer.alloc(200_000, "one context, many frames. ");
  try {
    const first = new Context(params);
    const expected = zstdCompressSync(probe, { params, pledgedSrcSize: probe.length });
    // Twice, because what is left over from one frame would show in the next.
    if (![1, 2].every(() => first.encodeSync(probe).equals(expected))) return null;
    const contexts = new Pool([first], most - 1, () => new Context(params));
    return (plain) => contexts.use((context) => context.encode(plain));
  } catch {
    return null;
  }
}

/** One zstd context, and the memory that it writes to. */
class Context {
  readonly #handle: Handle;
  readonly #checksum: boolean;
  /** What the last write has left over: room for output, and input. */
  readonly #state = new Uint32Array(2);
  #output = Buffer.alloc(0);
  #pending: { resolve(): void; reject(error: Error): void } | null = null;

  constructor(params: Params) {
    this.#checksum = hasChecksum(params);
    const stream = createZstdCompress() as unknown as { _handle: Handle; close(): void };
    this.#handle = new (stream._handle.constructor as new (mode: number) => Handle)(zstdCompressMode);
    stream.close();
    const all = new Uint32Array(Math.max(...Object.keys(params).map(Number)) + 1).fill(unset);
    for (const [param, value] of Object.entries(params)) all[Number(param)] = value;
    this.#handle.init(all, undefined, this.#state, () => this.#pending?.resolve());
    this.#handle.onerror = (message) => this.#pending?.reject(new Error(`zstd failed: ${message}`));
  }

  async encode(plain: Uint8Array): Promise<Buffer> {
    const output = this.#room(plain);
    await new Promise<void>((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#handle.write(constants.ZSTD_e_end, plain, 0, plain.length, output, 0, output.length);
    });
    return this.#made(plain);
  }

  encodeSync(plain: Uint8Array): Buffer {
    const output = this.#room(plain);
    this.#handle.writeSync(constants.ZSTD_e_end, plain, 0, plain.length, output, 0, output.length);
    return this.#made(plain);
  }

  #room(plain: Uint8Array): Buffer {
    const bound = zstdBound(plain.length);
    if (this.#output.length < bound) this.#output = Buffer.allocUnsafeSlow(bound);
    return this.#output.subarray(0, bound);
  }

  /**
   * The frame, in the memory that it was written to: to copy it costs 2 % of all time. Unless it fills less than a
   * quarter of that: who sends it may hold some megabytes of frames for a while, and what is held is four times that at most.
   */
  #made(plain: Uint8Array): Buffer {
    const [outputLeft = 0, inputLeft] = this.#state;
    const frame = this.#output.subarray(0, zstdBound(plain.length) - outputLeft);
    if (inputLeft !== 0 || outputLeft === 0 || !isFrameOf(frame, plain.length, this.#checksum))
      throw notWhole();
    if (frame.length * 4 > this.#output.length) {
      this.#output = Buffer.alloc(0);
      return frame;
    }
    const copy = Buffer.allocUnsafeSlow(frame.length);
    copy.set(frame);
    return copy;
  }
}

const hasChecksum = (params: Params): boolean => params[constants.ZSTD_c_checksumFlag] === 1;

/** How zlib numbers its modes, and marks parameters that are not given. */
const zstdCompressMode = 10;
const unset = 0xffffffff;

const notWhole = () => new Error("zstd did not make a whole frame");

function plainEncoder(params: Params): FrameEncoder {
  const compress = promisify(zstdCompress);
  return async (plain) => {
    const sizes = { pledgedSrcSize: plain.length, chunkSize: zstdBound(plain.length) };
    const frame = await compress(plain, { params, ...sizes });
    if (!isFrameOf(frame, plain.length, hasChecksum(params))) throw notWhole();
    return trimmed(frame);
  };
}

function gzipEncoder(level: number): FrameEncoder {
  const compress = promisify<Uint8Array, object, Buffer>(gzip);
  return async (plain) =>
    trimmed(await compress(plain, { level, chunkSize: plain.length + (plain.length >> 10) + 1024 }));
}

/**
 * The same bytes in memory of their own. Small buffers lie in a pool of Node's, which cannot be handed to another thread;
 * of large ones the memory is given back at once, because the collector is in no hurry.
 */
function trimmed({ buffer, byteOffset, length }: Buffer): Buffer {
  const view = new Uint8Array(buffer, byteOffset, length);
  const pooled = buffer.byteLength <= Buffer.poolSize || !(buffer instanceof ArrayBuffer);
  if (pooled || byteOffset !== 0) return Buffer.from(view.slice().buffer);
  return Buffer.from(buffer.transfer(length));
}

/** The most that zstd can make of so many bytes: with it as chunk size, the output is one piece. */
const zstdBound = (size: number): number => size + Math.ceil(size / 128) + 1024;

/** Whether a frame begins with a header that promises this content size and, if it is to have one, a checksum. */
function isFrameOf(frame: Buffer, size: number, checksum: boolean): boolean {
  if (frame.length < 9 || frame.readUInt32LE(0) !== 0xfd2fb528) return false;
  const descriptor = frame[4] as number;
  const sizeField = descriptor >> 6;
  const singleSegment = (descriptor & 0x20) !== 0;
  const at = singleSegment ? 5 : 6;
  if (checksum !== ((descriptor & 0x04) !== 0)) return false;
  if (sizeField === 0) return singleSegment && frame[at] === size;
  if (sizeField === 1) return frame.readUInt16LE(at) + 256 === size;
  return sizeField === 2 ? frame.readUInt32LE(at) === size : frame.readBigUInt64LE(at) === BigInt(size);
}
