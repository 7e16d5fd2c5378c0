import { describe, expect, it } from "vitest";
import {
  decodeArchiveIndex,
  type IndexEntry,
  readArchiveIndex,
} from "../../agent-cli/pipeline/archive-index.ts";
import { DamagedArtifact } from "../../agent-cli/pipeline/damaged.ts";
import { sumFromBits } from "../../agent-cli/pipeline/file-sum.ts";
import { ArchiveIndexBuilder, encodeArchiveIndex } from "../../agent-cli/pipeline/index-builder.ts";

function entryOf(i: number, over: Partial<IndexEntry> = {}): IndexEntry {
  return {
    path: Buffer.from(`/srv/data/${Math.floor(i / 50)}/file-${i}.txt`),
    type: "file",
    sparse: false,
    size: i * 7,
    mode: 0o640,
    uid: 1000,
    gid: 4_294_967_294,
    mtimeNs: 1_700_000_000_123_456_789n + BigInt(i),
    ctimeNs: 1_700_000_001_000_000_000n - BigInt(i),
    dev: 0xffff_ffff_ffff_fff1n,
    ino: BigInt(i) + 9_007_199_254_740_993n,
    linkPath: null,
    // Of both kinds, as in a differential backup on an older one.
    sum: sumFromBits((i * 0x9e3779b1) >>> 0, i % 2 === 0),
    tarOffset: i * 1024,
    ...over,
  };
}

const special: IndexEntry[] = [
  entryOf(0, { path: Buffer.from("/srv"), type: "directory", size: 0, sum: null, mode: 0o1777 }),
  entryOf(1, { path: Buffer.from([0x2f, 0xff, 0xfe, 0x0a]), mtimeNs: -5n, ctimeNs: 3n }),
  entryOf(2, { type: "symlink", linkPath: Buffer.from("../ä"), size: 0, sum: null }),
  entryOf(3, { type: "link", linkPath: Buffer.from("/srv/x"), size: 0, sum: null }),
  entryOf(4, { sparse: true, size: 2 ** 45 }),
  entryOf(5, { type: "fifo", size: 0, sum: null }),
  entryOf(6, { type: "char", size: 0, sum: null }),
  entryOf(7, { type: "block", size: 0, sum: null }),
  entryOf(8, { path: Buffer.from(`/${"long/".repeat(5000)}end`) }),
];

const framesFor = (tarBytes: number) => [
  { compressedBytes: 700, plainBytes: 512 },
  { compressedBytes: 300, plainBytes: tarBytes },
];
const encode = (entries: Iterable<IndexEntry>, over = {}) =>
  encodeArchiveIndex({ frames: framesFor(0xffff_0000), entries, deleted: [], base: null, ...over });

/** The index at the end of a file of zstd frames of 1,000 bytes. */
const inFile = (index: Buffer) => Buffer.concat([Buffer.alloc(1000, 1), index]);
const read = (file: Buffer) =>
  readArchiveIndex(async (offset, length) => file.subarray(offset, offset + length), file.length);

