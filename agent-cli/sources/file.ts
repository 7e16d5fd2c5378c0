import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
} from "node:fs";
import { setImmediate as breathe } from "node:timers/promises";
import { errorCode } from "../pipeline/error-code.ts";
import { encodeSparseMap, TarWriter } from "../pipeline/tar.ts";
import type { TarEntry } from "../pipeline/tar-entry.ts";
import type { WarningList } from "../pipeline/warnings.ts";
import { type AccountNames, readAccountNames } from "./account-names.ts";
import { compileExcludes } from "./excludes.ts";
import { previewFiles } from "./preview-files.ts";
import { newTally, type Source, type Tally } from "./source.ts";
import { minSparseSavingBytes, type Segment, scanSegments } from "./sparse.ts";
import { type Found, identities, identity, vanishedOr, walk } from "./walk.ts";

/**
 * Files and directories as a tar stream. A file that vanishes, shrinks, grows or cannot be read is a warning; the
 * archive is well-formed all the same. Symbolic links are stored as links, sockets left out.
 */
export const fileSource: Source<{
  type: "file";
  paths: string[];
  excludes: string[];
  oneFileSystem: boolean;
}> = {
  extension: () => "tar",
  preview: previewFiles,
  async open(spec, context) {
    const { warnings } = context;
    const tally = newTally();
    const ownPaths = [context.workDir, ...context.ownPaths];
    const found = walk(spec.paths, {
      excludes: compileExcludes(spec.excludes),
      oneFileSystem: spec.oneFileSystem,
      ownPaths,
      warnings,
    });
    const slabs = pack(
      found,
      new FilePacker(new TarWriter(context.slabs), warnings, tally, identities(ownPaths)),
    );
    return { bytes: breathing(slabs, context.signal), tally };
  },
};

/** Lets timers and sockets have their turn between slabs. */
async function* breathing(slabs: Iterable<Buffer | undefined>, signal: AbortSignal): AsyncGenerator<Buffer> {
  for (const slab of slabs) {
    signal.throwIfAborted();
    if (slab) yield slab;
    else await breathe();
  }
}

function* pack(found: Iterable<Found>, packer: FilePacker): Generator<Buffer | undefined> {
  for (const item of found) {
    yield* packer.add(item);
    yield* packer.tar.take();
  }
  yield* packer.tar.finish();
}

/** Flags that neither follow a link nor hang on a pipe that took the file's place since it was listed. */
const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Writes one found thing after the other into the archive. Its generators yield whenever slabs are to be taken. */
class FilePacker {
  readonly tar: TarWriter;
  readonly #warnings: WarningList;
  readonly #tally: Tally;
  /** What belongs to the agent and goes into no backup, such as its private key. */
  readonly #own: ReadonlySet<string>;
  readonly #names: AccountNames = readAccountNames();
  /** Files with several names: where the first one was stored, and how many are still to come. */
  readonly #linked = new Map<string, { path: Buffer; left: number }>();

  constructor(tar: TarWriter, warnings: WarningList, tally: Tally, own: ReadonlySet<string>) {
    this.tar = tar;
    this.#own = own;
    this.#warnings = warnings;
    this.#tally = tally;
  }

  *add(found: Found): Generator<Buffer | undefined> {
    switch (found.kind) {
      case "directory":
        this.#writeHeader(this.#entry(found.path, "directory", found.stat));
        break;
      case "file":
        yield* this.#addOpened(found.path);
        break;
      case "special":
        this.#addSpecial(found.path);
    }
  }

  *#addOpened(path: Buffer): Generator<Buffer | undefined> {
    let fd: number;
    try {
      fd = openSync(path, openFlags);
    } catch (error) {
      this.#warnings.add(path, vanishedOr(error));
      return;
    }
    try {
      const stat = fstatSync(fd, { bigint: true });
      if (this.#own.has(identity(stat))) return;
      if (!stat.isFile()) this.#addSpecial(path);
      else if (!this.#addHardLink(path, stat)) yield* this.#addFile(path, fd, stat);
    } finally {
      closeSync(fd);
    }
  }

  /** What is stored by its header alone. It is never opened: to open a tape is to wind it. */
  #addSpecial(path: Buffer): void {
    try {
      const stat = lstatSync(path, { bigint: true });
      if (stat.isSymbolicLink()) {
        const linkPath = readlinkSync(path, { encoding: "buffer" });
        this.#writeHeader({ ...this.#entry(path, "symlink", stat), linkPath });
      } else if (stat.isFIFO()) this.#writeHeader(this.#entry(path, "fifo", stat));
      else if (stat.isCharacterDevice()) this.#writeHeader(this.#entry(path, "char", stat));
      else if (stat.isBlockDevice()) this.#writeHeader(this.#entry(path, "block", stat));
      else if (stat.isSocket()) this.#warnings.add(path, "skipped: it is a socket");
      else this.#warnings.add(path, "skipped: it was replaced while the backup ran");
    } catch (error) {
      this.#warnings.add(path, vanishedOr(error));
    }
  }

