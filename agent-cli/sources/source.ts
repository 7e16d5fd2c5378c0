import type { SourceSpec } from "../pipeline/pipeline.ts";
import type { SlabPool } from "../pipeline/slabs.ts";
import type { WarningList } from "../pipeline/warnings.ts";

/** What a source has read so far. It is filled while `bytes` is read, and complete once that has ended. */
export type Tally = { sourceBytes: number; entries: number; currentPath: string | Buffer | null };

export type SourceContext = {
  /** A private directory (0700) for what cannot be streamed. */
  workDir: string;
  /** Directories and files of the agent itself, which are never part of a backup. */
  ownPaths: readonly string[];
  warnings: WarningList;
  /** Where large buffers come from; the reader of `bytes` gives them back. */
  slabs: SlabPool;
  signal: AbortSignal;
};

/**
 * A source that is ready to be read, once.
 *
 * Promises: `bytes` either gives the whole content or throws, it never just ends early; whatever is smaller than that
 * (one file of many that could not be read) is a warning. Opening throws when there is nothing to back up at all.
 */
export type OpenedSource = { bytes: AsyncIterable<Uint8Array>; tally: Tally };

/** A kind of thing that can be backed up. */
export type Source<Spec extends SourceSpec> = {
  /** What the bytes are before compression. */
  extension(spec: Spec): "tar" | "sqlite";
  open(spec: Spec, context: SourceContext): Promise<OpenedSource>;
};

export const newTally = (): Tally => ({ sourceBytes: 0, entries: 0, currentPath: null });
