import type { ComparedSegment } from "../sources/compare-segment.ts";
import type { ChunkRun } from "./age-payload.ts";
import type { PackedSegment } from "./index-entries.ts";

/** One frame, and how much it holds. */
export type Frame = { bytes: Uint8Array; plainBytes: number };

/** What a thread can be asked for; large buffers are handed over both ways, not copied. */
export type Requests = {
  /** Compares a segment of the base with what is there now. */
  compare: { ask: PackedSegment; answer: ComparedSegment };
  /** Seals chunks of an encrypted artifact. */
  seal: { ask: ChunkRun; answer: { sealed: Uint8Array } };
  /** Reads files, which are about to be packed, from a disk that answers late. Each byte of a path is a character. */
  readAhead: { ask: { paths: string[] }; answer: null };
};

export type RequestKind = keyof Requests;
export type Ask<K extends RequestKind = RequestKind> = {
  [Kind in K]: { id: number; kind: Kind; ask: Requests[Kind]["ask"] };
}[K];
export type Answer = { id: number; answer: unknown } | { id: number; error: string };
