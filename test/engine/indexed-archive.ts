import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { constants, crc32, zstdCompressSync } from "node:zlib";
import { makeHeader } from "../../agent-cli/pipeline/age-header.ts";
import { sealRun } from "../../agent-cli/pipeline/age-payload.ts";
import type {
  ArchiveIndex,
  IndexBase,
  IndexEntry,
  IndexPlace,
} from "../../agent-cli/pipeline/archive-index.ts";
import { encrypt } from "../../agent-cli/pipeline/encrypt.ts";
import { sumOf } from "../../agent-cli/pipeline/file-summing.ts";
import { encodeArchiveIndex } from "../../agent-cli/pipeline/index-builder.ts";
import { SlabPool, slabBytes } from "../../agent-cli/pipeline/slabs.ts";
import { TarWriter } from "../../agent-cli/pipeline/tar.ts";
import { toTarEntry } from "../../agent-cli/pipeline/to-tar-entry.ts";

export type Packed = { bytes: Buffer; sha256: string; archiveIndex: IndexPlace; entries: IndexEntry[] };

type PackOptions = {
  frameBytes?: number;
  base?: { index: IndexBase; entries: IndexEntry[] };
  recipients?: string[];
  change?: (index: Omit<ArchiveIndex, "entries"> & { entries: IndexEntry[] }) => void;
};

/** Packs a tree the plainest way: one file after the other, into frames of a fixed size, its index behind them. */
export async function packIndexed(root: string, options: PackOptions = {}): Promise<Packed> {
  const known = new Map(options.base?.entries.map((entry) => [entry.path.toString("latin1"), entry]));
  const tar = new TarWriter(new SlabPool());
  const slabs: Buffer[] = [];
  const entries: IndexEntry[] = [];
  const inodes = new Map<bigint, string>();
  const visit = (path: string) => {
    const entry = entryOf(path, inodes);
    const before = known.get(path);
    const unchanged = before && before.ctimeNs === entry.ctimeNs && before.ino === entry.ino;
    known.delete(path);
    entry.tarOffset = unchanged ? -1 : slabs.length * slabBytes + tar.used;
    entries.push(entry);
    if (!unchanged) {
      tar.writeHeader(toTarEntry(entry));
      if (entry.type === "file") tar.write(readFileSync(path));
      tar.pad(entry.type === "file" ? entry.size : 0);
      slabs.push(...tar.take());
    }
    if (entry.type === "directory") for (const name of readdirSync(path).sort()) visit(join(path, name));
  };
  visit(root);
  const deleted = [...known.keys()].map((path) => Buffer.from(path, "latin1"));
  if (options.base) writeList(tar, deleted);
  const plain = Buffer.concat([...slabs, ...tar.finish()]);
  return await finish(plain, entries, deleted, options);
}

/** Gives files the sums that agents have stored before they used XXH64. */
export const withOlderSums: NonNullable<PackOptions["change"]> = ({ entries }) => {
  for (const entry of entries) {
    if (entry.type === "file") entry.sum = crc32(readFileSync(entry.path));
  }
};

/** The last member of a differential backup: names of what is gone, for who restores with tar alone. */
function writeList(tar: TarWriter, deleted: Buffer[]): void {
  const names = Buffer.from(
    deleted.map((path) => `${path.toString("latin1").slice(1)}\0`).join(""),
    "latin1",
  );
  const nobody = { uid: 0, gid: 0, userName: null, groupName: null, devMajor: 0, devMinor: 0 };
  const file = {
    type: "file",
    size: names.length,
    mode: 0o600,
    mtimeNs: 0n,
    linkPath: null,
    sparse: null,
  } as const;
  tar.writeHeader({ path: Buffer.from(".backupx-deleted"), ...file, ...nobody });
  tar.write(names);
  tar.pad(names.length);
}

async function finish(plain: Buffer, entries: IndexEntry[], deleted: Buffer[], options: PackOptions) {
  const frameBytes = options.frameBytes ?? 64 * 1024;
  const frames: Buffer[] = [];
  const index = { frames: [] as ArchiveIndex["frames"], entries, deleted, base: options.base?.index ?? null };
  for (let at = 0; at < plain.length; at += frameBytes) {
    const content = plain.subarray(at, at + frameBytes);
    const params = { [constants.ZSTD_c_checksumFlag]: 1 };
    const frame = zstdCompressSync(content, { params, pledgedSrcSize: content.length });
    frames.push(frame);
    index.frames.push({ compressedBytes: frame.length, plainBytes: content.length });
  }
  options.change?.(index);
  const encoded = encodeArchiveIndex(index);
  const offsetBytes = frames.reduce((sum, frame) => sum + frame.length, 0);
  const stream = Buffer.concat([...frames, encoded]);
  const bytes = options.recipients ? await encrypted(stream, options.recipients) : stream;
  const archiveIndex = { offsetBytes, sizeBytes: encoded.length, sha256: sha256(encoded).toString("hex") };
  return { bytes, sha256: sha256(bytes).toString("hex"), archiveIndex, entries };
}

async function encrypted(plain: Buffer, recipients: string[]): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  async function* source() {
    yield plain;
  }
  for await (const part of encrypt(source(), makeHeader(recipients), async (run) => sealRun(run)))
    parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

function entryOf(path: string, inodes: Map<bigint, string>): IndexEntry {
  const stat = lstatSync(path, { bigint: true });
  const first = stat.isFile() ? inodes.get(stat.ino) : undefined;
  inodes.set(stat.ino, first ?? path);
  const type = first ? "link" : stat.isDirectory() ? "directory" : stat.isSymbolicLink() ? "symlink" : "file";
  return {
    path: Buffer.from(path),
    type,
    sparse: false,
    size: type === "file" ? Number(stat.size) : 0,
    mode: Number(stat.mode) & 0o7777,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    mtimeNs: stat.mtimeNs,
    ctimeNs: stat.ctimeNs,
    dev: stat.dev,
    ino: stat.ino,
    linkPath: first
      ? Buffer.from(first)
      : type === "symlink"
        ? readlinkSync(path, { encoding: "buffer" })
        : null,
    sum: type === "file" ? sumOf(readFileSync(path)) : null,
    tarOffset: -1,
  };
}

const sha256 = (bytes: Buffer): Buffer => createHash("sha256").update(bytes).digest();
