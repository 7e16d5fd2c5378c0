import { sql } from "drizzle-orm";
import { index, integer, primaryKey, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core";

// Ids are integers, times are milliseconds since 1970 UTC. An index costs a written row each time a row enters or
// changes it, so there is one only where a query would otherwise read more rows as the tables grow.

const rowId = () => integer("id").primaryKey();
/** An id that no later row gets again: what outlives its row, such as a record of a node, must not change its meaning. */
const lastingId = () => integer("id").primaryKey({ autoIncrement: true });
const time = (column: string) => integer(column);

export const nodes = sqliteTable(
  "nodes",
  {
    id: lastingId(),
    name: text("name").notNull().unique(),
    tokenSha256: text("token_sha256").notNull().unique(),
    previousTokenSha256: text("previous_token_sha256").unique(),
    previousTokenUntil: time("previous_token_until"),
    /** `pending` until the first sign of life. Derived again on read, see nodes/status.ts. */
    status: text("status").notNull().default("pending"),
    /** How its signs of life arrive: a socket's are with the Doorbell, not in `last_seen`. */
    connection: text("connection").notNull().default("never"),
    lastSeen: time("last_seen"),
    hostname: text("hostname").notNull().default(""),
    ipAddress: text("ip_address").notNull().default(""),
    os: text("os").notNull().default(""),
    arch: text("arch").notNull().default(""),
    agentVersion: text("agent_version").notNull().default(""),
    /** Null: a BackupX Go agent. */
    protocolVersion: integer("protocol_version"),
    bootId: text("boot_id"),
    previousBootId: text("previous_boot_id"),
    cloneSuspectedAt: time("clone_suspected_at"),
    labels: text("labels").notNull().default("[]"),
    paused: integer("paused", { mode: "boolean" }).notNull().default(false),
    maxConcurrent: integer("max_concurrent").notNull().default(1),
    bandwidthBytesPerSecond: integer("bandwidth_limit"),
    capabilities: text("capabilities"),
    freeDiskBytes: integer("free_disk_bytes"),
    /** Tasks that are bound to it. */
    taskCount: integer("task_count").notNull().default(0),
    createdAt: time("created_at").notNull(),
    updatedAt: time("updated_at").notNull(),
  },
  (t) => [
    // The offline sweep reads only nodes whose signs of life have stopped arriving.
    index("nodes_polling").on(t.lastSeen).where(sql`status = 'online' and connection = 'poll'`),
    // Few of many: a sign of life of who is online anyway writes nothing here.
    index("nodes_away").on(t.status).where(sql`status <> 'online'`),
    index("nodes_by_tasks").on(t.taskCount).where(sql`task_count > 0`),
  ],
);

export const agentCommands = sqliteTable(
  "agent_commands",
  {
    id: rowId(),
    nodeId: integer("node_id").notNull(),
    type: text("type").notNull(),
    lane: text("lane").notNull(),
    status: text("status").notNull().default("pending"),
    /** Never holds a secret: what needs one is completed when the command is handed out. */
    payload: text("payload").notNull(),
    result: text("result"),
    errorMessage: text("error_message").notNull().default(""),
    attempt: integer("attempt").notNull().default(0),
    leaseToken: text("lease_token"),
    leaseExpiresAt: time("lease_expires_at"),
    notBefore: time("not_before"),
    recordId: integer("record_id"),
    restoreId: integer("restore_id"),
    verificationId: integer("verification_id"),
    cancelRequestedAt: time("cancel_requested_at"),
    createdAt: time("created_at").notNull(),
    dispatchedAt: time("dispatched_at"),
    completedAt: time("completed_at"),
    updatedAt: time("updated_at").notNull(),
  },
  (t) => [
    // One index for the queue and the history of a node: what is pending or dispatched has no completed_at.
    index("agent_commands_of_node").on(t.nodeId, t.completedAt),
    index("agent_commands_leased").on(t.leaseExpiresAt).where(sql`status = 'dispatched'`),
    // Of those few that wait for a time: others cost no row in it.
    index("agent_commands_waiting").on(t.notBefore).where(sql`status = 'pending' and not_before is not null`),
  ],
);

export const backupTasks = sqliteTable(
  "backup_tasks",
  {
    id: lastingId(),
    name: text("name").notNull().unique(),
    source: text("source").notNull(),
    pipeline: text("pipeline").notNull(),
    nodeId: integer("node_id"),
    poolLabel: text("pool_label"),
    schedule: text("schedule"),
    timeZone: text("time_zone").notNull().default("UTC"),
    nextRunAt: time("next_run_at"),
    /** Sealed JSON such as a database's password, bound to `seal_id`; see secrets/seal.ts. */
    secrets: text("secrets"),
    secretNames: text("secret_names").notNull().default("[]"),
    sealId: text("seal_id").notNull().default(""),
    /** Names of hooks that the agent's own configuration allows, as JSON. */
    hooks: text("hooks"),
    /** Which records are kept, as JSON; null keeps all. */
    retention: text("retention"),
    /** How and when records are verified, as JSON; null: by hand only. */
    verification: text("verification"),
    nextVerifyAt: time("next_verify_at"),
    /** The last verification that found a record of it to be whatever was asked; null: never verified. */
    verifiedGrade: integer("verified_grade"),
    verifiedAt: time("verified_at"),
    enabled: integer("enabled", { mode: "boolean" }).notNull().default(true),
    /** As JSON, in the order they were given; `task_tags` has them to search by. */
    tags: text("tags").notNull().default("[]"),
    /** How its last run ended (success, failed or missed), when, and which it was; see overview/note-end.ts. */
    outcome: text("outcome"),
    endedAt: time("ended_at"),
    endedRecordId: integer("ended_record_id"),
    succeededAt: time("succeeded_at"),
    /** The next success should have come by then. */
    overdueAt: time("overdue_at"),
    /** What its full backups usually read, and since when they read less than half of it. */
    usualBytes: integer("usual_bytes"),
    shrunkAt: time("shrunk_at"),
    createdAt: time("created_at").notNull(),
    updatedAt: time("updated_at").notNull(),
  },
  (t) => [
    // What needs attention is found without looking at what does not.
    index("backup_tasks_failing").on(t.endedAt).where(sql`outcome <> 'success' and enabled = 1`),
    index("backup_tasks_overdue").on(t.overdueAt).where(sql`overdue_at is not null`),
    index("backup_tasks_unverified")
      .on(t.succeededAt)
      .where(sql`verified_at is null and succeeded_at is not null and enabled = 1`),
    index("backup_tasks_shrunk").on(t.shrunkAt).where(sql`shrunk_at is not null`),
    index("backup_tasks_due").on(t.nextRunAt).where(sql`next_run_at is not null`),
    index("backup_tasks_verify_due").on(t.nextVerifyAt).where(sql`next_verify_at is not null`),
    index("backup_tasks_of_node").on(t.nodeId),
    index("backup_tasks_kept").on(t.id).where(sql`retention is not null`),
  ],
);

export const taskTargets = sqliteTable(
  "task_targets",
  {
    taskId: integer("task_id").notNull(),
    targetId: integer("target_id").notNull(),
    position: integer("position").notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.taskId, t.targetId] }),
    index("task_targets_of_target").on(t.targetId, t.taskId),
  ],
);

