import type { ComparedSegment, CompareSettings } from "../sources/compare-segment.ts";
import type { EntryWarning } from "../sources/file-packer.ts";
import type { ChunkRun } from "./age-payload.ts";
import type { PackedSegment } from "./index-entries.ts";
import type { Compression } from "./pipeline.ts";

/** What a packing thread is told once, when it starts. */
export type ThreadSettings = {
  compression: Compression;
  level: number | null;
  /** Files and directories of the agent, as `identity` names them. */
  own: string[];
  /** Whether the files' own hashes are wanted. */
  hashing: boolean;
  /** For comparing with a base. */
  compare: CompareSettings | null;
};

/** One frame, and how much it holds. */
export type Frame = { bytes: Uint8Array; plainBytes: number };

/** What a packing thread can be asked for; large buffers are handed over both ways, not copied. */
export type Requests = {
  /** A slab of bytes as one frame; the slab comes back. */
  frame: { ask: { slab: ArrayBuffer; used: number }; answer: { frame: Frame; slab: ArrayBuffer } };
  /** A batch of entries as whole frames. */
  files: { ask: { batch: Uint8Array }; answer: PackedBatch };
  /** Begins a file of any size, which is a batch of one; its bytes are asked for part by part. */
  open: { ask: { batch: Uint8Array }; answer: null };
  /** The next part of the open file; `end` is given with the last one. Later parts are empty. */
  part: { ask: { slab: ArrayBuffer }; answer: FilePart };
  /** Compares a segment of the base with what is there now. */
  compare: { ask: PackedSegment; answer: ComparedSegment };
  /** Seals chunks of an encrypted artifact. */
  seal: { ask: ChunkRun; answer: { sealed: Uint8Array } };
};

export type BatchReport = {
  results: Uint8Array;
  warnings: EntryWarning[];
  sourceBytes: number;
};
export type PackedBatch = BatchReport & { frames: Frame[] };
export type FilePart = { slab: ArrayBuffer; used: number; sourceBytes: number; end: BatchReport | null };

export type RequestKind = keyof Requests;
export type Ask<K extends RequestKind = RequestKind> = {
  [Kind in K]: { id: number; kind: Kind; ask: Requests[Kind]["ask"] };
}[K];
export type Answer = { id: number; answer: unknown } | { id: number; error: string };
