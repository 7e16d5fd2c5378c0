import { randomBytes } from "node:crypto";
import { constants, zstdCompressSync } from "node:zlib";
import { describe, expect, it, test } from "vitest";
import { DamagedArtifact } from "../../agent-cli/pipeline/damaged.ts";
import { frameDecoder } from "../../agent-cli/pipeline/frame-decoder.ts";
import { readPlainFile } from "../../agent-cli/pipeline/plain-file.ts";
import type { Member } from "../../agent-cli/pipeline/segments.ts";
import { SlabPool } from "../../agent-cli/pipeline/slabs.ts";
import { TarWriter } from "../../agent-cli/pipeline/tar.ts";
import type { TarEntry } from "../../agent-cli/pipeline/tar-entry.ts";
import { TarReader } from "../../agent-cli/pipeline/untar.ts";

describe("a decoder of frames", () => {
  const content = Buffer.concat([randomBytes(300_000), Buffer.alloc(300_000, "again and ")]);
  const params = { [constants.ZSTD_c_checksumFlag]: 1 };
  const frame = zstdCompressSync(content, { params, pledgedSrcSize: content.length });
  const flipped = Buffer.from(frame);
  flipped[1000] = (flipped[1000] as number) ^ 1;

  it.each<[string, Buffer, number]>([
    ["cut off", frame.subarray(0, -3), content.length],
    ["flipped", flipped, content.length],
    ["twice", Buffer.concat([frame, frame]), content.length],
    ["with something behind it", Buffer.concat([frame, Buffer.from("more")]), content.length],
    ["of less than it should be", frame, content.length + 1],
    ["of more than it should be", frame, content.length - 1],
    ["of nothing", Buffer.alloc(0), content.length],
  ])("refuses one that is %s, and the next is right again", (_, bad, plainBytes) => {
    const decode = frameDecoder();
    expect(decode(frame, content.length).equals(content)).toBe(true);
    expect(() => decode(bad, plainBytes)).toThrow(DamagedArtifact);
    expect(decode(frame, content.length).equals(content)).toBe(true);
  });

  it("takes empty ones and very large ones", () => {
    const decode = frameDecoder();
    const large = Buffer.alloc(9 * 1024 * 1024, "large ");
    expect(decode(zstdCompressSync(Buffer.alloc(0)), 0).length).toBe(0);
    expect(decode(zstdCompressSync(large), large.length).equals(large)).toBe(true);
  });
});

describe("the short way to read a file's headers", () => {
  const entry = (change: Partial<TarEntry>): TarEntry => ({
    path: Buffer.from("etc/hosts"),
    type: "file",
    mode: 0o640,
    uid: 12,
    gid: 34,
    userName: null,
    groupName: null,
    size: 700,
    mtimeNs: 1_700_000_000_123_456_789n,
    linkPath: null,
    devMajor: 0,
    devMinor: 0,
    sparse: null,
    ...change,
  });
  const packed = (written: TarEntry) => {
    const tar = new TarWriter(new SlabPool());
    tar.writeHeader(written);
    tar.write(Buffer.alloc(written.size, "x"));
    tar.pad(written.size);
    const to = tar.written;
    const bytes = Buffer.concat(tar.finish());
    const { type, size } = written;
    const path = Buffer.concat([Buffer.from("/"), written.path]);
    const member: Member = { from: 0, to, path, type, size, sum: null };
    return { bytes, member };
  };

  test.each<[string, Partial<TarEntry>, boolean]>([
    ["an ordinary file", {}, true],
    ["one of a whole second", { mtimeNs: 1_700_000_000_000_000_000n }, true],
    ["an empty one", { size: 0 }, true],
    ["one whose name fills its field", { path: Buffer.alloc(100, "n") }, true],
    ["one with a long name", { path: Buffer.alloc(180, "n") }, false],
    ["one from before 1970", { mtimeNs: -5_500_000_000n }, false],
    ["one of a large owner", { uid: 3_000_000 }, false],
  ])("says of %s what the strict reader says, or nothing", (_, change, isShort) => {
    const { bytes, member } = packed(entry(change));
    let strict: TarEntry | null = null;
    const reader = new TarReader({ entry: (read) => (strict = read), data() {}, endEntry() {} });
    reader.push(bytes);
    const short = readPlainFile(bytes, 0, member);
    expect(short?.entry ?? null).toEqual(isShort ? strict : null);
  });

  test("says nothing when any byte of the headers is another one", () => {
    const { bytes, member } = packed(entry({}));
    // Both headers; of their checksums' fields, the two bytes behind the digits say nothing.
    for (const header of [0, 1024]) {
      for (let at = header; at < header + 512; at += 1) {
        const bad = Buffer.from(bytes);
        bad[at] = (bad[at] as number) ^ 0x04;
        const isFiller = at === header + 154 || at === header + 155;
        if (!isFiller) expect(readPlainFile(bad, 0, member), `byte ${at}`).toBeNull();
      }
    }
  });
});