export const storageTargets = sqliteTable("storage_targets", {
  id: lastingId(),
  name: text("name").notNull().unique(),
  type: text("type").notNull(),
  config: text("config").notNull(),
  /** Sealed JSON, bound to `seal_id`; see secrets/seal.ts. */
  secrets: text("secrets"),
  /** Names of the sealed secrets, so that showing a target opens no seal. */
  secretNames: text("secret_names").notNull().default("[]"),
  sealId: text("seal_id").notNull(),
  quotaBytes: integer("quota_bytes"),
  usedBytes: integer("used_bytes").notNull().default(0),
  bandwidthBytesPerSecond: integer("bandwidth_limit"),
  /** How the last test of these settings went, as JSON; null: not tested since they were changed. */
  lastTest: text("last_test"),
  createdAt: time("created_at").notNull(),
  updatedAt: time("updated_at").notNull(),
});

/** The tags of `backup_tasks`, the other way round. */
export const taskTags = sqliteTable(
  "task_tags",
  { tag: text("tag").notNull(), taskId: integer("task_id").notNull() },
  (t) => [primaryKey({ columns: [t.tag, t.taskId] }), index("task_tags_of_task").on(t.taskId)],
);

export const backupRecords = sqliteTable(
  "backup_records",
  {
    id: lastingId(),
    taskId: integer("task_id").notNull(),
    taskName: text("task_name").notNull(),
    nodeId: integer("node_id"),
    commandId: integer("command_id"),
    attempt: integer("attempt").notNull().default(0),
    status: text("status").notNull(),
    trigger: text("trigger").notNull(),
    sourceType: text("source_type").notNull(),
    compression: text("compression").notNull(),
    /** Where the task read from when it ran: a restore in place goes there, whatever became of the task. */
    source: text("source").notNull(),
    /** How the task packed and encrypted when it ran: whatever it does now, this artifact was made that way. */
    pipeline: text("pipeline").notNull().default("{}"),
    /** Which targets it was to be written to, as a JSON array of ids. */
    targetIds: text("target_ids").notNull(),
    /** `differential`: holds only what changed since the full backup `base_record_id`, which it cannot be restored without. */
    kind: text("kind").notNull().default("full"),
    baseRecordId: integer("base_record_id"),
    /** Where inside the artifact its index lies, as JSON {offsetBytes, sizeBytes, sha256}; null: it has none. */
    archiveIndex: text("archive_index"),
    /** The snapshot in a restic repository that this record stands for. */
    snapshotId: text("snapshot_id"),
    /** A person's word that neither retention nor a click removes it. */
    locked: integer("locked", { mode: "boolean" }).notNull().default(false),
    /** The highest grade (1 to 4) that any verification of it has reached, when, and on which node. */
    verifiedGrade: integer("verified_grade"),
    verifiedAt: time("verified_at"),
    verifiedNodeId: integer("verified_node_id"),
    fileName: text("file_name").notNull().default(""),
    sizeBytes: integer("size_bytes").notNull().default(0),
    sourceBytes: integer("source_bytes"),
    entries: integer("entries"),
    checksum: text("checksum"),
    warnings: text("warnings").notNull().default("[]"),
    warningCount: integer("warning_count").notNull().default(0),
    timings: text("timings"),
    progress: text("progress"),
    runs: integer("runs").notNull().default(1),
    late: integer("late", { mode: "boolean" }).notNull().default(false),
    errorMessage: text("error_message").notNull().default(""),
    createdAt: time("created_at").notNull(),
    startedAt: time("started_at"),
    finishedAt: time("finished_at"),
    /** Set while its copies are being removed; the row goes with the last of them. */
    deletedAt: time("deleted_at"),
  },
  (t) => [
    // The guard against two runs of one task at a time, whoever starts them.
    uniqueIndex("backup_records_active").on(t.taskId).where(sql`status in ('queued', 'running')`),
    index("backup_records_of_task").on(t.taskId),
    index("backup_records_of_node").on(t.nodeId),
    index("backup_records_of_base").on(t.baseRecordId).where(sql`base_record_id is not null`),
    // What is being removed and should be gone by now.
    index("backup_records_leaving").on(t.deletedAt).where(sql`deleted_at is not null`),
    index("backup_records_of_status").on(t.status).where(sql`status <> 'success'`),
    // Of two kinds only the rarer one needs an index; where most are differential, every few records is a full one.
    index("backup_records_differential").on(t.kind).where(sql`kind = 'differential'`),
  ],
);