  #addHardLink(path: Buffer, stat: BigIntStats): boolean {
    if (stat.nlink < 2n) return false;
    const key = `${stat.dev}:${stat.ino}`;
    const first = this.#linked.get(key);
    if (!first) {
      this.#linked.set(key, { path: memberName(path), left: Number(stat.nlink) - 1 });
      return false;
    }
    first.left -= 1;
    if (first.left <= 0) this.#linked.delete(key);
    this.#writeHeader({ ...this.#entry(path, "link", stat), linkPath: first.path });
    return true;
  }

  *#addFile(path: Buffer, fd: number, stat: BigIntStats): Generator<Buffer | undefined> {
    const size = Number(stat.size);
    if (size - Number(stat.blocks) * 512 >= minSparseSavingBytes) {
      yield* this.#addSparse(path, fd, stat, size);
      return;
    }
    this.#writeHeader({ ...this.#entry(path, "file", stat), size });
    const end = yield* this.#copy(path, fd, { offset: 0, length: size }, true);
    if (end === "grown")
      this.#warnings.add(path, `it grew while it was read: the first ${size} bytes are stored`);
    this.tar.pad(size);
  }

  *#addSparse(path: Buffer, fd: number, stat: BigIntStats, realSize: number): Generator<Buffer | undefined> {
    let segments: Segment[];
    try {
      segments = yield* scanSegments(fd, realSize);
    } catch (error) {
      this.#warnings.add(path, `skipped: it could not be read: ${errorCode(error)}`);
      return;
    }
    const map = encodeSparseMap(segments);
    const stored = segments.reduce((sum, { length }) => sum + length, 0);
    this.#writeHeader({
      ...this.#entry(path, "file", stat),
      size: map.length + stored,
      sparse: { realSize },
    });
    this.tar.write(map);
    for (const segment of segments) {
      if (segment.length > 0) yield* this.#copy(path, fd, segment, false);
    }
    this.tar.pad(map.length + stored);
    this.#tally.sourceBytes += realSize - stored;
    const after = fstatSync(fd, { bigint: true });
    // The map was made in a first pass: data that came into a hole since then is not in the archive.
    if (after.mtimeNs !== stat.mtimeNs || after.size !== stat.size) {
      this.#warnings.add(path, "it changed while it was read: what was written meanwhile may be missing");
    }
  }

  /**
   * Copies exactly `length` bytes into the archive; what cannot be read is made up with zeros, since the header has
   * promised the size. With `probe` it asks for one byte more and so notices growth without another call.
   */
  *#copy(
    path: Buffer,
    fd: number,
    { offset, length }: Segment,
    probe: boolean,
  ): Generator<Buffer | undefined, "grown" | "done"> {
    for (let done = 0; done < length; ) {
      const left = length - done;
      const read = this.#read(path, fd, Math.min(probe ? left + 1 : left, this.tar.room), offset + done);
      if (read === 0) {
        yield* this.#fillMissing(path, left, offset + done);
        return "done";
      }
      const used = Math.min(read, left);
      this.tar.advance(used);
      this.#tally.sourceBytes += used;
      done += used;
      if (this.tar.used === 0) yield* this.tar.take();
      if (read > left) return "grown";
    }
    return "done";
  }

  /** Reads into the archive's slab; an error counts as the end of the file, and is told. */
  #read(path: Buffer, fd: number, want: number, position: number): number {
    try {
      return readSync(fd, this.tar.slab, this.tar.used, want, position);
    } catch (error) {
      this.#warnings.add(path, `reading failed at byte ${position}: ${errorCode(error)}`);
      return 0;
    }
  }

  *#fillMissing(path: Buffer, missing: number, from: number): Generator<Buffer | undefined> {
    this.#warnings.add(
      path,
      `it shrank or could not be read to its end: zeros are stored from byte ${from} on`,
    );
    for (let left = missing; left > 0; ) {
      left -= this.tar.writeZeros(left);
      yield* this.tar.take();
    }
  }

  #writeHeader(entry: TarEntry): void {
    this.tar.writeHeader(entry);
    this.#tally.entries += 1;
    this.#tally.currentPath = entry.path;
  }

  #entry(path: Buffer, type: TarEntry["type"], stat: BigIntStats): TarEntry {
    const device = type === "char" || type === "block" ? deviceNumbers(stat.rdev) : null;
    const uid = Number(stat.uid);
    const gid = Number(stat.gid);
    return {
      path: type === "directory" ? Buffer.concat([memberName(path), slash]) : memberName(path),
      type,
      mode: Number(stat.mode) & 0o7777,
      uid,
      gid,
      userName: this.#names.user(uid),
      groupName: this.#names.group(gid),
      size: 0,
      mtimeNs: stat.mtimeNs,
      linkPath: null,
      devMajor: device?.major ?? 0,
      devMinor: device?.minor ?? 0,
      sparse: null,
    };
  }
}

const slash = Buffer.from("/");

/** The name in the archive: the absolute path without its first slash, as GNU tar has it. */
export const memberName = (path: Buffer): Buffer => (path.length > 1 ? path.subarray(1) : Buffer.from("."));

/** Linux's encoding of device numbers. */
function deviceNumbers(rdev: bigint): { major: number; minor: number } {
  return {
    major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n)),
    minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)),
  };
}
