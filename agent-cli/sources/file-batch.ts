import type { IndexEntry } from "../pipeline/archive-index.ts";
import type { TarEntry } from "../pipeline/tar-entry.ts";

/**
 * What the walk tells the packing threads, and what they tell back, as bytes: structured copies of so many small objects
 * would take longer than the packing.
 */

/** A thing to pack: a file to be read, or something that its header says all about. Paths are absolute. */
export type BatchEntry =
  /** `fd` is given when the file is open already; whoever opened it closes it. `size` is what it is expected to have. */
  | { kind: "file"; path: Buffer; size: number; fd: number | null }
  | { kind: "header"; path: Buffer; type: HeaderType; header: HeaderFields };

export type HeaderType = Exclude<TarEntry["type"], "file">;

type HeaderFields = {
  mode: number;
  uid: number;
  gid: number;
  mtimeNs: bigint;
  linkPath: Buffer | null;
  devMajor: number;
  devMinor: number;
};

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
  /** As a string of bytes: small buffers cost the collector more than they hold. */
  sha256: string;
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
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < bytes.length; ) {
    const type = types[bytes[at] as number] as TarEntry["type"];
    const pathEnd = at + entryBytes + view.getUint32(at + 1, true);
    const end = pathEnd + view.getUint32(at + 5, true);
    const path = bytes.subarray(at + entryBytes, pathEnd);
    if (type === "file") {
      const fd = view.getInt32(at + 17, true);
      yield { kind: "file", path, size: view.getFloat64(at + 9, true), fd: fd < 0 ? null : fd };
    } else {
      const header = {
        mode: view.getUint32(at + 21, true),
        uid: view.getUint32(at + 25, true),
        gid: view.getUint32(at + 29, true),
        mtimeNs: view.getBigInt64(at + 33, true),
        linkPath: end > pathEnd ? bytes.subarray(pathEnd, end) : null,
        devMajor: view.getUint32(at + 41, true),
        devMinor: view.getUint32(at + 45, true),
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
  #view = new DataView(this.#bytes.buffer);
  #used = 0;

  skipped(): void {
    this.#bytes[this.#next()] = 0;
  }

  stored(offset: number, file: PackedFile | null): void {
    const at = this.#next();
    const view = this.#view;
    view.setUint8(at, file === null ? 1 : file.sparse ? 3 : 2);
    view.setFloat64(at + 8, offset, true);
    if (file === null) return;
    view.setUint16(at + 2, file.mode, true);
    view.setUint32(at + 4, file.uid, true);
    view.setFloat64(at + 16, file.size, true);
    view.setBigInt64(at + 24, file.mtimeNs, true);
    view.setBigInt64(at + 32, file.ctimeNs, true);
    view.setBigUint64(at + 40, file.dev, true);
    view.setBigUint64(at + 48, file.ino, true);
    view.setUint32(at + 56, file.gid, true);
    this.#bytes.write(file.sha256, at + 64, hashBytes, "binary");
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#used);
  }

  #next(): number {
    if (this.#used === this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(this.#bytes.length * 4);
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    this.#used += packedBytes;
    return this.#used - packedBytes;
  }
}

/** Reads what became of a batch. */
export class PackedReader {
  readonly #bytes: Buffer;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  isStored(row: number): boolean {
    return this.#bytes[row * packedBytes] !== 0;
  }

  /** Where it begins, in bytes after the beginning of its batch. */
  offset(row: number): number {
    return this.#view.getFloat64(row * packedBytes + 8, true);
  }

  /** Fills in what is known of a file; says no when the row is not a file's. */
  fill(row: number, entry: IndexEntry): boolean {
    const at = row * packedBytes;
    const view = this.#view;
    const state = view.getUint8(at);
    if (state < 2) return false;
    entry.sparse = state === 3;
    entry.mode = view.getUint16(at + 2, true);
    entry.uid = view.getUint32(at + 4, true);
    entry.gid = view.getUint32(at + 56, true);
    entry.size = view.getFloat64(at + 16, true);
    entry.mtimeNs = view.getBigInt64(at + 24, true);
    entry.ctimeNs = view.getBigInt64(at + 32, true);
    entry.dev = view.getBigUint64(at + 40, true);
    entry.ino = view.getBigUint64(at + 48, true);
    entry.sha256 = this.#bytes.subarray(at + 64, at + packedBytes);
    return true;
  }
}