/** Append-only; `seq` is the agent's own number, so a chunk that is sent twice is stored once. */
export const runLogs = sqliteTable(
  "record_logs",
  {
    kind: text("kind").notNull(),
    runId: integer("record_id").notNull(),
    seq: integer("seq").notNull(),
    at: time("at").notNull(),
    text: text("text").notNull(),
  },
  (t) => [primaryKey({ columns: [t.kind, t.runId, t.seq] })],
);

export const recordCopies = sqliteTable(
  "record_copies",
  {
    recordId: integer("record_id").notNull(),
    targetId: integer("target_id").notNull(),
    targetName: text("target_name").notNull(),
    status: text("status").notNull(),
    storagePath: text("storage_path").notNull().default(""),
    sizeBytes: integer("size_bytes").notNull().default(0),
    checksum: text("checksum"),
    error: text("error").notNull().default(""),
    /** The command that makes this copy from another one; null: the backup itself wrote it. */
    commandId: integer("command_id"),
    progress: text("progress"),
    updatedAt: time("updated_at").notNull(),
  },
  (t) => [primaryKey({ columns: [t.recordId, t.targetId] }), index("record_copies_of_target").on(t.targetId)],
);

/** Uploads in parts that are under way: the vault cannot list them, so whoever clears up after a run asks here. */
export const vaultUploads = sqliteTable(
  "vault_uploads",
  {
    uploadId: text("upload_id").primaryKey(),
    recordId: integer("record_id").notNull(),
    key: text("key").notNull(),
    createdAt: time("created_at").notNull(),
  },
  (t) => [index("vault_uploads_of_record").on(t.recordId)],
);

