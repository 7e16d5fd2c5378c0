import type { Storage } from "../storage/storage.ts";
import type { ArchiveIndex, IndexBase, IndexPlace } from "./archive-index.ts";

import type { DryRunOutcome } from "./dry-run.ts";
import type { Identities } from "./identities.ts";

/** A database server. The same shapes cross the wire; `protocol/` validates them. */
type Server = {
  /** A name, an address, or the absolute path of a Unix socket (PostgreSQL: of its directory). */
  host: string;
  user: string;
  tls: { mode: "disable" | "prefer" | "require" | "verify-ca" | "verify-full"; caFile: string | null };
};
export type ServerSpec =
  | (Server & { type: "postgresql"; port: number; maintenanceDatabase: string })
  | (Server & { type: "mysql"; port: number })
  | (Server & { type: "mongodb"; port: number; authDatabase: string; replicaSet: string | null })
  | (Server & { type: "saphana"; port: number | null; instance: string });

/** What can be asked for its databases: a server, or a directory below which SQLite's are looked for. */
export type DatabasePlace = ServerSpec | { type: "sqlite"; folder: string };

/** What to read from a server: those named, or all that it has when none is; never the excluded ones. */
type Databases = { databases: string[]; excludeDatabases: string[] };
type ServerOf<Type extends ServerSpec["type"]> = Extract<ServerSpec, { type: Type }>;

/** What a backup reads. */
export type SourceSpec =
  | { type: "file"; paths: string[]; excludes: string[]; oneFileSystem: boolean }
  | { type: "sqlite"; paths: string[] }
  | (ServerOf<"postgresql"> &
      Databases & { globals: boolean; excludeTables: string[]; excludeTableData: string[] })
  | (ServerOf<"mysql"> & Databases & { singleTransaction: boolean; excludeTables: string[] })
  | (ServerOf<"mongodb"> & Databases & { oplog: boolean })
  | (ServerOf<"saphana"> & Databases)
  | { type: "command"; name: string };

/** What opens a source. It is never part of the source itself, and in no log, error or command line. */
export type SourceSecrets = { password: string | null };

/** A program that this machine's own configuration allows, as it is started: no shell reads it. */
export type ConfiguredCommand = {
  run: string[];
  /** Takes the output back. */
  restore: string[] | null;
  /** Reads the output and judges by its exit code whether that is sound. */
  verify: { run: string[]; timeoutMs: number } | null;
};

export type Compression = "zstd" | "gzip" | "none";
export type PipelineSpec = {
  compression: Compression;
  level: number | null;
  /** How many threads pack; nothing or null leaves it to the machine. */
  threads?: number | null;
  /** Public keys (`age1…`) to whose owners the artifact is encrypted; nothing or null leaves it readable. */
  encryption?: { recipients: string[] } | null;
};

/** One thing that went differently from what was asked, while the run went on. */
export type Warning = { path: string; reason: string };

export type Progress = {
  phase: "scanning" | "packing" | "uploading" | "verifying" | "restoring";
  /** Bytes of the source read so far, and files or databases finished. */
  sourceBytes: number;
  entries: number;
  /** Bytes of the artifact that were made (backup) or fetched (restore) so far. */
  artifactBytes: number;
  /** Estimates of the end values, null while unknown. */
  totalSourceBytes: number | null;
  totalEntries: number | null;
  currentPath: string | null;
};

export type Reporter = {
  progress(progress: Progress): void;
  log(level: "info" | "warn" | "error", text: string): void;
};

export type BackupTarget = {
  id: number;
  name: string;
  storage: Storage;
  /** Key of the artifact in this storage, complete with its file name. */
  key: string;
  /** Bytes that may still be written to this target; null when there is no quota. */
  quotaRemainingBytes: number | null;
};

/** A full backup by its index: what is as it was then is not stored again. */
export type Base = { recordId: number; sha256: string; index: ArchiveIndex };

