import type { ArchiveIndexBuilder } from "../pipeline/index-builder.ts";
import type { Frame } from "../pipeline/pack-requests.ts";
import type { PackThreads } from "../pipeline/pack-threads.ts";
import type {
  Base,
  ConfiguredCommand,
  DatabasePlace,
  Reporter,
  RestoreJob,
  RestoreOptions,
  SourceSecrets,
  SourceSpec,
  Warning,
} from "../pipeline/pipeline.ts";
import type { SlabPool } from "../pipeline/slabs.ts";

import type { WarningList } from "../pipeline/warnings.ts";

/** What a source has read so far. It is filled while it is read, and complete once that has ended. */
export type Tally = { sourceBytes: number; entries: number; currentPath: string | Buffer | null };

/** What lets a source be read or asked. */
export type Access = {
  secrets: SourceSecrets;
  /** Programs that this machine's own configuration allows. */
  commands: Readonly<Record<string, ConfiguredCommand>>;
  /** A private directory (0700), for password files and the like. */
  workDir: string;
  signal: AbortSignal;
};

export type SourceContext = Access & {
  /** Directories and files of the agent itself, which are never part of a backup. */
  ownPaths: readonly string[];
  warnings: WarningList;
  /** Where large buffers come from; the reader of `bytes` gives them back. */
  slabs: SlabPool;
  /** Who packs, for a source that can have several pieces of itself packed at once. */
  threads: PackThreads;
  /** Where a source of files tells what it has put where; null when nobody wants to know. */
  index: ArchiveIndexBuilder | null;
  /** What a source of files compares with, to leave out what has not changed. */
  base: Base | null;
};

/**
 * A source that is ready to be read, once.
 *
 * It gives either plain bytes or, if it has used the packing threads, finished frames. Promises: both either give the
 * whole content or throw, they never just end early; whatever is smaller than that (one file of many that could not be
 * read) is a warning. Opening throws when there is nothing to back up at all. A chunk that was given out is not looked at
 * again.
 */
export type OpenedSource = { tally: Tally } & (
  | { bytes: AsyncIterable<Uint8Array> }
  | { frames: AsyncIterable<Frame> }
);

/** The end of an artifact's name, from which it is known what the bytes are. */
export type SourceExtension = "tar" | "sqlite" | "dump" | "sql" | "archive" | "bin";

/** Programs that a source needs, by name, with the versions that were found on this machine. */
export type Tools = Record<string, string>;

export type FoundDatabase = { name: string; sizeBytes: number | null };

/** What a backup would read now; see `sourcePreview` in protocol/. */
export type Preview = {
  complete: boolean;
  entries: number;
  bytes: number | null;
  first: { path: string; sizeBytes: number | null }[];
  excluded: { count: number; first: string[] };
  unreadable: { count: number; first: Warning[] };
};

export type SourceRestore<Spec extends SourceSpec> = Pick<RestoreJob, "conflict"> & {
  source: Spec;
  options: RestoreOptions;
  report: Reporter;
  /** To be kept up to date while it runs: entries are databases. */
  tally: Tally;
  /** Names this run in the server; see restore-mark.ts. */
  mark: string;
};

/**
 * A kind of thing that can be backed up.
 *
 * Promises: programs are started with an argument list and no shell, get secrets by their environment or by files in
 * `workDir`, and have ended, with all that they started, before the call that started them does. No error, log line or
 * argument holds a secret.
 */
export type Source<Spec extends SourceSpec> = {
  /** What the bytes are before compression. */
  extension(spec: Spec): SourceExtension;
  open(spec: Spec, context: SourceContext): Promise<OpenedSource>;
  /** What `open` would read. Ends when the signal aborts, with what it knows by then and `complete: false`. */
  preview(spec: Spec, access: Access & Pick<SourceContext, "ownPaths">): Promise<Preview>;
  /** The databases of a server, without its own; or files, as many as were found when the signal aborts. */
  discover?(
    place: Extract<DatabasePlace, { type: Spec["type"] }>,
    access: Access & Pick<SourceContext, "ownPaths">,
  ): Promise<FoundDatabase[]>;
  /** Sources of paths have none: they are restored by pipeline/restore.ts. */
  restore?(restore: SourceRestore<Spec>, access: Access): Promise<DumpRestore>;
  /** Removes the databases that a restore was loading when it was killed, and tells their names; no others. */
  dropUnfinished?(spec: Spec, mark: string, access: Access): Promise<string[]>;
};

/** Takes back what `open` gave, to where it came from, in two readings of the same bytes. */
export type DumpRestore = {
  /** Reads all, writes nothing, and throws when that cannot be restored as it is asked for. */
  check(bytes: AsyncIterable<Uint8Array>): Promise<void>;
  /** Stops at the first error and leaves nothing half restored behind. */
  load(bytes: AsyncIterable<Uint8Array>): Promise<{ entries: number; bytes: number }>;
  close(): Promise<void>;
};

/** A preview that has seen nothing yet. */
export const newPreview = (): Preview => ({
  complete: false,
  entries: 0,
  bytes: 0,
  first: [],
  excluded: { count: 0, first: [] },
  unreadable: { count: 0, first: [] },
});

export const newTally = (): Tally => ({ sourceBytes: 0, entries: 0, currentPath: null });
