import { constants, createZstdCompress, gzipSync, zstdCompressSync } from "node:zlib";
import type { Compression } from "./pipeline.ts";
import type { ZlibInside } from "./zlib-inside.ts";

/** Makes one complete frame of some bytes, in a buffer that is exactly as long and nobody else's. */
export type FrameEncoder = (plain: Uint8Array) => Buffer;

const defaultLevel = { zstd: 1, gzip: 6 };
const levelRange = { zstd: [1, 22], gzip: [1, 9] } as const;

/** The level to compress with; throws in words when there is no such level. */
export function checkedLevel(compression: "zstd" | "gzip", level: number | null): number {
  const value = level ?? defaultLevel[compression];
  const [min, max] = levelRange[compression];
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new Error(`compression level ${value} is not one of ${compression} (${min} to ${max})`);
}

export function frameEncoder(compression: Exclude<Compression, "none">, level: number | null): FrameEncoder {
  if (compression === "gzip") return gzipEncoder(checkedLevel("gzip", level));
  const params = {
    [constants.ZSTD_c_compressionLevel]: checkedLevel("zstd", level),
    [constants.ZSTD_c_checksumFlag]: 1,
    [constants.ZSTD_c_contentSizeFlag]: 1,
  };
  return reusingEncoder(params) ?? plainEncoder(params);
}

type Params = Record<number, number>;

/**
 * Compresses with one zstd context for all frames: making a new one for each, as the public call does, takes a fifth more
 * CPU time. Null when this Node has not what it needs, or does not do with it what is expected.
 */
function reusingEncoder(params: Params): FrameEncoder | null {
  const encode = withOneContext(params);
  const probe = Buffer.alloc(200_000, "one context, many frames. ");
  try {
    return encode(probe).equals(zstdCompressSync(probe, { params, pledgedSrcSize: probe.length })) &&
      encode(probe).equals(encode(probe))
      ? encode
      : null;
  } catch {
    return null;
  }
}

function withOneContext(params: Params): FrameEncoder {
  const stream: ZlibInside = createZstdCompress({ params }) as unknown as ZlibInside;
  let output = Buffer.alloc(0);
  return (plain) => {
    const bound = zstdBound(plain.length);
    if (output.length < bound) output = Buffer.allocUnsafeSlow(bound);
    const { _handle: handle, _writeState: state } = stream;
    if (!handle?.writeSync || !state) throw new Error("this Node's zstd is built otherwise");
    handle.writeSync(constants.ZSTD_e_end, plain, 0, plain.length, output, 0, bound);
    const [outputLeft = 0, inputLeft] = state;
    const frame = output.subarray(0, bound - outputLeft);
    if (inputLeft !== 0 || outputLeft === 0 || !isFrameOf(frame, plain.length)) {
      throw new Error("zstd did not make a whole frame");
    }
    const copy = Buffer.allocUnsafeSlow(frame.length);
    copy.set(frame);
    return copy;
  };
}

function plainEncoder(params: Params): FrameEncoder {
  return (plain) => {
    const sizes = { pledgedSrcSize: plain.length, chunkSize: zstdBound(plain.length) };
    const frame = zstdCompressSync(plain, { params, ...sizes });
    if (!isFrameOf(frame, plain.length)) throw new Error("zstd did not make a whole frame");
    return trimmed(frame);
  };
}

function gzipEncoder(level: number): FrameEncoder {
  return (plain) =>
    trimmed(gzipSync(plain, { level, chunkSize: plain.length + (plain.length >> 10) + 1024 }));
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

/** Whether a frame begins with a header that promises this content size and a checksum. */
function isFrameOf(frame: Buffer, size: number): boolean {
  if (frame.length < 9 || frame.readUInt32LE(0) !== 0xfd2fb528) return false;
  const descriptor = frame[4] as number;
  const sizeField = descriptor >> 6;
  const singleSegment = (descriptor & 0x20) !== 0;
  const at = singleSegment ? 5 : 6;
  if ((descriptor & 0x04) === 0) return false;
  if (sizeField === 0) return singleSegment && frame[at] === size;
  if (sizeField === 1) return frame.readUInt16LE(at) + 256 === size;
  return sizeField === 2 ? frame.readUInt32LE(at) === size : frame.readBigUInt64LE(at) === BigInt(size);
}
