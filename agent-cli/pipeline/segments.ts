import type { ArchiveIndex, IndexFrame, IndexMember } from "./archive-index.ts";
import { DamagedArtifact } from "./damaged.ts";
import type { FileSum } from "./file-sum.ts";
import { types } from "./index-format.ts";
import type { TarEntry } from "./tar-entry.ts";

/** A frame in the compressed stream, and where its content stands in the tar stream. */
export type PlacedFrame = IndexFrame & { compressedAt: number; plainAt: number };

/** A member that is wanted, and its range in the tar stream with its headers and padding. */
export type Member = {
  from: number;
  to: number;
  path: Buffer;
  type: TarEntry["type"];
  size: number;
  sum: FileSum | null;
};

/** Neighbouring frames, and the wanted members that begin and end in them. */
export type Segment = { frames: PlacedFrame[]; members: Buffer };

/** Frames that are taken into memory whole. The packer's own are much smaller. */
const maxFrameBytes = 64 * 1024 * 1024;

/**
 * The parts of an archive that hold the wanted members, in order. No frame is in two of them. `want` says what the
 * member is to be, or null for one that is not wanted.
 */
export function* segmentsOf(index: ArchiveIndex, want: (entry: IndexMember) => boolean): Generator<Segment> {
  const frames = placeFrames(index.frames);
  const last = frames.at(-1);
  const tarBytes = last ? last.plainAt + last.plainBytes : 0;
  let open: SegmentBuilder | null = null;
  for (const member of membersOf(index, tarBytes, want)) {
    if (open && !open.reaches(member)) {
      yield open.finish();
      open = null;
    }
    open ??= new SegmentBuilder(frames, firstFrameOf(frames, member.from));
    open.add(member);
  }
  if (open) yield open.finish();
}

function placeFrames(frames: readonly IndexFrame[]): PlacedFrame[] {
  let compressedAt = 0;
  let plainAt = 0;
  return frames.map((frame) => {
    if (frame.plainBytes > maxFrameBytes || frame.compressedBytes > 2 * maxFrameBytes)
      throw new DamagedArtifact("its index: a frame of an impossible size");
    const placed = { ...frame, compressedAt, plainAt };
    compressedAt += frame.compressedBytes;
    plainAt += frame.plainBytes;
    return placed;
  });
}

/** The wanted members of this archive, with their ends: where the next one begins, wanted or not. */
function* membersOf(
  index: ArchiveIndex,
  tarBytes: number,
  want: (entry: IndexMember) => boolean,
): Generator<Member> {
  let waiting: Member | null = null;
  let previous = -1;
  for (const entry of index.entries.members()) {
    if (entry.tarOffset < 0) continue;
    if (entry.tarOffset <= previous) throw new DamagedArtifact("its index: the members are not in order");
    previous = entry.tarOffset;
    if (waiting) yield { ...waiting, to: entry.tarOffset };
    const { path, type, size, sum, tarOffset } = entry;
    waiting = want(entry) ? { from: tarOffset, to: tarBytes, path, type, size, sum } : null;
  }
  if (waiting) yield waiting;
}

function firstFrameOf(frames: readonly PlacedFrame[], offset: number): number {
  let low = 0;
  let high = frames.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((frames[middle] as PlacedFrame).plainAt <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

class SegmentBuilder {
  readonly #all: readonly PlacedFrame[];
  readonly #first: number;
  #end: number;
  readonly #members: Buffer[] = [];

  constructor(all: readonly PlacedFrame[], first: number) {
    this.#all = all;
    this.#first = first;
    this.#end = first;
  }

  /** Whether the member begins in a frame that is in this segment already, and so must be in it too. */
  reaches({ from }: Member): boolean {
    return from < this.#coveredTo();
  }

  add(member: Member): void {
    this.#members.push(packMember(member));
    while (this.#coveredTo() < member.to && this.#end < this.#all.length) this.#end += 1;
  }

  finish(): Segment {
    return { frames: this.#all.slice(this.#first, this.#end), members: Buffer.concat(this.#members) };
  }

  /** Where the content of the frames so far ends. */
  #coveredTo(): number {
    const last = this.#all[this.#end - 1];
    return last && this.#end > this.#first ? last.plainAt + last.plainBytes : -1;
  }
}

const fixedBytes = 4 * 8 + 4 + 1;
const noSum = -1;

/** Members travel between threads as plain bytes: as objects, copying them would cost more than restoring them. */
function packMember({ from, to, path, type, size, sum }: Member): Buffer {
  const packed = Buffer.allocUnsafe(fixedBytes + path.length);
  packed.writeDoubleLE(from, 0);
  packed.writeDoubleLE(to, 8);
  packed.writeDoubleLE(size, 16);
  packed.writeDoubleLE(sum ?? noSum, 24);
  packed.writeUInt32LE(path.length, 32);
  packed[36] = types.indexOf(type);
  packed.set(path, fixedBytes);
  return packed;
}

export function unpackMembers(packed: Buffer): Member[] {
  const members: Member[] = [];
  for (let at = 0; at < packed.length; ) {
    const pathEnd = at + fixedBytes + packed.readUInt32LE(at + 32);
    const sum = packed.readDoubleLE(at + 24);
    members.push({
      from: packed.readDoubleLE(at),
      to: packed.readDoubleLE(at + 8),
      size: packed.readDoubleLE(at + 16),
      type: types[packed[at + 36] as number] as TarEntry["type"],
      sum: sum === noSum ? null : sum,
      path: packed.subarray(at + fixedBytes, pathEnd),
    });
    at = pathEnd;
  }
  return members;
}
