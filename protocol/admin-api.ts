import { z } from "zod";
import { endpoint } from "./endpoint.ts";
import * as o from "./objects.ts";
import { overview } from "./overview.ts";
import * as s from "./states.ts";
import * as v from "./verification.ts";

const password = z.string().min(10, "must have at least 10 characters").max(1024);
/** As which the audit log tells what nobody asked for. */
const isNotTheMaster = (text: string) => text.toLowerCase() !== "system";
const knownName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/, "must be letters, digits, . _ @ -");
const username = knownName.refine(isNotTheMaster, "is the master's own name");
const credentials = z.object({ username: knownName, password: z.string().min(1).max(1024) });

const intQuery = z.coerce.number().int().positive().max(Number.MAX_SAFE_INTEGER);
const timeQuery = z.coerce.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
/** Lists are paged by key: `before` is the `next` of the page before. */
const page = { before: intQuery.optional(), limit: z.coerce.number().int().min(1).max(200).default(50) };
const pageOf = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), next: z.int().nullable() });

const nodeChanges = {
  labels: o.labels.optional(),
  maxConcurrent: z.int().min(1).max(32).optional(),
  bandwidthBytesPerSecond: o.bandwidth.optional(),
};
const withToken = z.object({ node: o.node, token: z.string() });
const enrollmentCode = z.object({ code: z.string(), expiresAt: o.time, command: z.string() });

const quotaBytes = z.int().positive().nullable();
const settings = z.record(z.string().max(64), z.unknown());

const taskFields = {
  name: o.name,
  source: o.source,
  pipeline: o.pipeline,
  nodeId: o.id.nullable(),
  poolLabel: o.label.nullable(),
  targetIds: z.array(o.id).min(1).max(16),
  secrets: settings,
  hooks: o.hooks.nullable(),
  schedule: z.string().trim().min(1).max(200).nullable(),
  timeZone: z.string().max(64),
  verification: o.taskVerification.nullable(),
  retention: o.retention.nullable(),
  enabled: z.boolean(),
  tags: o.tags,
};

const boolQuery = z.enum(["true", "false"]).transform((text) => text === "true");
const keptQuery = z.coerce.number().int().min(1).max(10_000).optional();

/** A source's secrets: sent with the call, or those that are sealed with a task of the same server. */
const fromTaskOrSent = { secrets: settings.default({}), taskId: o.id.nullable().default(null) };

const logQuery = z.object({
  after: z.coerce.number().int().nonnegative().optional(),
  tail: z.coerce.number().int().min(1).max(1000).optional(),
});
const logReply = z.object({ lines: z.array(o.logLine), next: z.int() });

/** For a target that is gone for good: what lies there is no longer asked for. */
const forgetQuery = z.object({
  forget: boolQuery.default(false),
});

const recordDetail = o.record.extend({
  copies: z.array(o.copy),
  /** Whatever it found: one that failed says so here, also when an earlier one had gone well. */
  lastVerification: o.verification.nullable(),
  warnings: z.array(o.warning),
  timings: z.record(z.string(), z.number()).nullable(),
  /** What was read, and how it was packed, when it ran: the task may have been changed since. */
  source: o.source.nullable(),
  pipeline: o.pipeline.nullable(),
  /** How many backups cannot be restored without this one. */
  differentials: z.int(),
});

