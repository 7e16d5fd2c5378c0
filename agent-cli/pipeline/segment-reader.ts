import { DamagedArtifact } from "./damaged.ts";
import type { FileSum } from "./file-sum.ts";
import type { FrameDecoder } from "./frame-decoder.ts";
import { readPlainFile } from "./plain-file.ts";
import { type Member, type PlacedFrame, unpackMembers } from "./segments.ts";
import { contentSize, deletedMember, type TarEntry } from "./tar-entry.ts";
import { type TarHandler, TarReader } from "./untar.ts";

const endOfArchive = Buffer.alloc(1024);

/**
 * Reads the wanted members of one segment, frame by frame, and hands them to a handler. What stands in the archive must
 * be what its index says, name by name: nothing else was planned or allowed.
 */
export class SegmentReader implements TarHandler {
  readonly #members: Member[];
  readonly #handler: TarHandler;
  readonly #decode: FrameDecoder;
  readonly #tar = new TarReader(this);
  /** The first member whose bytes are not all read, and the one whose header comes next. */
  #reading = 0;
  #next = 0;
  /** What is read now is the differential run's list of deletions, which is no member of the tree. */
  #isList = false;

  constructor(packedMembers: Buffer, handler: TarHandler, decode: FrameDecoder) {
    this.#members = unpackMembers(packedMembers);
    this.#handler = handler;
    this.#decode = decode;
  }

  frame(frame: PlacedFrame, compressed: Buffer): void {
    const content = this.#decode(compressed, frame.plainBytes);
    const end = frame.plainAt + frame.plainBytes;
    while (this.#reading < this.#members.length) {
      const member = this.#members[this.#reading] as Member;
      if (member.from >= end) return;
      const at = member.from - frame.plainAt;
      const isWhole = at >= 0 && member.to <= end;
      if (!isWhole || !this.#readPlain(member, content, at))
        this.#tar.push(content.subarray(Math.max(0, at), Math.min(end, member.to) - frame.plainAt));
      if (member.to > end) return;
      this.#reading += 1;
    }
  }

  /** The short way for most members; false where the strict reader must look, or is in the middle of something. */
  #readPlain(member: Member, content: Buffer, at: number): boolean {
    if (member.type !== "file" || this.#next !== this.#reading) return false;
    const file = readPlainFile(content, at, member);
    if (!file) return false;
    this.#next += 1;
    this.#handler.entry(file.entry);
    if (member.size > 0)
      this.#handler.data(content.subarray(file.contentAt, file.contentAt + member.size), 0);
    this.#handler.endEntry();
    return true;
  }

  /** To be called after the last frame. */
  end(): void {
    this.#tar.push(endOfArchive);
    this.#tar.end();
    if (this.#next !== this.#members.length) throw notAsIndexed();
  }

  expectedSum(): FileSum | null {
    return this.#members[this.#next - 1]?.sum ?? null;
  }

  entry(entry: TarEntry): void {
    const member = this.#members[this.#next];
    this.#isList = member === undefined && entry.path.equals(deletedMember);
    if (this.#isList) return;
    this.#next += 1;
    if (!member || !isSame(entry, member)) throw notAsIndexed();
    this.#handler.entry(entry);
  }

  sparseMap(map: Buffer): void {
    this.#handler.sparseMap?.(map);
  }

  data(bytes: Buffer, offset: number): void {
    if (!this.#isList) this.#handler.data(bytes, offset);
  }

  endEntry(): void {
    if (!this.#isList) this.#handler.endEntry();
  }
}

function isSame(entry: TarEntry, { path, type, size }: Member): boolean {
  const name = entry.path.at(-1) === 47 ? entry.path.subarray(0, -1) : entry.path;
  return (
    type === entry.type && name.equals(path.subarray(1)) && (type !== "file" || contentSize(entry) === size)
  );
}

const notAsIndexed = () => new DamagedArtifact("its index does not fit what is in it");
