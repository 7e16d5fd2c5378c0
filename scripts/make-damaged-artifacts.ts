/**
 * Makes the artifacts of test/fixtures/artifacts, which were made once and are kept: what is said of them must not
 * change by itself. Only a new kind of damage, or a new format, is a reason to run this again.
 *
 *     node scripts/make-damaged-artifacts.ts
 */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { packIndexed } from "../test/engine/indexed-archive.ts";
import { flipped } from "./flipped.ts";

const folder = join(import.meta.dirname, "../test/fixtures/artifacts");
const scratch = mkdtempSync(join(tmpdir(), "artifacts-"));
try {
  await make();
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

async function make(): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const [identity, stranger] = [await generateX25519Identity(), await generateX25519Identity()];
  const recipients = [await identityToRecipient(identity)];
  const own = makeTree("tree", 1);
  const frameBytes = 8192;
  const good = await packIndexed(own, { frameBytes });
  const other = await packIndexed(makeTree("other", 5), { frameBytes });
  const sealed = await packIndexed(own, { frameBytes, recipients });
  const { offsetBytes, sizeBytes } = good.archiveIndex;
  const magic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
  const second = good.bytes.indexOf(magic, 4);
  const third = good.bytes.indexOf(magic, second + 4);
  const { bytes } = good;
  const save = (name: string, content: Buffer) => writeFileSync(join(folder, name), content);
  save("good.tar.zst", bytes);
  save("good.tar.zst.age", sealed.bytes);
  save("flipped-in-a-frame.tar.zst", flipped(bytes, second + 700));
  save("flipped-in-the-index.tar.zst", flipped(bytes, offsetBytes + 40));
  save("flipped-tar-header.tar", flippedHeader(bytes.subarray(0, offsetBytes)));
  save("flipped-in-the-age-payload.tar.zst.age", flipped(sealed.bytes, sealed.bytes.length - 30_000));
  save("cut-in-the-age-payload.tar.zst.age", sealed.bytes.subarray(0, -20_000));
  save("cut-in-the-age-header.tar.zst.age", sealed.bytes.subarray(0, 60));
  save("cut-in-a-frame.tar.zst", bytes.subarray(0, second + 500));
  save("cut-between-frames.tar.zst", bytes.subarray(0, third));
  save("cut-in-the-index.tar.zst", bytes.subarray(0, -10));
  save("cut-in-the-tar.tar.zst", zstdCompressSync(zstdOf(bytes.subarray(0, second)).subarray(0, 3000)));
  save("of-another-record.tar.zst", other.bytes);
  save(
    "reordered-frames.tar.zst",
    Buffer.concat([bytes.subarray(second, third), bytes.subarray(0, second), bytes.subarray(third)]),
  );
  save("empty.tar.zst", Buffer.alloc(0));
  const known = { sha256: good.sha256, sizeBytes: bytes.length, archiveIndex: good.archiveIndex };
  const locked = {
    sha256: sealed.sha256,
    sizeBytes: sealed.bytes.length,
    archiveIndex: sealed.archiveIndex,
  };
  const facts = { root: own, good: known, sealed: locked, identity, stranger, indexBytes: sizeBytes };
  save("facts.json", Buffer.from(`${JSON.stringify(facts, null, 2)}\n`));
}

/** Three files in two directories, always the same. */
function makeTree(name: string, seed: number): string {
  const root = join(scratch, name);
  mkdirSync(join(root, "sub"), { recursive: true });
  for (const [file, size] of [
    ["a.bin", 9000],
    ["sub/b.bin", 30_000],
    ["sub/c.txt", 12],
  ] as const) {
    writeFileSync(join(root, file), noise(size, seed + size));
    utimesSync(join(root, file), 1_700_000_000, 1_700_000_000);
  }
  return root;
}

/** Hashes of a counter: it does not compress, and is the same each time. */
function noise(size: number, seed: number): Buffer {
  const parts = Array.from({ length: Math.ceil(size / 32) }, (_, i) =>
    createHash("sha256").update(`${seed} ${i}`).digest(),
  );
  return Buffer.concat(parts).subarray(0, size);
}

/** The archive without compression, one digit of the second member's mode another one. */
function flippedHeader(frames: Buffer): Buffer {
  const magic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
  const parts: Buffer[] = [];
  for (let at = 0; at < frames.length; ) {
    const next = frames.indexOf(magic, at + 4);
    const end = next < 0 ? frames.length : next;
    parts.push(zstdOf(frames.subarray(at, end)));
    at = end;
  }
  const tar = Buffer.concat(parts);
  return flipped(tar, tar.lastIndexOf("c.txt") - (tar.lastIndexOf("c.txt") % 512) + 104);
}

function zstdOf(frame: Buffer): Buffer {
  return zstdDecompressSync(frame);
}
