import { z } from "zod";
import { endpoint } from "./endpoint.ts";
import * as o from "./objects.ts";
import * as s from "./states.ts";
import * as v from "./verification.ts";

const KIB = 1024;
const text = (max: number) => z.string().max(max);

/** What any JSON value may be, but not nested so deeply that handling it could exhaust a stack. */
const shallowJson = z.unknown().refine((value) => depthAtMost(value, 32), "is nested too deeply");

function depthAtMost(value: unknown, max: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > max) return false;
    level = level.flatMap((v) => (typeof v === "object" && v !== null ? Object.values(v) : []));
  }
  return true;
}

const leaseToken = z.string().regex(/^[0-9a-f]{32}$/, "must be 32 hex characters");
const held = z.object({ id: o.id, leaseToken });

/** What the master asks of an agent on the way back of any of its calls. */
const order = z.discriminatedUnion("type", [
  z.object({ type: z.literal("cancel"), commandId: o.id }),
  z.object({ type: z.literal("pause") }),
]);
export type Order = z.output<typeof order>;

const deliveredCommand = z.object({
  id: o.id,
  type: z.string(),
  payload: z.record(z.string(), z.unknown()),
  attempt: z.int().optional(),
  leaseToken: leaseToken.optional(),
  leaseSeconds: z.int().optional(),
});
export type DeliveredCommand = z.output<typeof deliveredCommand>;

/** A target as the agent gets it, secrets included: only for a command that this node has in hand. */
const openedTarget = z.object({
  id: o.id,
  type: z.string(),
  name: z.string(),
  config: z.record(z.string(), z.unknown()),
  transferMode: z.enum(["direct", "master_relay"]),
  /** The target's own cap; a master that knows none sends nothing. */
  bandwidthBytesPerSecond: o.bandwidth.default(null),
});

/** What all storages of a job may send and fetch together. */
const bandwidthOfJob = o.bandwidth.default(null);

/** What BackupX Go agents read of a source and its packing, in both specs. */
const goSource = {
  dbHost: z.string(),
  dbPort: z.int(),
  dbUser: z.string(),
  dbPassword: z.string(),
  dbName: z.string(),
  dbPath: z.string(),
  extraConfig: z.string(),
  compression: z.string(),
  encrypt: z.boolean(),
};

/** Opened secrets of a source: only for a command that this node has in hand. */
const openedSourceSecrets = z
  .object({ password: z.string().nullable(), resticPassword: z.string().nullable().default(null) })
  .prefault({ password: null });

/** Where the snapshots of a task with restic go, in each of its targets. */
const resticRepository = z.object({
  key: text(1024),
  /** The targets whose repository holds backups already: one that is missing there is not made anew. */
  holdsBackups: z.array(o.id),
});

const uploadResult = z.object({
  storageTargetId: o.id,
  storageTargetName: text(200).optional(),
  status: z.enum(["success", "failed"]),
  storagePath: text(1024).optional(),
  fileSize: z.int().nonnegative().optional(),
  transferMode: text(32).optional(),
  error: text(4000).optional(),
  /** *Ours*: this copy's own hash. */
  checksum: o.sha256.optional(),
});

/** The full backup that a differential one is compared with. */
const base = z.object({
  recordId: o.id,
  fileName: z.string(),
  sizeBytes: z.int().nonnegative(),
  checksum: o.sha256,
  archiveIndex: o.archiveIndex,
  /** Where it lies among the task's targets. */
  copies: z.array(z.object({ targetId: o.id, storagePath: z.string() })),
});

/** A differential backup's base as a restore needs it: the whole artifact, at one place that the node reaches. */
const baseToRestore = z.object({
  recordId: o.id,
  storage: openedTarget,
  storagePath: z.string(),
  fileName: z.string(),
  checksum: o.sha256,
  fileSize: z.int().nonnegative(),
  archiveIndex: o.archiveIndex.nullable().default(null),
});

const logChunk = z.object({ seq: z.int().positive(), text: text(64 * KIB) });

const uploadQuery = z.object({ key: text(1024) });