export const restoreRecords = sqliteTable(
  "restore_records",
  {
    id: rowId(),
    recordId: integer("record_id").notNull(),
    targetId: integer("target_id").notNull(),
    nodeId: integer("node_id").notNull(),
    commandId: integer("command_id"),
    attempt: integer("attempt").notNull().default(0),
    status: text("status").notNull(),
    destination: text("destination"),
    selectedPaths: text("selected_paths"),
    conflict: text("conflict").notNull(),
    identityFile: text("identity_file"),
    /** Only tells what it would do; see `outcome`. */
    dryRun: integer("dry_run", { mode: "boolean" }).notNull().default(false),
    /** What only some kinds of source know, such as new names for databases, as JSON. */
    options: text("options"),
    /** What a dry run found, as JSON. */
    outcome: text("outcome"),
    entries: integer("entries"),
    bytes: integer("bytes"),
    warnings: text("warnings").notNull().default("[]"),
    warningCount: integer("warning_count").notNull().default(0),
    progress: text("progress"),
    errorMessage: text("error_message").notNull().default(""),
    createdAt: time("created_at").notNull(),
    startedAt: time("started_at"),
    finishedAt: time("finished_at"),
  },
  (t) => [index("restore_records_of_record").on(t.recordId)],
);

export const verifications = sqliteTable(
  "verifications",
  {
    id: lastingId(),
    taskId: integer("task_id").notNull(),
    recordId: integer("record_id").notNull(),
    targetId: integer("target_id").notNull(),
    nodeId: integer("node_id").notNull(),
    commandId: integer("command_id"),
    attempt: integer("attempt").notNull().default(0),
    status: text("status").notNull(),
    trigger: text("trigger").notNull(),
    /** The grade that was asked for, and the one that was reached: never a higher one than was proved. */
    grade: integer("grade").notNull(),
    reachedGrade: integer("reached_grade"),
    identityFile: text("identity_file"),
    /** What was compared and what differed, as JSON. */
    report: text("report"),
    progress: text("progress"),
    errorMessage: text("error_message").notNull().default(""),
    createdAt: time("created_at").notNull(),
    startedAt: time("started_at"),
    finishedAt: time("finished_at"),
  },
  (t) => [
    index("verifications_of_record").on(t.recordId),
    // One of a copy at a time, whoever starts it; and cheaply: is one of this task going on?
    uniqueIndex("verifications_active")
      .on(t.taskId, t.recordId, t.targetId)
      .where(sql`status in ('queued', 'running')`),
  ],
);