describe("an archive's index", () => {
  it("gives every entry back as it was", () => {
    const index = decodeArchiveIndex(encode(special));
    expect([...index.entries]).toEqual(special);
    expect(index.frames).toHaveLength(2);
    expect(index.base).toBeNull();
  });

  it("keeps 100,000 entries in order and finds each by its position", () => {
    const entries = Array.from({ length: 100_000 }, (_, i) => entryOf(i));
    const frame = encode(entries);
    const { entries: found } = decodeArchiveIndex(frame);
    expect(found.length).toBe(100_000);
    let i = 0;
    for (const entry of found) {
      if (i % 997 === 0) expect(entry).toEqual(entries[i]);
      i += 1;
    }
    for (const position of [99_999, 0, 4096, 4095]) expect(found.at(position)).toEqual(entries[position]);
    expect(() => found.at(100_000)).toThrow(RangeError);
    expect(frame.length).toBeLessThan(100_000 * 64);
  });

  it("holds a differential's base, what it left there and what is deleted", () => {
    const base = { recordId: 41, sha256: "ab".repeat(32) };
    const deleted = [Buffer.from("/srv/a"), Buffer.from("/srv/a/b")];
    const entries = [entryOf(0, { tarOffset: -1 })];
    expect(decodeArchiveIndex(encode(entries, { base, deleted }))).toMatchObject({ base, deleted });
    expect([...decodeArchiveIndex(encode(entries, { base, deleted })).entries]).toEqual(entries);
    expect(() => [...decodeArchiveIndex(encode(entries)).entries]).toThrow(DamagedArtifact);
  });

  it("takes a segment of its base over as it stands there, leading to nothing in its own archive", () => {
    const full = decodeArchiveIndex(encode(special));
    const base = { recordId: 41, sha256: "ab".repeat(32) };
    const withKept = (of: typeof base | null) => {
      const builder = new ArchiveIndexBuilder();
      builder.add(entryOf(20, { tarOffset: 0 }));
      for (const segment of full.entries.segments) builder.addUnchanged(segment);
      builder.add(entryOf(21, { tarOffset: 1024 }));
      for (const frame of framesFor(4096)) builder.addFrame(frame);
      return builder.finish(of);
    };
    const { entries } = decodeArchiveIndex(withKept(base));
    const kept = special.map((entry) => ({ ...entry, tarOffset: -1 }));
    const around = [entryOf(20, { tarOffset: 0 }), entryOf(21, { tarOffset: 1024 })] as const;
    expect([...entries]).toEqual([around[0], ...kept, around[1]]);
    expect(entries.at(4)).toEqual(kept[3]);
    expect(() => decodeArchiveIndex(withKept(null))).toThrow("a base's segment, and no base");
  });

  it("is found at the end of a file, whether it fits into the first read or not", async () => {
    for (const count of [0, 1, 20_000]) {
      const entries = Array.from({ length: count }, (_, i) => entryOf(i));
      const frame = encode(entries);
      const found = await read(inFile(frame));
      expect(found?.place).toMatchObject({ offsetBytes: 1000, sizeBytes: frame.length });
      expect(found?.index.entries.length).toBe(count);
    }
  });

  it("is not found where there is none", async () => {
    expect(await read(Buffer.alloc(5000, 1))).toBeNull();
    expect(await read(Buffer.alloc(0))).toBeNull();
  });

  it("is refused when its frames are not those before it", async () => {
    const file = Buffer.concat([Buffer.alloc(999, 1), encode([entryOf(0)])]);
    await expect(read(file)).rejects.toThrow("its frames are not those of this archive");
  });

  it("is refused or the same wherever it is cut off", () => {
    const frame = encode(special);
    for (let length = 0; length < frame.length; length += 1) {
      expect(() => decodeArchiveIndex(frame.subarray(0, length)), `cut at ${length}`).toThrow(
        DamagedArtifact,
      );
      expect(() => decodeArchiveIndex(frame.subarray(length + 1)), `from ${length + 1}`).toThrow(
        DamagedArtifact,
      );
    }
  });

  it("is refused or the same whichever byte is altered, and never anything but damaged", () => {
    const frame = encode(special);
    for (let at = 0; at < frame.length; at += 1) {
      const altered = Buffer.from(frame);
      altered[at] = (altered[at] as number) ^ (1 << (at % 8));
      try {
        expect([...decodeArchiveIndex(altered).entries]).toEqual(special);
      } catch (error) {
        expect(error, `byte ${at}: ${error}`).toBeInstanceOf(DamagedArtifact);
      }
    }
  });

  it("is refused when an entry lies beyond the archive", () => {
    const frame = encode([entryOf(0, { tarOffset: 512 })], {
      frames: [{ compressedBytes: 1, plainBytes: 512 }],
    });
    expect(() => [...decodeArchiveIndex(frame).entries]).toThrow("a place that the archive does not have");
  });
});
