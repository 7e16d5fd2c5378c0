import { constants, createZstdDecompress, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { DamagedArtifact } from "./damaged.ts";
import { errorCode } from "./error-code.ts";
import type { ZlibInside } from "./zlib-inside.ts";

/** Decodes one complete frame of so many bytes of content. What it returns is valid until the next call. */
export type FrameDecoder = (frame: Uint8Array, plainBytes: number) => Buffer;

/** Frames with more content than this are rare, and their memory is not kept. */
const maxReusedBytes = 8 * 1024 * 1024;

/** A decoder that uses its memory again for frame after frame, where this Node allows it. */
export function frameDecoder(): FrameDecoder {
  const decode = withOneContext();
  return isTrusty(decode)
    ? (frame, plainBytes) => decode(frame, plainBytes) ?? decodeAlone(frame, plainBytes)
    : decodeAlone;
}

/** Null for a frame that is not what it should be: the public call says why. */
type Attempt = (frame: Uint8Array, plainBytes: number) => Buffer | null;

/**
 * With one zstd context and one buffer for all frames: to make them anew for each, and to have them collected, takes more
 * time than to decode.
 */
function withOneContext(): Attempt {
  let stream: ZlibInside | null = null;
  let output = Buffer.alloc(0);
  return (frame, plainBytes) => {
    if (plainBytes > maxReusedBytes) return null;
    stream ??= createZstdDecompress().on("error", () => {}) as unknown as ZlibInside;
    const { _handle: handle, _writeState: state } = stream;
    if (!handle?.writeSync || state?.length !== 2) return null;
    // One more than is expected: a frame that holds more has to be noticed.
    const room = plainBytes + 1;
    if (output.length < room) output = Buffer.allocUnsafeSlow(room);
    state.fill(unset);
    handle.writeSync(constants.ZSTD_e_end, frame, 0, frame.length, output, 0, room);
    if (state[0] === room - plainBytes && state[1] === 0) return output.subarray(0, plainBytes);
    // What it has begun must not get into the next frame.
    stream = null;
    return null;
  };
}

/** What the state is not set to by a call that was carried out. */
const unset = 0xffffffff;

/** Tries the inside of this Node against its public calls. */
function isTrusty(decode: Attempt): boolean {
  const content = Buffer.alloc(200_000, "one context, many frames. ");
  const params = { [constants.ZSTD_c_checksumFlag]: 1 };
  const frame = zstdCompressSync(content, { params, pledgedSrcSize: content.length });
  const bad = Buffer.from(frame);
  bad[bad.length - 1] = (bad[bad.length - 1] as number) ^ 1;
  const decodes = () => decode(frame, content.length)?.equals(content) === true;
  try {
    return decodes() && decodes() && decode(bad, content.length) === null && decodes();
  } catch {
    return false;
  }
}

function decodeAlone(frame: Uint8Array, plainBytes: number): Buffer {
  const content = decodeOnce(frame, plainBytes, (error) => {
    return new DamagedArtifact(`zstd: ${error instanceof Error ? error.message : errorCode(error)}`);
  });
  if (content === null) throw new DamagedArtifact("a zstd frame has not the size that it says");
  return content;
}

/** The content of a complete frame by the public call; null when it has not so many bytes. What zlib says is put in other words. */
export function decodeOnce(
  frame: Uint8Array,
  plainBytes: number,
  inWords: (error: unknown) => Error,
): Buffer | null {
  try {
    const content = zstdDecompressSync(frame, {
      chunkSize: Math.max(plainBytes, 1024),
      maxOutputLength: Math.max(plainBytes, 1),
    });
    return content.length === plainBytes ? content : null;
  } catch (error) {
    throw inWords(error);
  }
}
