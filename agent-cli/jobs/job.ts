import type { z } from "zod";
import type { agentApi } from "../../protocol/agent-api.ts";
import type { NetworkSettings } from "../network.ts";
import type { CopyResult } from "../pipeline/copy-artifact.ts";
import type { Listing } from "../pipeline/list-archive.ts";
import type {
  BackupResult,
  ConfiguredCommand,
  DatabasePlace,
  PipelineSpec,
  Progress,
  RestoreResult,
  SourceSecrets,
  SourceSpec,
} from "../pipeline/pipeline.ts";
import type { VerificationReport } from "../pipeline/verify/finding.ts";
import type { Discovered, PreviewedSource } from "./ask-source.ts";
import type { Inspection } from "./payloads.ts";

export type TaskSpec = z.output<typeof agentApi.taskSpec.reply>;
export type RestoreSpec = z.output<typeof agentApi.restoreSpec.reply>;
export type CopySpec = z.output<typeof agentApi.copySpec.reply>;
export type VerificationSpec = z.output<typeof agentApi.verificationSpec.reply>;

/** A target as the master tells a job of it. */
export type Target = { type: string; config: Record<string, unknown>; transferMode: string };

/** Whether the agent reaches a target by itself, and not by way of the master. */
export const isDirect = ({ transferMode, type }: Target): boolean =>
  transferMode === "direct" && type !== "vault";

/** What a job that was killed may have left of an object in a storage. */
export type Remains = { target: TaskSpec["targets"][number]; key: string };

type StorageSettings = { targetType: string; targetConfig: Record<string, unknown> };
/** The bandwidth is the lower of what the node and the target allow. */
type CappedStorage = StorageSettings & { bandwidthBytesPerSecond: number | null };

export type DirectoryListing = {
  entries: { name: string; path: string; isDir: boolean; size: number }[];
  /** Set when there are more entries than these. */
  truncated?: true;
};

/** A backup that no master asked for, to one place. */
export type LoneBackup = {
  source: SourceSpec;
  sourceSecrets: SourceSecrets;
  pipeline: PipelineSpec;
  target: StorageSettings & { name: string; key: string };
};

/** What a child process is asked to do. It holds secrets, so it travels over the IPC channel and nowhere else. */
export type Job =
  | { kind: "backup"; recordId: number; spec: TaskSpec }
  | ({ kind: "backup_once" } & LoneBackup)
  | { kind: "restore"; restoreId: number; spec: RestoreSpec; mark: string }
  | { kind: "copy"; commandId: number; spec: CopySpec }
  | { kind: "verify"; spec: VerificationSpec }
  | { kind: "remove_remains"; remains: Remains[] }
  | { kind: "drop_unfinished"; source: SourceSpec; secrets: SourceSecrets; mark: string }
  | { kind: "list_dir"; path: string }
  | { kind: "discover"; server: DatabasePlace; secrets: SourceSecrets }
  | { kind: "preview"; source: SourceSpec; secrets: SourceSecrets }
  | { kind: "inspect_archive"; commandId: number; inspection: Inspection }
  | ({ kind: "test_target" } & CappedStorage)
  | ({ kind: "delete_object"; key: string } & CappedStorage)
  | ({ kind: "forget_snapshot"; key: string; password: string } & CappedStorage);

/** A backup, and where its artifact is in every target that took it. */
export type StoredBackup = BackupResult & {
  kind: "full" | "differential";
  key: string;
  fileName: string;
  snapshotId?: string;
};

export type JobResults = {
  backup: StoredBackup;
  backup_once: BackupResult;
  restore: RestoreResult;
  copy: CopyResult;
  verify: VerificationReport;
  /** Targets that could not be reached, each with the reason. */
  remove_remains: { failed: string[] };
  /** Databases that were removed, by their names. */
  drop_unfinished: { dropped: string[] };
  list_dir: DirectoryListing;
  discover: Discovered;
  preview: PreviewedSource;
  inspect_archive: Listing;
  test_target: { milliseconds: number };
  delete_object: { deleted: true };
  forget_snapshot: { deleted: true };
};

export type JobEnvelope = {
  job: Job;
  workDir: string;
  stateDir: string;
  /** What belongs to the agent itself, and into no backup. */
  ownPaths: string[];
  /** The agent's own private keys, for restores that name no others. */
  identityFile: string | null;
  /** Programs that this machine's own configuration allows as sources. */
  commands: Record<string, ConfiguredCommand>;
  master: string;
  token: string;
  network: NetworkSettings;
};

export type FromChild =
  | { type: "progress"; progress: Progress }
  | { type: "log"; level: "info" | "warn" | "error"; text: string }
  /** No bytes move, for a reason that is known and bounded: the watchdog shall wait. */
  | { type: "waiting" }
  | { type: "done"; result: unknown }
  | { type: "failed"; message: string };
