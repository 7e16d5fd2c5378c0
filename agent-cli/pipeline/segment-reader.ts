import { DamagedArtifact } from "./damaged.ts";
import type { FrameDecoder } from "./frame-decoder.ts";
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
      const { from, to } = this.#stretch(end);
      if (from >= end) return;
      const until = Math.min(end, to);
      this.#tar.push(content.subarray(Math.max(0, from - frame.plainAt), until - frame.plainAt));
      while ((this.#members[this.#reading]?.to ?? Number.POSITIVE_INFINITY) <= until) this.#reading += 1;
      if (to >= end) return;
    }
  }

  /** To be called after the last frame. */
  end(): void {
    this.#tar.push(endOfArchive);
    this.#tar.end();
    if (this.#next !== this.#members.length) throw notAsIndexed();
  }

  expectedHash(): Buffer | null {
    return this.#members[this.#next - 1]?.sha256 ?? null;
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

  /** The members from the current one on that follow each other without a gap, as far as they begin before `end`. */
  #stretch(end: number): { from: number; to: number } {
    const first = this.#members[this.#reading] as Member;
    let { to } = first;
    for (let i = this.#reading + 1; i < this.#members.length && to < end; i += 1) {
      const member = this.#members[i] as Member;
      if (member.from !== to) break;
      to = member.to;
    }
    return { from: first.from, to };
  }
}

function isSame(entry: TarEntry, { path, type, size }: Member): boolean {
  const name = entry.path.at(-1) === 47 ? entry.path.subarray(0, -1) : entry.path;
  return (
    type === entry.type && name.equals(path.subarray(1)) && (type !== "file" || contentSize(entry) === size)
  );
}

const notAsIndexed = () => new DamagedArtifact("its index does not fit what is in it");
