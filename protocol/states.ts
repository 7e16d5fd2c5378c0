import { z } from "zod";

export const commandStatus = z.enum(["pending", "dispatched", "succeeded", "failed", "timeout", "cancelled"]);

export const commandType = z.enum([
  "run_task",
  "list_dir",
  "restore_record",
  "delete_storage_object",
  "copy_record",
  "test_target",
  "discover_db",
  "preview_source",
  "verify_record",
  "inspect_archive",
]);
export type CommandType = z.output<typeof commandType>;

/** Control commands are short, somebody waits for them, and they never queue behind work. */
export type Lane = "control" | "work";
export const laneOf: Record<CommandType, Lane> = {
  run_task: "work",
  restore_record: "work",
  delete_storage_object: "work",
  copy_record: "work",
  list_dir: "control",
  test_target: "control",
  discover_db: "control",
  preview_source: "control",
  verify_record: "work",
  inspect_archive: "control",
};

/** `missed`: its time came and it could not be started. `success` may carry warnings. */
export const recordStatus = z.enum(["queued", "running", "success", "failed", "cancelled", "missed"]);

/** `differential`: holds only what has changed since a full backup of the same task. */
export const recordKind = z.enum(["full", "differential"]);

export const restoreStatus = z.enum(["queued", "running", "success", "failed", "cancelled"]);

/** `incomplete`: nothing wrong was found, but the grade that was asked for could not be reached. */
export const verificationStatus = z.enum([
  "queued",
  "running",
  "success",
  "incomplete",
  "failed",
  "cancelled",
]);

/** `copying`: being made from another copy; `damaged`: a verification found it lost or altered; no restore reads it. */
export const copyStatus = z.enum(["success", "copying", "failed", "damaged", "deleting", "delete_failed"]);
export const nodeStatus = z.enum(["online", "offline", "pending"]);
export const role = z.enum(["viewer", "operator", "admin"]);
export type Role = z.output<typeof role>;

export const targetType = z.enum([
  "local_disk",
  "vault",
  "s3",
  "webdav",
  "sftp",
  "ftp",
  "rclone",
  "azure_blob",
  "gcs",
]);
export type TargetType = z.output<typeof targetType>;
export const sourceType = z.enum(["file", "sqlite", "postgresql", "mysql", "mongodb", "saphana", "command"]);
export type SourceType = z.output<typeof sourceType>;
export const compression = z.enum(["zstd", "gzip", "none"]);
/** What makes the backups of a task: one archive each, or snapshots in a repository of restic. */
export const engine = z.enum(["archive", "restic"]);
export const conflictPolicy = z.enum(["fail", "keep", "overwrite"]);
export const trigger = z.enum(["manual", "schedule", "catch_up"]);
export type Trigger = z.output<typeof trigger>;

/** Numbers that both sides of the wire must agree on, in the unit that each name carries. */
export const timing = {
  heartbeatSeconds: 15,
  pollSeconds: 5,
  /** A node is offline this long after its last sign of life. */
  offlineAfterSeconds: 45,
  /** How long a person waits for a directory listing or a target test. */
  controlWaitSeconds: 15,
  leaseSeconds: 120,
  leaseRenewSeconds: 40,
  /** A dispatched command that its agent does not hold is handed out again after this. */
  redeliverAfterSeconds: 10,
  /** A command is given up this long after its last sign of life; more than a lease, so requeueing comes first. */
  silentCommandSeconds: 600,
  socketPingSeconds: 15,
  socketPollSeconds: 900,
} as const;

/** Protocol versions that this master speaks; agents that send none are BackupX Go agents. */
export const protocolRange = { oldest: 1, newest: 1 } as const;
