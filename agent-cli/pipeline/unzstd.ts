import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { createZstdDecompress, zstdDecompress } from "node:zlib";
import { ByteReader } from "./byte-reader.ts";
import { DamagedArtifact } from "./damaged.ts";
import { mapInOrder } from "./map-in-order.ts";

const frameMagic = 0xfd2fb528;
const skippableMagic = 0x184d2a50;
const maxBlockBytes = 128 * 1024;
/** Frames up to this content are decoded whole and in parallel, larger ones as a stream. */
const maxWholeFrameBytes = 16 * 1024 * 1024;

const decodeWhole = promisify(zstdDecompress);

type FrameHeader = { bytes: Buffer; contentSize: number | null; hasChecksum: boolean };

/**
 * Decodes a stream of zstd frames, ours or anyone's.
 *
 * It walks frame and block headers itself, because Node's decoder reads only the first frame and in some versions
 * takes a cut-off stream for a whole one: an end anywhere but between two frames is damage.
 */
export async function* decodeZstd(
  source: AsyncIterable<Uint8Array>,
  inFlight: number,
): AsyncGenerator<Uint8Array> {
  const reader = new ByteReader(source);
  try {
    let next = await readFrameHeader(reader);
    if (!next) throw new DamagedArtifact("it is empty");
    while (next) {
      if (isWhole(next)) {
        const run: FrameRun = { reader, first: next, next: null };
        yield* mapInOrder(wholeFrames(run), inFlight, decodeFrame);
        next = run.next;
      } else {
        yield* decodeLargeFrame(reader, next);
        next = await readFrameHeader(reader);
      }
    }
  } finally {
    await reader.close();
  }
}

const isWhole = (header: FrameHeader): boolean =>
  header.contentSize !== null && header.contentSize <= maxWholeFrameBytes;

/** Neighbouring frames that are decoded whole; `next` is the header that ended the run, null at the end. */
type FrameRun = { reader: ByteReader; first: FrameHeader; next: FrameHeader | null };
type WholeFrame = { bytes: Buffer; contentSize: number };

async function* wholeFrames(run: FrameRun): AsyncGenerator<WholeFrame> {
  let header: FrameHeader | null = run.first;
  while (header && isWhole(header)) {
    const contentSize = header.contentSize ?? 0;
    // More blocks than the content can need is a lie that would otherwise fill memory.
    const limit = contentSize + Math.ceil(contentSize / 64) + 4096;
    const parts: Buffer[] = [];
    let size = 0;
    for await (const part of frameBytes(run.reader, header)) {
      size += part.length;
      if (size > limit) throw new DamagedArtifact("a zstd frame is larger than it says");
      parts.push(part);
    }
    yield { bytes: Buffer.concat(parts, size), contentSize };
    header = await readFrameHeader(run.reader);
  }
  run.next = header;
}

async function decodeFrame({ bytes, contentSize }: WholeFrame): Promise<Buffer> {
  const content = await decodeWhole(bytes, { chunkSize: Math.max(contentSize, 1024) }).catch(damaged);
  if (content.length !== contentSize) throw new DamagedArtifact("a zstd frame has not the size that it says");
  return content;
}

async function* decodeLargeFrame(reader: ByteReader, header: FrameHeader): AsyncGenerator<Uint8Array> {
  const decoder = createZstdDecompress({ chunkSize: 256 * 1024 });
  const feeding = pipeline(Readable.from(frameBytes(reader, header), { objectMode: false }), decoder);
  feeding.catch(() => {});
  let size = 0;
  try {
    for await (const chunk of decoder) {
      size += (chunk as Buffer).length;
      yield chunk as Buffer;
    }
    await feeding;
  } catch (error) {
    damaged(error);
  }
  if (header.contentSize !== null && size !== header.contentSize) {
    throw new DamagedArtifact("a zstd frame has not the size that it says");
  }
}

function damaged(error: unknown): never {
  if (!(error instanceof Error) || !/^ZSTD_/.test(String((error as NodeJS.ErrnoException).code))) throw error;
  throw new DamagedArtifact(`zstd: ${error.message}`, { cause: error });
}

/** The next frame's header with skippable frames left out, null at the end of the stream. */
async function readFrameHeader(reader: ByteReader): Promise<FrameHeader | null> {
  for (;;) {
    const magicBytes = await reader.take(4);
    if (magicBytes.length === 0) return null;
    const magic = magicBytes.length === 4 ? magicBytes.readUInt32LE(0) : 0;
    if (magic === frameMagic) return await readRestOfHeader(reader, magicBytes);
    if ((magic & 0xfffffff0) >>> 0 !== skippableMagic) throw notZstd(magicBytes);
    const size = (await exactly(reader, 4)).readUInt32LE(0);
    if ((await reader.skip(size)) < size) throw cutOff();
  }
}

async function readRestOfHeader(reader: ByteReader, magic: Buffer): Promise<FrameHeader> {
  const [descriptor = 0] = await exactly(reader, 1);
  const singleSegment = (descriptor & 0x20) !== 0;
  if ((descriptor & 0x08) !== 0) throw new DamagedArtifact("a zstd frame uses a reserved bit");
  const windowBytes = singleSegment ? 0 : 1;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  const rest = await exactly(reader, windowBytes + dictionaryBytes + sizeBytes);
  const size = rest.subarray(windowBytes + dictionaryBytes);
  return {
    bytes: Buffer.concat([magic, Buffer.from([descriptor]), rest]),
    contentSize: contentSize(size),
    hasChecksum: (descriptor & 0x04) !== 0,
  };
}

function contentSize(field: Buffer): number | null {
  switch (field.length) {
    case 0:
      return null;
    case 1:
      return field.readUInt8(0);
    case 2:
      return field.readUInt16LE(0) + 256;
    case 4:
      return field.readUInt32LE(0);
    default:
      return Number(field.readBigUInt64LE(0));
  }
}

/** All bytes of one frame: the header that was read already, its blocks, its checksum. */
async function* frameBytes(reader: ByteReader, header: FrameHeader): AsyncGenerator<Buffer> {
  yield header.bytes;
  for (let last = false; !last; ) {
    const blockHeader = await exactly(reader, 3);
    const word = blockHeader.readUIntLE(0, 3);
    const type = (word >> 1) & 3;
    const size = word >> 3;
    last = (word & 1) === 1;
    if (type === 3 || size > maxBlockBytes) throw new DamagedArtifact("a zstd block is malformed");
    yield blockHeader;
    // A run-length block holds one byte, whatever size it unfolds to.
    yield await exactly(reader, type === 1 ? 1 : size);
  }
  if (header.hasChecksum) yield await exactly(reader, 4);
}

async function exactly(reader: ByteReader, count: number): Promise<Buffer> {
  const bytes = await reader.take(count);
  if (bytes.length < count) throw cutOff();
  return bytes;
}

const cutOff = () => new DamagedArtifact("it is cut off in the middle of a zstd frame");

const notZstd = (magic: Buffer) =>
  magic.length < 4 ? cutOff() : new DamagedArtifact("what should be a zstd frame is something else");