export const agentApi = {
  enroll: endpoint({
    method: "POST",
    path: "/api/agent/enroll",
    audience: "public",
    summary: "Trade a single-use enrolment code for this node's token",
    maxBodyBytes: 16 * KIB,
    body: z.object({ code: text(200).min(1), hostname: text(255).optional() }),
    reply: z.object({ nodeId: o.id, name: z.string(), token: z.string() }),
  }),
  heartbeat: endpoint({
    method: "POST",
    path: "/api/agent/heartbeat",
    audience: "agent",
    summary: "Say that this node lives and what it is",
    maxBodyBytes: 64 * KIB,
    body: z.object({
      token: text(512).optional(),
      hostname: text(255).optional(),
      ipAddress: text(255).optional(),
      agentVersion: text(100).optional(),
      os: text(100).optional(),
      arch: text(100).optional(),
      bootId: text(64).optional(),
      protocolVersion: z.int().optional(),
      capabilities: o.capabilities.optional(),
      freeDiskBytes: z.number().nonnegative().optional(),
      running: z.array(held).max(1000).optional(),
    }),
    reply: z.object({
      status: z.literal("ok"),
      nodeId: o.id,
      name: z.string(),
      heartbeatSeconds: z.int(),
      pollSeconds: z.int(),
      doorbell: z.string().nullable(),
      orders: z.array(order),
    }),
  }),
  poll: endpoint({
    method: "POST",
    path: "/api/agent/commands/poll",
    audience: "agent",
    summary: "Claim queued commands",
    /** `running`: every command that the agent still holds, un-acknowledged results included. */
    body: z
      .object({
        running: z.array(held).max(1000),
        max: z.int().min(0).max(64),
        bootId: text(64).optional(),
        socket: z.boolean().optional(),
      })
      .optional(),
    reply: z.object({
      command: deliveredCommand.nullable(),
      commands: z.array(deliveredCommand).optional(),
      orders: z.array(order).optional(),
    }),
  }),
  commandResult: endpoint({
    method: "POST",
    path: "/api/agent/commands/:id/result",
    audience: "agent",
    summary: "Report how a command ended; the same report again changes nothing",
    body: z.object({
      success: z.boolean(),
      errorMessage: text(16_000).optional(),
      result: shallowJson.optional(),
      attempt: z.int().positive().optional(),
      leaseToken: leaseToken.optional(),
      cancelled: z.boolean().optional(),
    }),
  }),
  renewLease: endpoint({
    method: "POST",
    path: "/api/agent/commands/:id/lease",
    audience: "agent",
    summary: "Renew a command's lease and carry its progress",
    body: z.object({ leaseToken, progress: o.progress.optional() }),
    reply: z.object({ leaseSeconds: z.int(), orders: z.array(order) }),
  }),
  taskSpec: endpoint({
    method: "GET",
    path: "/api/agent/tasks/:id",
    audience: "agent",
    summary: "What to back up and where to, while a command for it is in hand",
    query: z.object({ recordId: z.coerce.number().int().positive().optional() }),
    reply: z.object({
      taskId: o.id,
      name: z.string(),
      type: z.string(),
      sourcePath: z.string(),
      sourcePaths: z.string(),
      excludePatterns: z.string(),
      ...goSource,
      storageTargets: z.array(openedTarget),
      source: o.source,
      sourceSecrets: openedSourceSecrets,
      hooks: o.hooks.nullable().default(null),
      pipeline: o.pipeline,
      recordId: o.id,
      fileNameStem: z.string(),
      objectPrefix: z.string(),
      targets: z.array(openedTarget.extend({ quotaRemainingBytes: z.number().nullable() })),
      /** Set when only what has changed since then is wanted; an agent that cannot compare makes a full backup. */
      base: base.nullable().default(null),
      /** Set for the engine restic. */
      restic: resticRepository.nullable().default(null),
    }),
  }),
  updateRecord: endpoint({
    method: "POST",
    path: "/api/agent/records/:id",
    audience: "agent",
    summary: "Report a backup's state, log and results; any order, any number",
    body: z.object({
      /** Checked by the verb, which has a code of its own for a wrong one. */
      status: text(64).optional(),
      fileName: text(255).optional(),
      fileSize: z.int().nonnegative().optional(),
      checksum: text(128).optional(),
      storagePath: text(1024).optional(),
      storageTargetId: z.int().nonnegative().optional(),
      storageTransferMode: text(32).optional(),
      storageUploadResults: z.array(uploadResult).max(100).nullable().optional(),
      errorMessage: text(16_000).optional(),
      logAppend: text(256 * KIB).optional(),
      log: z.array(logChunk).max(200).optional(),
      leaseToken: leaseToken.optional(),
      progress: o.progress.optional(),
      sourceBytes: z.int().nonnegative().optional(),
      entries: z.int().nonnegative().optional(),
      warnings: z.array(o.warning).max(200).optional(),
      warningCount: z.int().nonnegative().optional(),
      timings: z.record(z.string().max(64), z.number()).optional(),
      /** What the backup has become; one that does not say is a full one. */
      kind: s.recordKind.optional(),
      archiveIndex: o.archiveIndex.optional(),
      snapshotId: o.sha256.optional(),
    }),
  }),
  baseArtifact: endpoint({
    method: "GET",
    path: "/api/agent/records/:id/base",
    audience: "agent",
    kind: "stream",
    summary: "The bytes of a differential backup's base from the vault, while it runs; honours Range",
  }),
  putArtifact: endpoint({
    method: "PUT",
    path: "/api/agent/records/:id/artifacts/:targetId",
    audience: "agent",
    kind: "stream",
    summary: "Store a whole artifact in the vault through the master",
    maxBodyBytes: Number.MAX_SAFE_INTEGER,
    reply: z.object({ status: z.literal("ok"), storagePath: z.string(), fileSize: z.int() }),
  }),
  beginUpload: endpoint({
    method: "POST",
    path: "/api/agent/records/:id/artifacts/:targetId/uploads",
    audience: "agent",
    summary: "Begin an upload to the vault in parts",
    body: z.object({ key: text(1024).min(1) }),
    reply: z.object({ uploadId: z.string(), partSizeBytes: z.int() }),
  }),
  uploadPart: endpoint({
    method: "PUT",
    path: "/api/agent/records/:id/artifacts/:targetId/uploads/:uploadId/parts/:number",
    audience: "agent",
    kind: "stream",
    summary: "Upload one part; X-BackupX-SHA256 is its hash",
    maxBodyBytes: 64 * KIB * KIB,
    query: uploadQuery,
    reply: z.object({ etag: z.string() }),
  }),
  completeUpload: endpoint({
    method: "POST",
    path: "/api/agent/records/:id/artifacts/:targetId/uploads/:uploadId/complete",
    audience: "agent",
    summary: "Make the uploaded parts one object",
    body: z.object({
      key: text(1024).min(1),
      parts: z
        .array(z.object({ number: z.int().min(1).max(10_000), etag: text(200) }))
        .min(1)
        .max(10_000),
      sizeBytes: z.int().nonnegative(),
      sha256: o.sha256,
    }),
    reply: z.object({ sizeBytes: z.int() }),
  }),
  abortUpload: endpoint({
    method: "DELETE",
    path: "/api/agent/records/:id/artifacts/:targetId/uploads/:uploadId",
    audience: "agent",
    summary: "Give up an upload in parts; nothing of it stays",
    query: uploadQuery,
  }),
  restoreSpec: endpoint({
    method: "GET",
    path: "/api/agent/restores/:id/spec",
    audience: "agent",
    summary: "What to restore and where to, while a command for it is in hand",
    reply: z.object({
      restoreRecordId: o.id,
      backupRecordId: o.id,
      taskId: o.id,
      taskName: z.string(),
      type: z.string(),
      sourcePath: z.string(),
      sourcePaths: z.array(z.string()),
      ...goSource,
      source: o.source.nullable().default(null),
      sourceSecrets: openedSourceSecrets,
      options: o.restoreOptions.prefault({}),
      storage: openedTarget,
      bandwidthBytesPerSecond: bandwidthOfJob,
      storagePath: z.string(),
      fileName: z.string(),
      checksum: z.string(),
      fileSize: z.int(),
      destination: z.string().nullable(),
      selectedPaths: z.array(z.string()).nullable(),
      conflict: s.conflictPolicy,
      /** A file of the node with the private keys for this restore; null: the agent's own. */
      identityFile: z.string().nullable().default(null),
      /** Set for archives in which single members can be reached. */
      archiveIndex: o.archiveIndex.nullable().default(null),
      /** Set for a differential backup: the full one that holds what had not changed. */
      base: baseToRestore.nullable().default(null),
      engine: s.engine.default("archive"),
      /** Write nothing, tell what would be. */
      dryRun: z.boolean().default(false),
    }),
  }),
  restoreArtifact: endpoint({
    method: "GET",
    path: "/api/agent/restores/:id/artifact",
    audience: "agent",
    kind: "stream",
    summary: "The artifact's bytes from the vault, or those of its base; honours Range",
    query: z.object({ of: z.enum(["record", "base"]).default("record") }),
  }),
  inspectedArtifact: endpoint({
    method: "GET",
    path: "/api/agent/commands/:id/artifact",
    audience: "agent",
    kind: "stream",
    summary: "The bytes from the vault of an archive that is to be listed; honours Range",
  }),
  updateRestore: endpoint({
    method: "POST",
    path: "/api/agent/restores/:id",
    audience: "agent",
    summary: "Report a restore's state and log",
    body: z.object({
      status: text(64).optional(),
      errorMessage: text(16_000).optional(),
      logAppend: text(256 * KIB).optional(),
      log: z.array(logChunk).max(200).optional(),
      leaseToken: leaseToken.optional(),
      progress: o.progress.optional(),
      entries: z.int().nonnegative().optional(),
      bytes: z.int().nonnegative().optional(),
      warnings: z.array(o.warning).max(200).optional(),
      warningCount: z.int().nonnegative().optional(),
      /** What a dry run found. */
      outcome: o.dryRunOutcome.optional(),
    }),
  }),
  verificationSpec: endpoint({
    method: "GET",
    path: "/api/agent/verifications/:id/spec",
    audience: "agent",
    summary: "What to verify and how far, while a command for it is in hand",
    reply: z.object({
      verificationId: o.id,
      recordId: o.id,
      taskName: z.string(),
      grade: v.grade,
      source: o.source,
      compression: s.compression,
      encrypt: z.boolean(),
      storage: openedTarget,
      bandwidthBytesPerSecond: bandwidthOfJob,
      storagePath: z.string(),
      fileName: z.string(),
      /** Null: the agent that made the backup told none. */
      checksum: o.sha256.nullable(),
      fileSize: z.int().nonnegative(),
      /** What the backup has read: about as much comes back. */
      sourceBytes: z.int().nonnegative().nullable(),
      /** What the vault really has of a copy that lies there; null: nothing any more, or it lies elsewhere. */
      vaultSize: z.int().nonnegative().nullable(),
      /** A file of the node with the private keys for this verification; null: the agent's own. */
      identityFile: z.string().nullable(),
      archiveIndex: o.archiveIndex.nullable(),
      /** Set for a differential backup: the full one that holds what had not changed. */
      base: baseToRestore.nullable(),
      engine: s.engine.default("archive"),
      resticPassword: z.string().nullable().default(null),
    }),
  }),
  verificationArtifact: endpoint({
    method: "GET",
    path: "/api/agent/verifications/:id/artifact",
    audience: "agent",
    kind: "stream",
    summary: "The artifact's bytes from the vault, or those of its base; honours Range",
    query: z.object({ of: z.enum(["record", "base"]).default("record") }),
  }),
  updateVerification: endpoint({
    method: "POST",
    path: "/api/agent/verifications/:id",
    audience: "agent",
    summary: "Report a verification's state, log and findings; `success` means that it ran to its end",
    body: z.object({
      status: text(64).optional(),
      errorMessage: text(16_000).optional(),
      log: z.array(logChunk).max(200).optional(),
      leaseToken: leaseToken.optional(),
      progress: o.progress.optional(),
      report: v.report.optional(),
    }),
  }),
  copySpec: endpoint({
    method: "GET",
    path: "/api/agent/copies/:id/spec",
    audience: "agent",
    summary: "What to copy, from where and to where, while this copy_record command is in hand",
    reply: z.object({
      recordId: o.id,
      taskName: z.string(),
      sizeBytes: z.int(),
      /** Null: the agent that made the backup told none. */
      sha256: o.sha256.nullable(),
      source: openedTarget,
      sourceKey: z.string(),
      target: openedTarget.extend({ quotaRemainingBytes: z.number().nullable() }),
      targetKey: z.string(),
      bandwidthBytesPerSecond: bandwidthOfJob,
    }),
  }),
  copyArtifact: endpoint({
    method: "GET",
    path: "/api/agent/copies/:id/artifact",
    audience: "agent",
    kind: "stream",
    summary: "The bytes of the vault's copy that is to be copied; honours Range",
  }),
  updateCopy: endpoint({
    method: "POST",
    path: "/api/agent/copies/:id",
    audience: "agent",
    summary: "Report how a copy is getting on; `failed` means that nothing of it is left at the target",
    body: z.object({
      status: text(64).optional(),
      errorMessage: text(16_000).optional(),
      log: z.array(logChunk).max(200).optional(),
      leaseToken: leaseToken.optional(),
      progress: o.progress.optional(),
      sizeBytes: z.int().nonnegative().optional(),
      checksum: o.sha256.optional(),
    }),
  }),
  self: endpoint({
    method: "GET",
    path: "/api/v1/agent/self",
    audience: "agent",
    summary: "Who the holder of this token is, for installers",
    reply: z.object({ id: o.id, name: z.string(), status: z.string(), lastSeen: z.string() }),
  }),
  doorbell: endpoint({
    method: "GET",
    path: "/api/agent/doorbell",
    audience: "agent",
    kind: "socket",
    summary: "Be rung when there is something to poll for",
  }),
} as const;