export const installCodes = sqliteTable(
  "install_codes",
  {
    id: rowId(),
    codeSha256: text("code_sha256").notNull().unique(),
    /** The node that its user becomes; null makes a new one of this name and these labels. */
    nodeId: integer("node_id"),
    name: text("name").notNull(),
    labels: text("labels").notNull().default("[]"),
    createdAt: time("created_at").notNull(),
    expiresAt: time("expires_at").notNull(),
    usedAt: time("used_at"),
    /** Hash of the token that the use gave out: tells the one winner of a race from the losers. */
    usedTokenSha256: text("used_token_sha256"),
  },
  (t) => [
    index("install_codes_of_node").on(t.nodeId, t.createdAt),
    index("install_codes_expiry").on(t.expiresAt),
  ],
);

export const users = sqliteTable("users", {
  id: rowId(),
  username: text("username").notNull().unique(),
  passwordHash: text("password_hash").notNull(),
  role: text("role").notNull(),
  disabled: integer("disabled", { mode: "boolean" }).notNull().default(false),
  createdAt: time("created_at").notNull(),
  lastLoginAt: time("last_login_at"),
});

export const sessions = sqliteTable(
  "sessions",
  {
    tokenSha256: text("token_sha256").primaryKey(),
    userId: integer("user_id").notNull(),
    /** By which its owner knows it again. */
    ipAddress: text("ip_address").notNull().default(""),
    userAgent: text("user_agent").notNull().default(""),
    createdAt: time("created_at").notNull(),
    expiresAt: time("expires_at").notNull(),
  },
  (t) => [index("sessions_of_user").on(t.userId), index("sessions_expiry").on(t.expiresAt)],
);

export const apiKeys = sqliteTable("api_keys", {
  id: rowId(),
  name: text("name").notNull().unique(),
  keySha256: text("key_sha256").notNull().unique(),
  role: text("role").notNull(),
  createdAt: time("created_at").notNull(),
  expiresAt: time("expires_at"),
  lastUsedAt: time("last_used_at"),
});

/** Failed sign-ins in the running window, per account and per address. */
export const loginFailures = sqliteTable(
  "login_failures",
  {
    subject: text("subject").primaryKey(),
    failures: integer("failures").notNull(),
    until: time("until").notNull(),
  },
  (t) => [index("login_failures_expiry").on(t.until)],
);

export const auditLogs = sqliteTable(
  "audit_logs",
  {
    id: rowId(),
    at: time("at").notNull(),
    actor: text("actor").notNull(),
    action: text("action").notNull(),
    entity: text("entity").notNull(),
    entityId: integer("entity_id"),
    before: text("before"),
    after: text("after"),
    ipAddress: text("ip_address").notNull().default(""),
  },
  // Of what people did alone: every scheduled run has an entry, too, which must not cost four rows more.
  (t) => [
    index("audit_logs_of_people").on(t.id).where(sql`actor <> 'system'`),
    index("audit_logs_of_actor").on(t.actor).where(sql`actor <> 'system'`),
    index("audit_logs_of_action").on(t.action).where(sql`actor <> 'system'`),
    index("audit_logs_of_entity").on(t.entity, t.entityId).where(sql`actor <> 'system'`),
  ],
);

export const notifications = sqliteTable("notifications", {
  id: rowId(),
  at: time("at").notNull(),
  kind: text("kind").notNull(),
  nodeId: integer("node_id"),
  recordId: integer("record_id"),
  message: text("message").notNull(),
  /** What the message is made of, as JSON. */
  details: text("details").notNull().default("{}"),
});

/** What ended on each day of UTC, counted when it ends: a month is thirty rows, however many backups it had. */
export const dailyCounts = sqliteTable("daily_counts", {
  /** Days since 1970. */
  day: integer("day").primaryKey(),
  succeeded: integer("succeeded").notNull().default(0),
  failed: integer("failed").notNull().default(0),
  missed: integer("missed").notNull().default(0),
  storedBytes: integer("stored_bytes").notNull().default(0),
});

/** How many there are of what nobody wants to count each time: "nodes" and "tasks". */
export const tallies = sqliteTable("tallies", {
  name: text("name").primaryKey(),
  value: integer("value").notNull(),
});