export const adminApi = {
  health: endpoint({
    method: "GET",
    path: "/api/health",
    audience: "public",
    summary: "Whether the master answers",
    reply: z.object({ status: z.literal("ok"), version: z.string() }),
  }),
  openapi: endpoint({
    method: "GET",
    path: "/api/openapi.json",
    audience: "public",
    kind: "stream",
    summary: "This API as an OpenAPI 3.1 document",
  }),
  installScript: endpoint({
    method: "GET",
    path: "/install.sh",
    audience: "public",
    kind: "stream",
    summary: "The script that installs an agent",
  }),
  setupState: endpoint({
    method: "GET",
    path: "/api/setup",
    audience: "public",
    summary: "Whether the first administrator is still to be made",
    reply: z.object({ needed: z.boolean() }),
  }),
  setup: endpoint({
    method: "POST",
    path: "/api/setup",
    audience: "public",
    summary: "Make the first administrator, once",
    body: z.object({ username, password }),
    reply: z.object({ user: o.user }),
  }),
  login: endpoint({
    method: "POST",
    path: "/api/auth/login",
    audience: "public",
    summary: "Start a session (cookie)",
    body: credentials,
    reply: z.object({ user: o.user }),
  }),
  logout: endpoint({
    method: "POST",
    path: "/api/auth/logout",
    audience: "viewer",
    summary: "End this session",
  }),
  me: endpoint({
    method: "GET",
    path: "/api/auth/me",
    audience: "viewer",
    summary: "Who is calling",
    reply: z.object({ name: z.string(), role: s.role, kind: z.enum(["user", "api_key"]) }),
  }),
  changePassword: endpoint({
    method: "POST",
    path: "/api/auth/password",
    audience: "viewer",
    summary: "Change one's own password; all other sessions end",
    body: z.object({ current: z.string().min(1).max(1024), next: password }),
  }),
  listSessions: endpoint({
    method: "GET",
    path: "/api/auth/sessions",
    audience: "viewer",
    summary: "Where one is signed in, newest first; an API key has no sessions",
    reply: z.object({ items: z.array(o.session) }),
  }),
  endOtherSessions: endpoint({
    method: "POST",
    path: "/api/auth/sessions/end-others",
    audience: "viewer",
    summary: "Sign out everywhere but here",
    reply: z.object({ ended: z.int() }),
  }),

  dashboard: endpoint({
    method: "GET",
    path: "/api/dashboard",
    audience: "viewer",
    summary: "Whether everything is safe: what needs attention, the last 30 days, and what comes next",
    reply: overview,
  }),
  search: endpoint({
    method: "GET",
    path: "/api/search",
    audience: "viewer",
    summary:
      "Nodes, tasks and targets whose name begins with a text, of the newest thousand also those that hold it, and the record whose number it is",
    query: z.object({ text: z.string().trim().min(1).max(100) }),
    reply: z.object({
      items: z.array(
        z.object({ kind: z.enum(["node", "task", "target", "record"]), id: o.id, name: z.string() }),
      ),
    }),
  }),
  live: endpoint({
    method: "GET",
    path: "/api/live",
    audience: "viewer",
    kind: "socket",
    summary: "Be told what changes, and which runs end, as it happens",
  }),

  listUsers: endpoint({
    method: "GET",
    path: "/api/users",
    audience: "admin",
    summary: "All users",
    reply: z.object({ items: z.array(o.user) }),
  }),
  createUser: endpoint({
    method: "POST",
    path: "/api/users",
    audience: "admin",
    summary: "Add a user",
    body: z.object({ username, password, role: s.role }),
    reply: z.object({ user: o.user }),
  }),
  updateUser: endpoint({
    method: "PATCH",
    path: "/api/users/:id",
    audience: "admin",
    summary: "Change a user's role or password, disable or enable; their sessions end",
    body: z.object({
      role: s.role.optional(),
      disabled: z.boolean().optional(),
      password: password.optional(),
    }),
    reply: z.object({ user: o.user }),
  }),
  deleteUser: endpoint({
    method: "DELETE",
    path: "/api/users/:id",
    audience: "admin",
    summary: "Remove a user",
  }),
  listApiKeys: endpoint({
    method: "GET",
    path: "/api/api-keys",
    audience: "admin",
    summary: "All API keys, without their values",
    reply: z.object({ items: z.array(o.apiKey) }),
  }),
  createApiKey: endpoint({
    method: "POST",
    path: "/api/api-keys",
    audience: "admin",
    summary: "Make an API key; its value is shown once",
    body: z.object({
      name: o.name.refine(isNotTheMaster, "is the master's own name"),
      role: s.role,
      expiresAt: o.time.nullable().default(null),
    }),
    reply: z.object({ apiKey: o.apiKey, key: z.string() }),
  }),
  deleteApiKey: endpoint({
    method: "DELETE",
    path: "/api/api-keys/:id",
    audience: "admin",
    summary: "Revoke an API key",
  }),

  listNodes: endpoint({
    method: "GET",
    path: "/api/nodes",
    audience: "viewer",
    summary: "Nodes by id, newest first",
    query: z.object({
      ...page,
      label: o.label.optional(),
      status: s.nodeStatus.optional(),
      /** Part of a name, a host name or an address; case does not matter in ASCII. */
      text: z.string().trim().min(1).max(100).optional(),
    }),
    reply: pageOf(o.node.extend(o.nodeQueue.shape)),
  }),
  createNode: endpoint({
    method: "POST",
    path: "/api/nodes",
    audience: "admin",
    summary: "Add a node; its token is shown once",
    body: z.object({ name: o.name, ...nodeChanges }),
    reply: withToken,
  }),
  createNodes: endpoint({
    method: "POST",
    path: "/api/nodes/batch",
    audience: "admin",
    summary: "Add 1 to 50 nodes, all or none",
    body: z.object({ names: z.array(o.name).min(1).max(50), labels: o.labels.default([]) }),
    reply: z.object({ items: z.array(withToken) }),
  }),
  getNode: endpoint({
    method: "GET",
    path: "/api/nodes/:id",
    audience: "viewer",
    summary: "One node, its queue and what it runs",
    reply: o.node.extend(o.nodeActivity.shape),
  }),
  updateNode: endpoint({
    method: "PATCH",
    path: "/api/nodes/:id",
    audience: "admin",
    summary: "Rename a node, change its labels, limits or whether it is paused",
    body: z.object({ name: o.name.optional(), paused: z.boolean().optional(), ...nodeChanges }),
    reply: o.node,
  }),
  deleteNode: endpoint({
    method: "DELETE",
    path: "/api/nodes/:id",
    audience: "admin",
    summary: "Remove a node that no task and no record needs",
  }),
  rotateNodeToken: endpoint({
    method: "POST",
    path: "/api/nodes/:id/rotate-token",
    audience: "admin",
    summary: "New token, shown once; the old one stays valid for 24 hours",
    reply: z.object({ token: z.string(), previousValidUntil: o.time }),
  }),
  createNodeCode: endpoint({
    method: "POST",
    path: "/api/nodes/:id/enrollment-codes",
    audience: "admin",
    summary: "A single-use code with which one machine becomes this node",
    reply: enrollmentCode,
  }),
  createEnrollmentCode: endpoint({
    method: "POST",
    path: "/api/enrollment-codes",
    audience: "admin",
    summary: "A single-use code that makes a new node when it is used",
    body: z.object({ name: o.name, labels: o.labels.default([]) }),
    reply: enrollmentCode,
  }),
  browseNode: endpoint({
    method: "GET",
    path: "/api/nodes/:id/directory",
    audience: "operator",
    summary: "List a directory of a node, asked of its agent (15 s)",
    query: z.object({ path: z.string().max(4096).default("/") }),
    reply: z.object({
      entries: z.array(o.directoryEntry),
      /** There is more in it than an agent's answer holds. */
      truncated: z.boolean(),
    }),
  }),

  discoverDatabases: endpoint({
    method: "POST",
    path: "/api/nodes/:id/discover-databases",
    audience: "operator",
    summary:
      "The databases of a server that a node reaches, or SQLite's below one of its directories, asked of its agent (15 s)",
    body: z.object({ server: o.databasePlaces, ...fromTaskOrSent }),
    reply: z.object({
      databases: z.array(o.foundDatabase),
      /** False: there may be more, for which the time was too short or an agent's answer too small. */
      complete: z.boolean(),
    }),
  }),
  previewSource: endpoint({
    method: "POST",
    path: "/api/nodes/:id/preview-source",
    audience: "operator",
    summary: "What a backup of a source would read on a node, asked of its agent (15 s)",
    body: z.object({ source: o.source, ...fromTaskOrSent }),
    reply: o.sourcePreview,
  }),

  listTargets: endpoint({
    method: "GET",
    path: "/api/targets",
    audience: "viewer",
    summary: "Storage targets",
    query: z.object(page),
    reply: pageOf(o.target),
  }),
  createTarget: endpoint({
    method: "POST",
    path: "/api/targets",
    audience: "admin",
    summary: "Add a storage target",
    body: z.object({
      name: o.name,
      type: s.targetType,
      config: settings.default({}),
      secrets: settings.default({}),
      quotaBytes: quotaBytes.default(null),
      bandwidthBytesPerSecond: o.bandwidth.default(null),
    }),
    reply: o.target,
  }),
  getTarget: endpoint({
    method: "GET",
    path: "/api/targets/:id",
    audience: "viewer",
    summary: "One storage target, without its secrets",
    reply: o.target,
  }),
  updateTarget: endpoint({
    method: "PATCH",
    path: "/api/targets/:id",
    audience: "admin",
    summary: "Change a storage target; secrets that are not sent are kept",
    body: z.object({
      name: o.name.optional(),
      config: settings.optional(),
      secrets: settings.optional(),
      quotaBytes: quotaBytes.optional(),
      bandwidthBytesPerSecond: o.bandwidth.optional(),
    }),
    reply: o.target,
  }),
  deleteTarget: endpoint({
    method: "DELETE",
    path: "/api/targets/:id",
    audience: "admin",
    summary: "Remove a storage target that no task uses and that holds no copy",
  }),
  testTarget: endpoint({
    method: "POST",
    path: "/api/targets/:id/test",
    audience: "operator",
    summary: "Write, read back and delete a small object, from a node (15 s)",
    /** Null for the vault alone, which the master tests itself. */
    body: z.object({ nodeId: o.id.nullable().default(null) }),
    reply: z.object({ ok: z.literal(true), milliseconds: z.int() }),
  }),

  listTasks: endpoint({
    method: "GET",
    path: "/api/tasks",
    audience: "viewer",
    summary: "Backup tasks, newest first",
    query: z.object({
      ...page,
      nodeId: intQuery.optional(),
      targetId: intQuery.optional(),
      tag: o.tag.optional(),
      enabled: boolQuery.optional(),
      /** How the last run went; `never`: it has not run yet. */
      last: z.enum([...s.recordStatus.options, "never"]).optional(),
      /** Part of a name; case does not matter in ASCII. */
      text: z.string().trim().min(1).max(100).optional(),
      /** `never`: those of which no record has ever been verified. */
      verified: z.enum(["never"]).optional(),
      /** What the dashboard calls so: a success should have come by now; full backups read much less than usual. */
      trouble: z.enum(["overdue", "shrunk"]).optional(),
    }),
    reply: pageOf(o.task.extend(o.taskSurroundings.shape)),
  }),
  createTask: endpoint({
    method: "POST",
    path: "/api/tasks",
    audience: "operator",
    summary: "Add a backup task for a node or a pool of nodes",
    body: z.object({
      ...taskFields,
      pipeline: o.pipeline.prefault({}),
      nodeId: taskFields.nodeId.default(null),
      poolLabel: taskFields.poolLabel.default(null),
      secrets: taskFields.secrets.default({}),
      hooks: taskFields.hooks.default(null),
      schedule: taskFields.schedule.default(null),
      timeZone: taskFields.timeZone.default("UTC"),
      verification: taskFields.verification.default(null),
      retention: taskFields.retention.default(null),
      enabled: taskFields.enabled.default(true),
      tags: taskFields.tags.default([]),
    }),
    reply: o.task,
  }),
  listTaskTags: endpoint({
    method: "GET",
    path: "/api/task-tags",
    audience: "viewer",
    summary: "The tags that tasks have, by name; the first 500",
    reply: z.object({ items: z.array(z.string()) }),
  }),
  getTask: endpoint({
    method: "GET",
    path: "/api/tasks/:id",
    audience: "viewer",
    summary: "One backup task and how its last 30 runs went",
    reply: o.task.extend({
      ...o.taskSurroundings.shape,
      recent: z.object({
        runs: z.int(),
        succeeded: z.int(),
        successRate: z.number().nullable(),
        /** Successful ones among them that have been verified since. */
        verified: z.int(),
      }),
    }),
  }),
  updateTask: endpoint({
    method: "PATCH",
    path: "/api/tasks/:id",
    audience: "operator",
    summary: "Change a backup task; secrets that are not sent are kept",
    body: z.object(taskFields).partial(),
    reply: o.task,
  }),
  deleteTask: endpoint({
    method: "DELETE",
    path: "/api/tasks/:id",
    audience: "operator",
    summary: "Remove a backup task that has no restorable records",
  }),
  runTask: endpoint({
    method: "POST",
    path: "/api/tasks/:id/run",
    audience: "operator",
    summary: "Back up now",
    reply: z.object({ recordId: o.id, commandId: o.id, nodeId: o.id }),
  }),
  previewRetention: endpoint({
    method: "GET",
    path: "/api/tasks/:id/retention-preview",
    audience: "viewer",
    summary:
      "What a task's retention, or the one that is asked about, would keep and remove now, newest first, and why; changes nothing",
    query: z.object({
      /** Rules as a task has them: given any, they stand in for the task's own. */
      keepLast: keptQuery,
      keepDaily: keptQuery,
      keepWeekly: keptQuery,
      keepMonthly: keptQuery,
      keepYearly: keptQuery,
      keepDays: keptQuery,
    }),
    reply: z.object({
      retention: o.retention.nullable(),
      records: z.array(
        z.object({
          recordId: o.id,
          at: o.time,
          keep: z.boolean(),
          /** In words. */
          reasons: z.array(z.string()),
          /** The same for programs; empty when it would go. */
          keptBy: z.array(o.keptBy),
        }),
      ),
    }),
  }),
  previewSchedule: endpoint({
    method: "GET",
    path: "/api/schedule-preview",
    audience: "viewer",
    summary: "The next runs of a schedule in a time zone",
    query: z.object({
      schedule: z.string().min(1).max(200),
      timeZone: z.string().max(64).default("UTC"),
      count: z.coerce.number().int().min(1).max(20).default(5),
    }),
    reply: z.object({ runs: z.array(o.time) }),
  }),

  listRecords: endpoint({
    method: "GET",
    path: "/api/records",
    audience: "viewer",
    summary: "Backup records, newest first",
    query: z.object({
      ...page,
      taskId: intQuery.optional(),
      nodeId: intQuery.optional(),
      status: s.recordStatus.optional(),
      kind: s.recordKind.optional(),
      /** Those that were begun at this time or later, and before that one. */
      from: timeQuery.optional(),
      until: timeQuery.optional(),
    }),
    reply: pageOf(o.record),
  }),
  getRecord: endpoint({
    method: "GET",
    path: "/api/records/:id",
    audience: "viewer",
    summary: "One record with its copies and warnings",
    reply: recordDetail,
  }),
  recordLog: endpoint({
    method: "GET",
    path: "/api/records/:id/log",
    audience: "viewer",
    summary: "A record's log: what follows `after`, or the last `tail` chunks",
    query: logQuery,
    reply: logReply,
  }),
  recordStream: endpoint({
    method: "GET",
    path: "/api/records/:id/stream",
    audience: "viewer",
    kind: "stream",
    summary: "A record's state, progress and log, live, as server-sent events",
  }),
  cancelRecord: endpoint({
    method: "POST",
    path: "/api/records/:id/cancel",
    audience: "operator",
    summary: "Stop a queued or running backup",
  }),
  deleteRecord: endpoint({
    method: "DELETE",
    path: "/api/records/:id",
    audience: "operator",
    summary:
      "Remove a record and every copy of it; `forget` (administrators) gives up what cannot be reached",
    query: forgetQuery,
    reply: z.object({ status: z.literal("ok"), pendingCopies: z.int() }),
  }),
  lockRecord: endpoint({
    method: "PATCH",
    path: "/api/records/:id",
    audience: "operator",
    summary: "Lock a record, so that neither retention nor a click removes it, or unlock it",
    body: z.object({ locked: z.boolean() }),
    reply: o.record,
  }),
  copyRecord: endpoint({
    method: "POST",
    path: "/api/records/:id/copies",
    audience: "operator",
    summary: "Copy a record's artifact from one of its copies to a further target",
    body: z.object({ targetId: o.id, fromTargetId: o.id.optional(), nodeId: o.id.optional() }),
    reply: z.object({
      commandId: o.id,
      nodeId: o.id,
      fromTargetId: o.id,
      /** What the new copy alone will not be enough for. */
      warning: z.string().nullable(),
    }),
  }),
  removeCopy: endpoint({
    method: "DELETE",
    path: "/api/records/:id/copies/:targetId",
    audience: "operator",
    summary: "Remove one copy of a record, but never the last good one; one that is being made is stopped",
    query: forgetQuery,
  }),
  recordContents: endpoint({
    method: "GET",
    path: "/api/records/:id/contents",
    audience: "operator",
    summary: "What is in a backup of files: a directory of it, or a search in it, asked of an agent (15 s)",
    query: z.object({
      /** The directory to list, or to search below. */
      path: o.absolutePath.default("/"),
      /** List instead, from everywhere below, what has this in its name. */
      name: z.string().min(1).max(255).optional(),
      after: z.string().max(4096).optional(),
      limit: z.coerce.number().int().min(1).max(1000).default(200),
      /** Who reads it; else the node that was backed up. */
      nodeId: intQuery.optional(),
      /** A file on that node with the private key for an encrypted record; else the agent's own. */
      identityFile: o.absolutePath.optional(),
    }),
    reply: o.contents,
  }),
  restoreRecord: endpoint({
    method: "POST",
    path: "/api/records/:id/restore",
    audience: "operator",
    summary: "Restore a record: whole or in part, in place or elsewhere, on this node or another",
    body: z.object({
      nodeId: o.id.optional(),
      targetId: o.id.optional(),
      destination: o.absolutePath.nullable().default(null),
      selectedPaths: z.array(o.absolutePath).min(1).max(1000).nullable().default(null),
      conflict: s.conflictPolicy.default("fail"),
      /** A file on the restoring node with the private key for an encrypted record; null: the agent's own. */
      identityFile: o.absolutePath.nullable().default(null),
      options: o.restoreOptions.prefault({}),
      /** Write nothing: only tell what would be created, overwritten, kept and refused. For files. */
      dryRun: z.boolean().default(false),
    }),
    reply: z.object({ restoreId: o.id, commandId: o.id, nodeId: o.id }),
  }),
  listRestores: endpoint({
    method: "GET",
    path: "/api/restores",
    audience: "viewer",
    summary: "Restores, newest first; of a task, those from backups that are still there",
    query: z.object({
      ...page,
      recordId: intQuery.optional(),
      taskId: intQuery.optional(),
      nodeId: intQuery.optional(),
      status: s.restoreStatus.optional(),
    }),
    reply: pageOf(o.restore),
  }),
  getRestore: endpoint({
    method: "GET",
    path: "/api/restores/:id",
    audience: "viewer",
    summary: "One restore with its warnings, and what a dry run has found",
    reply: o.restore.extend({ warnings: z.array(o.warning), outcome: o.dryRunOutcome.nullable() }),
  }),
  restoreLog: endpoint({
    method: "GET",
    path: "/api/restores/:id/log",
    audience: "viewer",
    summary: "A restore's log",
    query: logQuery,
    reply: logReply,
  }),
  restoreStream: endpoint({
    method: "GET",
    path: "/api/restores/:id/stream",
    audience: "viewer",
    kind: "stream",
    summary: "A restore's state, progress and log, live, as server-sent events",
  }),
  cancelRestore: endpoint({
    method: "POST",
    path: "/api/restores/:id/cancel",
    audience: "operator",
    summary: "Stop a queued or running restore",
  }),

  verifyRecord: endpoint({
    method: "POST",
    path: "/api/records/:id/verify",
    audience: "operator",
    summary: "Verify a record: every copy that the node reaches, or the named one",
    body: z.object({
      grade: v.grade.default(3),
      nodeId: o.id.optional(),
      targetId: o.id.optional(),
      /** A file on the verifying node with the private key for an encrypted record; null: the agent's own. */
      identityFile: o.absolutePath.nullable().default(null),
    }),
    reply: z.object({
      nodeId: o.id,
      verifications: z.array(z.object({ verificationId: o.id, targetId: o.id })),
      /** Copies that lie on another node's own disk. */
      unreachable: z.array(z.object({ targetId: o.id, targetName: z.string() })),
    }),
  }),
  listVerifications: endpoint({
    method: "GET",
    path: "/api/verifications",
    audience: "viewer",
    summary: "Verifications, newest first",
    query: z.object({
      ...page,
      recordId: intQuery.optional(),
      taskId: intQuery.optional(),
      nodeId: intQuery.optional(),
      status: s.verificationStatus.optional(),
      /** Of those that failed: because something is not what was stored, or because they ended early. */
      damaged: boolQuery.optional(),
    }),
    reply: pageOf(o.verification),
  }),
  getVerification: endpoint({
    method: "GET",
    path: "/api/verifications/:id",
    audience: "viewer",
    summary: "One verification with everything that it found",
    reply: o.verification.extend({ report: v.report.nullable() }),
  }),
  verificationLog: endpoint({
    method: "GET",
    path: "/api/verifications/:id/log",
    audience: "viewer",
    summary: "A verification's log",
    query: logQuery,
    reply: logReply,
  }),
  verificationStream: endpoint({
    method: "GET",
    path: "/api/verifications/:id/stream",
    audience: "viewer",
    kind: "stream",
    summary: "A verification's state, progress and log, live, as server-sent events",
  }),
  cancelVerification: endpoint({
    method: "POST",
    path: "/api/verifications/:id/cancel",
    audience: "operator",
    summary: "Stop a queued or running verification",
  }),

  listCommands: endpoint({
    method: "GET",
    path: "/api/commands",
    audience: "operator",
    summary: "The queue and its history, newest first",
    query: z.object({
      ...page,
      nodeId: intQuery.optional(),
      status: s.commandStatus.optional(),
      type: s.commandType.optional(),
    }),
    reply: pageOf(o.command),
  }),
  listAudit: endpoint({
    method: "GET",
    path: "/api/audit",
    audience: "admin",
    summary: "Who changed what, newest first; filtered, only what people did",
    query: z
      .object({
        ...page,
        by: z.enum(["all", "people"]).default("all"),
        actor: z.string().min(1).max(100).optional(),
        action: z.string().min(1).max(64).optional(),
        /** What it was done to; with `entityId`. */
        entity: z.string().min(1).max(64).optional(),
        entityId: intQuery.optional(),
      })
      .refine(
        ({ actor, action, entity }) => [actor, action, entity].filter((one) => one !== undefined).length < 2,
        "choose one of actor, action and entity",
      )
      .refine(
        ({ entity, entityId }) => (entity === undefined) === (entityId === undefined),
        "entity and entityId go together",
      ),
    reply: pageOf(o.auditEntry),
  }),
  getSettings: endpoint({
    method: "GET",
    path: "/api/settings",
    audience: "viewer",
    summary: "What this master is and how it is set up; no secrets",
    reply: z.object({
      version: z.string(),
      protocol: z.object({ oldest: z.int(), newest: z.int() }),
      databaseBytes: z.number(),
      sessionHours: z.int(),
      historyDays: z.int(),
      dueTasksPerMinute: z.int(),
      doorbellShards: z.int(),
    }),
  }),
  listNotifications: endpoint({
    method: "GET",
    path: "/api/notifications",
    audience: "viewer",
    summary: "What happened that people should know, newest first",
    query: z.object(page),
    reply: pageOf(o.notification),
  }),
} as const;
