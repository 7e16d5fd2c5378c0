import type { TarEntry } from "../pipeline/tar-entry.ts";

/**
 * What the walk tells the packing threads, and what they tell back, as bytes: structured copies of so many small objects
 * would take longer than the packing.
 */

/** A thing to pack: a file to be read, or something that its header says all about. Paths are absolute. */
export type BatchEntry =
  /** `fd` is given when the file is open already; whoever opened it closes it. `size` is what it is expected to have. */
  | { kind: "file"; path: Buffer; size: number; fd: number | null }
  | { kind: "header"; path: Buffer; type: Exclude<TarEntry["type"], "file">; header: HeaderFields };

export type HeaderFields = {
  mode: number;
  uid: number;
  gid: number;
  mtimeNs: bigint;
  linkPath: Buffer | null;
  devMajor: number;
  devMinor: number;
};

/** What became of a thing. What was not stored has a warning that says why, unless it is the agent's own. */
export type Packed = { stored: false } | { stored: true; offset: number; file: PackedFile | null };

/** A file as the archive's index has it: as it was when it was opened. */
export type PackedFile = {
  size: number;
  sparse: boolean;
  mode: number;
  uid: number;
  gid: number;
  mtimeNs: bigint;
  ctimeNs: bigint;
  dev: bigint;
  ino: bigint;
  sha256: Buffer;
};

const types: readonly TarEntry["type"][] = ["file", "link", "symlink", "directory", "char", "block", "fifo"];
const entryBytes = 49;
const nothing = Buffer.alloc(0);

/** Collects entries for one thread. */
export class BatchWriter {
  count = 0;
  #bytes = Buffer.allocUnsafeSlow(64 * 1024);
  #used = 0;

  add(entry: BatchEntry): void {
    const header = entry.kind === "header" ? entry.header : null;
    const link = header?.linkPath ?? nothing;
    const bytes = this.#room(entryBytes + entry.path.length + link.length);
    const at = this.#used;
    bytes[at] = entry.kind === "file" ? 0 : types.indexOf(entry.type);
    bytes.writeUInt32LE(entry.path.length, at + 1);
    bytes.writeUInt32LE(link.length, at + 5);
    if (entry.kind === "file") {
      bytes.writeDoubleLE(entry.size, at + 9);
      bytes.writeInt32LE(entry.fd ?? -1, at + 17);
    } else if (header) {
      bytes.writeUInt32LE(header.mode, at + 21);
      bytes.writeUInt32LE(header.uid, at + 25);
      bytes.writeUInt32LE(header.gid, at + 29);
      bytes.writeBigInt64LE(header.mtimeNs, at + 33);
      bytes.writeUInt32LE(header.devMajor, at + 41);
      bytes.writeUInt32LE(header.devMinor, at + 45);
    }
    bytes.set(entry.path, at + entryBytes);
    bytes.set(link, at + entryBytes + entry.path.length);
    this.#used += entryBytes + entry.path.length + link.length;
    this.count += 1;
  }

  /** What was collected, in memory of its own; nothing may be added afterwards. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#used);
  }

  #room(bytes: number): Buffer {
    if (this.#used + bytes > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#used + bytes));
      larger.set(this.#bytes.subarray(0, this.#used));
      this.#bytes = larger;
    }
    return this.#bytes;
  }
}

export function* readBatch(bytes: Buffer): Generator<BatchEntry> {
  for (let at = 0; at < bytes.length; ) {
    const type = types[bytes[at] as number] as TarEntry["type"];
    const pathEnd = at + entryBytes + bytes.readUInt32LE(at + 1);
    const end = pathEnd + bytes.readUInt32LE(at + 5);
    const path = bytes.subarray(at + entryBytes, pathEnd);
    if (type === "file") {
      const fd = bytes.readInt32LE(at + 17);
      yield { kind: "file", path, size: bytes.readDoubleLE(at + 9), fd: fd < 0 ? null : fd };
    } else {
      const header = {
        mode: bytes.readUInt32LE(at + 21),
        uid: bytes.readUInt32LE(at + 25),
        gid: bytes.readUInt32LE(at + 29),
        mtimeNs: bytes.readBigInt64LE(at + 33),
        linkPath: end > pathEnd ? bytes.subarray(pathEnd, end) : null,
        devMajor: bytes.readUInt32LE(at + 41),
        devMinor: bytes.readUInt32LE(at + 45),
      };
      yield { kind: "header", path, type, header };
    }
    at = end;
  }
}

const hashBytes = 32;
const packedBytes = 64 + hashBytes;

/** Collects what became of a batch, one record for each of its entries and in their order. */
export class PackedWriter {
  #bytes = Buffer.allocUnsafeSlow(64 * packedBytes);
  #used = 0;

  skipped(): void {
    this.#next()[this.#used - packedBytes] = 0;
  }

  stored(offset: number, file: PackedFile | null): void {
    const bytes = this.#next();
    const at = this.#used - packedBytes;
    bytes[at] = file === null ? 1 : file.sparse ? 3 : 2;
    bytes.writeDoubleLE(offset, at + 8);
    if (file === null) return;
    bytes.writeUInt16LE(file.mode, at + 2);
    bytes.writeUInt32LE(file.uid, at + 4);
    bytes.writeDoubleLE(file.size, at + 16);
    bytes.writeBigInt64LE(file.mtimeNs, at + 24);
    bytes.writeBigInt64LE(file.ctimeNs, at + 32);
    bytes.writeBigUInt64LE(file.dev, at + 40);
    bytes.writeBigUInt64LE(file.ino, at + 48);
    bytes.writeUInt32LE(file.gid, at + 56);
    bytes.set(file.sha256, at + 64);
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#used);
  }

  #next(): Buffer {
    if (this.#used === this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(this.#bytes.length * 4);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#used += packedBytes;
    return this.#bytes;
  }
}

export function readPacked(bytes: Buffer, row: number): Packed {
  const at = row * packedBytes;
  const state = bytes[at] as number;
  if (state === 0) return { stored: false };
  const offset = bytes.readDoubleLE(at + 8);
  if (state === 1) return { stored: true, offset, file: null };
  const file: PackedFile = {
    size: bytes.readDoubleLE(at + 16),
    sparse: state === 3,
    mode: bytes.readUInt16LE(at + 2),
    uid: bytes.readUInt32LE(at + 4),
    gid: bytes.readUInt32LE(at + 56),
    mtimeNs: bytes.readBigInt64LE(at + 24),
    ctimeNs: bytes.readBigInt64LE(at + 32),
    dev: bytes.readBigUInt64LE(at + 40),
    ino: bytes.readBigUInt64LE(at + 48),
    sha256: bytes.subarray(at + 64, at + packedBytes),
  };
  return { stored: true, offset, file };
}