export type BackupJob = {
  source: SourceSpec;
  sourceSecrets?: SourceSecrets;
  /** Programs that `command` sources may name. */
  commands?: Readonly<Record<string, ConfiguredCommand>>;
  pipeline: PipelineSpec;
  targets: BackupTarget[];
  /** A directory of this job alone, mode 0700, for what cannot be streamed; the caller removes it. */
  workDir: string;
  /** Directories and files of the agent (its state, its key) that a backup of files leaves out, beside `workDir`. */
  ownPaths?: readonly string[];
  /** Makes it a differential backup: of files, packed with zstd. */
  base?: Base | null;
  /** Called with the archive's index, as it stands in the artifact, when all has been packed and little uploaded. */
  onIndex?: (index: Uint8Array) => void;
  report: Reporter;
  signal: AbortSignal;
};

export type TargetResult = {
  id: number;
  name: string;
  status: "success" | "failed";
  sizeBytes: number;
  error: string | null;
  /** Where and what it is in this target, if that differs between targets. */
  key?: string;
  sha256?: string;
};

export type BackupResult = {
  sizeBytes: number;
  /** SHA-256 of the artifact, 64 hex characters. */
  sha256: string;
  sourceBytes: number;
  entries: number;
  warnings: Warning[];
  /** Warnings beyond those kept in `warnings` (which is bounded) are still counted here. */
  warningCount: number;
  targets: TargetResult[];
  /** Where the archive's index lies, in the stream before encryption; null when there is none. */
  archiveIndex: IndexPlace | null;
  timings: { totalMs: number };
};

/** One stored artifact, and what is known of it. */
export type StoredArtifact = {
  storage: Storage;
  key: string;
  expected: { sha256: string | null; sizeBytes: number | null };
  /** For an encrypted artifact: the keys that may open it. */
  identities?: Identities | null;
  /** Where its index stands and what hash it has; null: it has none. Left out, it is looked for, and not trusted. */
  archiveIndex?: IndexPlace | null;
  /** It lies on this machine: to read it again costs less than a copy. */
  nearby?: boolean;
};

/** Looks for the full backup below a differential one, by what that knows of it; null when it is not to be found. */
export type FindBase = (needed: IndexBase) => Promise<StoredArtifact | null>;

export type RestoreJob = StoredArtifact & {
  sourceType: SourceSpec["type"];
  /** Where it was read from, which databases and commands need to be restored in place. */
  source?: SourceSpec | null;
  sourceSecrets?: SourceSecrets;
  commands?: Readonly<Record<string, ConfiguredCommand>>;
  options?: RestoreOptions;
  compression: Compression;
  /** The full backup that a differential one stands on, or who finds it. */
  base?: StoredArtifact | FindBase | null;
  /** Nothing is written: only what would be is told, in the result's `outcome`. */
  dryRun?: boolean;
  /**
   * Absolute directory (file) or file or directory (any other) to restore to; null is the original place: paths, the
   * server, or the command that takes it back.
   */
  destination: string | null;
  /** Absolute paths as they were backed up; a directory selects what is below it. Null restores everything. */
  selectedPaths: string[] | null;
  /** The source's paths when it was backed up: a single SQLite database has no name inside its artifact. */
  originalPaths?: readonly string[];
  conflict: "fail" | "keep" | "overwrite";
  /** What this run is called in a database server, if somebody is to clear up after it; see sources/restore-mark.ts. */
  mark?: string;
  workDir: string;
  report: Reporter;
  signal: AbortSignal;
};

/** What only databases know: which of them to restore (null: all), and their new names by the old ones. */
export type RestoreOptions = {
  databases: string[] | null;
  renameDatabases: Record<string, string>;
  /** Of PostgreSQL: whether owners and rights come back, and whether roles that are missing are made first. */
  owners: boolean;
  roles: boolean;
};

export type RestoreResult = {
  entries: number;
  bytes: number;
  warnings: Warning[];
  warningCount: number;
  /** Of a dry run. */
  outcome?: DryRunOutcome;
};
