import { randomBytes } from "node:crypto";
import * as zlib from "node:zlib";
import { afterEach, describe, expect, test, vi } from "vitest";
import { DamagedArtifact } from "../../agent-cli/pipeline/damaged.ts";
import { frameEncoder } from "../../agent-cli/pipeline/frame-encoder.ts";
import { compress, decompress } from "../../agent-cli/pipeline/frames.ts";
import { PackThreads } from "../../agent-cli/pipeline/pack-threads.ts";
import { slabBytes } from "../../agent-cli/pipeline/slabs.ts";
import { testWith } from "../needs.ts";
import { run } from "./world.ts";

/*
 * What Node's own zstd does wrong, some of it in some versions only, and why none of it happens to us. `nbWorkers`
 * makes the stream class lose data without an error. Of several frames its decoders give only the first. A stream that was
 * cut off ends as if it were whole. The stream class adds an empty frame when it is ended with writes waiting. And what
 * it makes of little lies in a pool of buffers, which cannot be handed to another thread.
 */

const threads = new Set<PackThreads>();
afterEach(async () => {
  for (const one of threads) await one.close();
  threads.clear();
});

async function* pieces(content: Buffer, size: number) {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

async function pack(
  content: Buffer,
  { level = 1, count = 3 } = {},
): Promise<{ bytes: Buffer; frames: number }> {
  const settings = {
    compression: "zstd",
    level,
    frameChecksums: true,
    threads: count,
    compare: null,
  } as const;
  const packing = new PackThreads(settings);
  threads.add(packing);
  const frames: Uint8Array[] = [];
  for await (const { bytes } of compress(pieces(content, 1_000_003), packing)) frames.push(bytes);
  return { bytes: Buffer.concat(frames), frames: frames.length };
}

async function unpack(bytes: Buffer): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of decompress(pieces(bytes, 100_003), "zstd")) parts.push(part);
  return Buffer.concat(parts);
}

/** Five frames, the last one not full; half of it compresses. */
const content = Buffer.concat(
  Array.from({ length: 9 }, (_, i) =>
    i % 2 === 0 ? randomBytes(slabBytes / 2) : Buffer.alloc(slabBytes / 2, `${i} `),
  ),
);

describe("Node's zstd", () => {
  testWith(["zstd"], "with several threads at work nothing is lost (trap: nbWorkers)", async () => {
    for (const level of [1, 3, 9]) {
      const { bytes } = await pack(content, { level, count: 4 });
      expect(run("zstd", ["-dcq"], bytes).equals(content)).toBe(true);
      expect((await unpack(bytes)).equals(content)).toBe(true);
    }
  });

  testWith(["zstd"], "all frames are read, ours and other people's (trap: only the first one)", async () => {
    const { bytes, frames } = await pack(content);
    expect(frames).toBe(5);
    expect((await unpack(bytes)).length).toBe(content.length);
    const theirs = Buffer.concat([
      run("zstd", ["-cq"], content),
      run("zstd", ["-cq", "--no-check"], content),
    ]);
    expect((await unpack(theirs)).equals(Buffer.concat([content, content]))).toBe(true);
  });

  test("wherever a stream is cut off inside of a frame, that is damage (trap: taken for whole)", async () => {
    const { bytes } = await pack(content.subarray(0, slabBytes + 100_000));
    for (const length of [1, 3, 9, 1000, bytes.length >> 1, bytes.length - 4, bytes.length - 1]) {
      await expect(unpack(bytes.subarray(0, length)), `${length} bytes`).rejects.toThrow(DamagedArtifact);
    }
  });

  test("there is no frame too many, and the same content gives the same bytes (trap: an empty frame)", async () => {
    const once = await pack(content.subarray(0, 2 * slabBytes));
    expect(once.frames).toBe(2);
    expect((await pack(content.subarray(0, 2 * slabBytes))).bytes.equals(once.bytes)).toBe(true);
  });

  testWith(["zstd"], "nothing at all and very little come through (trap: buffers of a pool)", async () => {
    for (const size of [0, 1, 100, 5000, 70_000]) {
      const little = content.subarray(0, size);
      const { bytes, frames } = await pack(little);
      expect(frames).toBe(1);
      expect((await unpack(bytes)).equals(little)).toBe(true);
      expect(run("zstd", ["-dcq"], bytes).equals(little)).toBe(true);
    }
  });

  test("every frame says its size and carries a checksum", async () => {
    const encode = frameEncoder({ compression: "zstd", level: 3, checksum: true, most: 1 });
    for (const size of [0, 10, 255, 256, 300, 65_791, 65_792, 100_000, slabBytes]) {
      const frame = await encode(content.subarray(0, size));
      const flipped = Buffer.from(frame);
      flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1;
      expect(() => zlib.zstdDecompressSync(flipped)).toThrow();
      expect(zlib.zstdDecompressSync(frame).equals(content.subarray(0, size))).toBe(true);
    }
  });

  testWith(
    ["zstd"],
    "frames without a checksum, as encrypted archives have them, say their size, too",
    async () => {
      const encode = frameEncoder({ compression: "zstd", level: 3, checksum: false, most: 1 });
      for (const size of [0, 10, 300, 65_792, slabBytes]) {
        const frame = await encode(content.subarray(0, size));
        expect(frame.readUInt8(4) & 0x04).toBe(0);
        expect(run("zstd", ["-dcq"], frame).equals(content.subarray(0, size))).toBe(true);
        expect((await unpack(frame)).equals(content.subarray(0, size))).toBe(true);
      }
    },
  );

  test("a Node whose stream objects are built otherwise packs the same", async () => {
    vi.resetModules();
    vi.doMock("node:zlib", async (original) => ({
      ...(await original<typeof zlib>()),
      createZstdCompress: () => ({}),
    }));
    const other = await import("../../agent-cli/pipeline/frame-encoder.ts");
    vi.doUnmock("node:zlib");
    const part = content.subarray(0, 3_000_000);
    const frame = await other.frameEncoder({ compression: "zstd", level: 1, checksum: true, most: 1 })(part);
    expect(zlib.zstdDecompressSync(frame).equals(part)).toBe(true);
    expect(await unpack(frame)).toEqual(part);
  });
});
