import { z } from "zod";
import { ageRecipient } from "./age-recipient.ts";
import * as s from "./states.ts";
import * as v from "./verification.ts";

export const id = z.int().positive().max(Number.MAX_SAFE_INTEGER);
/** Milliseconds since 1970 UTC, by the master's clock unless said otherwise. */
export const time = z.int().nonnegative();
export const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "must be 64 lower-case hex characters");

const control = /\p{Cc}/u;
const printable = (max: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(max)
    .refine((text) => !control.test(text), "must not contain control characters");
export const name = printable(100);
export const label = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._=-]{0,62}$/, "must be lower-case letters, digits, . _ = -");
export const labels = z.array(label).max(32);
/** What people sort their tasks by; agents know nothing of them. */
export const tag = printable(32);
export const tags = z
  .array(tag)
  .max(16)
  .refine((list) => new Set(list).size === list.length, "one of them is there twice");

/** An absolute path on a node: Unix, or a Windows drive. NUL can be in no path and would end it early. */
export const absolutePath = z
  .string()
  .min(1)
  .max(4096)
  .refine((path) => !path.includes("\0"), "must not contain NUL")
  .refine((path) => path.startsWith("/") || /^[A-Za-z]:[\\/]/.test(path), "must be an absolute path");

const fileSource = z.object({
  type: z.literal("file"),
  paths: z.array(absolutePath).min(1).max(200),
  excludes: z.array(z.string().min(1).max(1024)).max(500).default([]),
  oneFileSystem: z.boolean().default(false),
});
const sqliteSource = z.object({ type: z.literal("sqlite"), paths: z.array(absolutePath).min(1).max(50) });

const password = z.string().min(1).max(1024);
const port = z.int().min(1).max(65_535);
const hostPattern = /^[A-Za-z0-9_.:-]{1,253}$/;
const host = z.string().regex(hostPattern, "is not a host name or address");
/** A server by its name or address, or the absolute path of its Unix socket (PostgreSQL: of the socket's directory). */
const databaseHost = z
  .string()
  .max(1024)
  .refine(
    (text) => (text.startsWith("/") ? !control.test(text) : hostPattern.test(text) && !text.startsWith("-")),
    "is neither a host name or address nor the absolute path of a socket",
  );
/**
 * Whatever a server allows. Whoever gives one to a program must not let it be taken for an option, a pattern or a
 * connection string.
 */
const databaseName = z
  .string()
  .min(1)
  .max(128)
  .refine((text) => !control.test(text), "must not contain control characters");
const databaseNames = z.array(databaseName).max(1000).default([]);
const tls = z
  .object({
    /** `verify-ca` and `verify-full` check the server's certificate, the latter also its name. */
    mode: z.enum(["disable", "prefer", "require", "verify-ca", "verify-full"]).default("prefer"),
    /** A file of the node with the authorities to trust; null: those of the system. */
    caFile: absolutePath.nullable().default(null),
  })
  .prefault({});
const databaseServer = {
  host: databaseHost.default("localhost"),
  user: z
    .string()
    .max(256)
    .refine((text) => !control.test(text), "must not contain control characters")
    .default(""),
  tls,
};
const databaseSource = {
  ...databaseServer,
  /** Empty: all that the server has when it is read, but for its own. */
  databases: databaseNames,
  excludeDatabases: databaseNames,
};
const postgresqlServer = {
  port: port.default(5432),
  /** The database to connect to while the others are listed. */
  maintenanceDatabase: databaseName.default("postgres"),
};
const mongodbServer = {
  port: port.default(27_017),
  authDatabase: databaseName.default("admin"),
  replicaSet: z.string().max(128).nullable().default(null),
};
const saphanaServer = {
  /** Null: that of the system database of the instance. */
  port: port.nullable().default(null),
  instance: z
    .string()
    .regex(/^\d{2}$/, "must be two digits")
    .default("00"),
};
const postgresqlSource = z.object({
  type: z.literal("postgresql"),
  ...databaseSource,
  ...postgresqlServer,
  /** Roles and tablespaces too. */
  globals: z.boolean().default(true),
  /** Patterns as pg_dump's `--exclude-table` and `--exclude-table-data` take them. */
  excludeTables: z.array(databaseName).max(200).default([]),
  excludeTableData: z.array(databaseName).max(200).default([]),
});
const mysqlSource = z.object({
  type: z.literal("mysql"),
  ...databaseSource,
  port: port.default(3306),
  /** One consistent view without locks; false locks the tables of each database, for engines without transactions. */
  singleTransaction: z.boolean().default(true),
  /** Each as `database.table`. */
  excludeTables: z
    .array(databaseName.regex(/^[^.]+\..+$/, "must be database.table"))
    .max(200)
    .default([]),
});
const mongodbSource = z.object({
  type: z.literal("mongodb"),
  ...databaseSource,
  ...mongodbServer,
  /** What is written meanwhile as well, of a replica set, so that all databases are of one moment; needs all of them. */
  oplog: z.boolean().default(false),
});
const saphanaSource = z.object({ type: z.literal("saphana"), ...databaseSource, ...saphanaServer });
/** A name that the configuration of the node's agent gives a meaning to; the master never says what to run. */
const configuredName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
    "must be letters, digits, . _ - and begin with one of the former",
  );
/** What a command writes to its standard output. */
const commandSource = z.object({ type: z.literal("command"), name: configuredName });

export const source = z.discriminatedUnion("type", [
  fileSource,
  sqliteSource,
  postgresqlSource,
  mysqlSource,
  mongodbSource,
  saphanaSource,
  commandSource,
]);
export type Source = z.output<typeof source>;

/** A database server without the choice of what to read from it. */
export const databaseServers = z.discriminatedUnion("type", [
  z.object({ type: z.literal("postgresql"), ...databaseServer, ...postgresqlServer }),
  z.object({ type: z.literal("mysql"), ...databaseServer, port: port.default(3306) }),
  z.object({ type: z.literal("mongodb"), ...databaseServer, ...mongodbServer }),
  z.object({ type: z.literal("saphana"), ...databaseServer, ...saphanaServer }),
]);
export type DatabaseServer = z.output<typeof databaseServers>;

/** What can be asked for its databases: a server, or a directory below which files of SQLite's are looked for. */
export const databasePlaces = z.discriminatedUnion("type", [
  ...databaseServers.options,
  z.object({ type: z.literal("sqlite"), folder: absolutePath.default("/") }),
]);
export type DatabasePlace = z.output<typeof databasePlaces>;

const withPassword = z.object({ password: password.optional() });
const gcs = z.object({
  bucket: z.string().regex(/^[a-z0-9][a-z0-9._-]{1,62}$/, "is not a bucket name"),
  prefix: z.string().max(500).default(""),
  /** Google's own address unless told otherwise. */
  endpoint: z
    .url({ protocol: /^https?$/ })
    .max(500)
    .optional(),
});
/** The JSON file of a service account's key, as text. Those who have an HMAC key use the type s3 with it. */
const gcsSecrets = z.object({ serviceAccountKey: z.string().min(1).max(16_384) });
const noSecrets = z.object({});
/** What of each source is sealed. */
export const sourceSecrets = {
  /** Of tasks with restic: what opens their repositories. */
  file: z.object({ resticPassword: password.optional() }),
  sqlite: noSecrets,
  postgresql: withPassword,
  mysql: withPassword,
  mongodb: withPassword,
  saphana: withPassword,
  command: noSecrets,
} as const satisfies Record<s.SourceType, z.ZodType>;

/** Programs of the node around a run, by names that its agent's own configuration gives a meaning to. */
export const hooks = z.object({
  before: configuredName.nullable().default(null),
  /** When the one before fails: read nothing and fail, or go on with a warning. */
  ifBeforeFails: z.enum(["fail", "continue"]).default("fail"),
  afterSuccess: configuredName.nullable().default(null),
  afterFailure: configuredName.nullable().default(null),
  afterAlways: configuredName.nullable().default(null),
});
export type Hooks = z.output<typeof hooks>;

/** Of a restore, what only databases know. */
export const restoreOptions = z.object({
  /** Names in the backup; null: all. */
  databases: z.array(databaseName).min(1).max(1000).nullable().default(null),
  /** New names by the old ones; what is not named keeps its own. */
  renameDatabases: z.record(databaseName, databaseName).default({}),
  /** Of PostgreSQL: owners and rights too. Their roles have to exist, or be made by `roles`. */
  owners: z.boolean().default(true),
  /** Of PostgreSQL: first make the roles that the backup holds and the server lacks. */
  roles: z.boolean().default(false),
});

/** Encryption on the agent, in the age format: each recipient can open the backup alone, and nobody else can. */
const encryption = z.object({
  recipients: z
    .array(ageRecipient)
    .min(1)
    .max(16)
    .refine((keys) => new Set(keys).size === keys.length, "one of them is there twice"),
});

/** After a full backup only what has changed since then is stored, until the full one is this old. */
const differential = z.object({ fullEveryDays: z.int().min(1).max(365) });

/** Bytes that may move in a second; null: no cap. */
export const bandwidth = z.int().min(1024).nullable();

export const pipeline = z.object({
  engine: s.engine.default("archive"),
  compression: s.compression.default("zstd"),
  /** Compression level; null is the method's own default. */
  level: z.int().min(1).max(19).nullable().default(null),
  bandwidthBytesPerSecond: bandwidth.default(null),
  encryption: encryption.nullable().default(null),
  /** For files packed with zstd; null: every backup is a full one. */
  differential: differential.nullable().default(null),
  /** How many threads compress, each with some 5 MB; null: as many as there are cores, four at most. */
  threads: z.int().min(1).max(64).nullable().default(null),
  /** The job's place in the queues for the processor and the disk; null: as the agent's own. */
  nice: z.int().min(0).max(19).nullable().default(null),
  ioClass: z.enum(["best-effort", "idle"]).nullable().default(null),
});
export type Pipeline = z.output<typeof pipeline>;

/** Where an artifact's index lies in its zstd stream, before encryption; its own SHA-256. */
export const archiveIndex = z.object({
  offsetBytes: z.int().nonnegative(),
  sizeBytes: z.int().positive(),
  sha256,
});

/** A page of what an archive holds; `next` is given as `after` to get the following one. */
export const contents = z.object({
  entries: z.array(
    z.object({
      name: z.string(),
      path: z.string(),
      type: z.enum(["file", "link", "symlink", "directory", "char", "block", "fifo"]),
      size: z.int().nonnegative(),
      /** Null for a directory that only lies above what was backed up. */
      mtime: z.int().nullable(),
      mode: z.int().nullable(),
      linkPath: z.string().nullable(),
    }),
  ),
  next: z.string().nullable(),
});

/** What a restore would do with some of the entries: how many, and the first of them by name. */
const fate = z.object({
  entries: z.int().nonnegative(),
  bytes: z.int().nonnegative(),
  paths: z
    .array(
      z.object({
        path: z.string().max(4096),
        size: z.int().nonnegative(),
        reason: z.string().max(4096).optional(),
      }),
    )
    .max(100),
});

/** What a restore would do. Directories that exist count as kept. With anything refused, it would write nothing. */
export const dryRunOutcome = z.object({ create: fate, overwrite: fate, keep: fate, refuse: fate });

export const warning = z.object({ path: z.string().max(8192), reason: z.string().max(2000) });
export const progress = z.object({
  phase: z.enum(["scanning", "packing", "uploading", "verifying", "restoring"]),
  sourceBytes: z.int().nonnegative(),
  entries: z.int().nonnegative(),
  artifactBytes: z.int().nonnegative(),
  totalSourceBytes: z.int().nonnegative().nullable(),
  totalEntries: z.int().nonnegative().nullable(),
  currentPath: z.string().max(8192).nullable(),
});
export type Progress = z.output<typeof progress>;

export const directoryEntry = z.object({
  name: z.string(),
  path: z.string(),
  isDir: z.boolean(),
  size: z.number().nonnegative(),
});

/** How many programs that cannot be started an agent names, at most: a heartbeat stays small. */
export const maxMissingPrograms = 50;
export const maxMissingProgramChars = 200;
/** A program that an agent's configuration names and that cannot be started there. */
const missingProgram = z.object({
  /** Where it is named: `commands.ldap.verify`. */
  at: z.string().max(100),
  program: z.string().max(maxMissingProgramChars),
  /** The error's code, such as ENOENT. */
  problem: z.string().max(64),
});
export type MissingProgram = z.output<typeof missingProgram>;

/** What an agent can do here and now: versions of the tools and drivers that it really found. */
export const capabilities = z.object({
  sources: z.array(z.string().max(64)).max(64).default([]),
  storages: z.array(z.string().max(64)).max(64).default([]),
  engines: z.record(z.string().max(64), z.string().max(200)).default({}),
  /** Names that its configuration gives a meaning to, as sources and around runs. */
  commands: z.array(z.string().max(64)).max(200).default([]),
  hooks: z.array(z.string().max(64)).max(200).default([]),
  missingPrograms: z.array(missingProgram).max(maxMissingPrograms).default([]),
});

/** A database of a server; its size only where the server tells it to this user. */
export const foundDatabase = z.object({ name: z.string(), sizeBytes: z.number().nonnegative().nullable() });

/** What a backup of a source would read now. Counts are of what was seen until `complete` or the time was over. */
export const sourcePreview = z.object({
  complete: z.boolean(),
  /** Files and directories, or databases. */
  entries: z.int().nonnegative(),
  /** Null where it cannot be known without reading. */
  bytes: z.number().nonnegative().nullable(),
  /** The first of what would be read, in the order of reading. */
  first: z.array(z.object({ path: z.string(), sizeBytes: z.number().nonnegative().nullable() })),
  /** What the excludes leave out; what lies below an excluded directory is not looked at. */
  excluded: z.object({ count: z.int().nonnegative(), first: z.array(z.string()) }),
  /** What cannot be read, and the reason. */
  unreadable: z.object({ count: z.int().nonnegative(), first: z.array(warning) }),
  /** Programs that would do it, with their versions. */
  tools: z.record(z.string(), z.string()),
});
export type SourcePreview = z.output<typeof sourcePreview>;

export const node = z.object({
  id,
  name: z.string(),
  status: s.nodeStatus,
  connection: z.enum(["socket", "poll", "never"]),
  lastSeen: time.nullable(),
  hostname: z.string(),
  ipAddress: z.string(),
  os: z.string(),
  arch: z.string(),
  agentVersion: z.string(),
  protocolVersion: z.int().nullable(),
  labels: z.array(z.string()),
  paused: z.boolean(),
  maxConcurrent: z.int(),
  bandwidthBytesPerSecond: z.int().nullable(),
  freeDiskBytes: z.number().nullable(),
  capabilities: capabilities.nullable(),
  /** Set when two machines have used this node's token in turn. */
  cloneSuspectedAt: time.nullable(),
  createdAt: time,
});
/** In a list: what waits for the node and what it runs, together counted to 100 at most. */
export const nodeQueue = z.object({ queuedCount: z.int(), runningCount: z.int() });
export const nodeActivity = z.object({
  queued: z.int(),
  running: z.array(z.object({ commandId: id, type: s.commandType, recordId: id.nullable(), since: time })),
});

const localDisk = z.object({ path: absolutePath });
const vault = z.object({});
const s3 = z.object({
  endpoint: z.url({ protocol: /^https?$/ }).max(500),
  region: z.string().min(1).max(64).default("auto"),
  bucket: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, "is not a bucket name"),
  prefix: z.string().max(500).default(""),
  pathStyle: z.boolean().default(true),
});
const s3Secrets = z.object({
  accessKeyId: z.string().min(1).max(256),
  secretAccessKey: z.string().min(1).max(1024),
  sessionToken: z.string().max(4096).optional(),
});
const webdav = z.object({
  /** The collection that objects are below. */
  url: z.url({ protocol: /^https?$/ }).max(500),
  username: z.string().max(256).default(""),
});
const sftp = z.object({
  host,
  port: port.default(22),
  username: z.string().min(1).max(256),
  /** A directory of the server; a relative one begins at the user's home. */
  path: z.string().min(1).max(1000),
  /** Fingerprints (`SHA256:...`) of the server's keys, with spaces between. */
  hostKey: z.string().max(1000).default(""),
  /** Or a known_hosts file of the node. */
  knownHostsFile: absolutePath.optional(),
});
const sftpSecrets = z.object({
  password: password.optional(),
  privateKey: z.string().min(1).max(32_768).optional(),
  passphrase: password.optional(),
});
const ftp = z.object({
  host,
  /** 21 unless told otherwise, 990 for implicit TLS. */
  port: port.optional(),
  tls: z.enum(["explicit", "implicit", "none"]).default("explicit"),
  username: z.string().min(1).max(256),
  /** A directory of the server; a relative one begins where the login ends up. */
  path: z.string().min(1).max(1000),
});
const rclone = z.object({
  /** A remote of the node's own rclone (`name:path`), or a connection string (`:backend,option=value:path`). */
  remote: z
    .string()
    .max(1000)
    .regex(/^[^-].*:|^:/, "is not like name:path"),
  /** The node's rclone.conf, if it is not at its usual place. */
  configFile: absolutePath.optional(),
});
/** Settings of the remote as rclone.conf names them, passwords in the form that `rclone obscure` gives. */
const rcloneSecrets = z.object({
  settings: z.record(z.string().regex(/^[a-z0-9_-]{1,64}$/), z.string().max(16_384)).optional(),
});
const azureBlob = z.object({
  account: z.string().regex(/^[a-z0-9]{3,24}$/, "is not a storage account's name"),
  container: z.string().regex(/^[a-z0-9$][a-z0-9-]{2,62}$/, "is not a container's name"),
  /** The account's usual address unless told otherwise. */
  endpoint: z
    .url({ protocol: /^https?$/ })
    .max(500)
    .optional(),
  prefix: z.string().max(500).default(""),
});
/** Either of the two. */
const azureBlobSecrets = z.object({
  accountKey: z.string().min(1).max(256).optional(),
  sasToken: z.string().min(1).max(4096).optional(),
});

/** Each storage's settings: what may be shown, and what is sealed. */
export const targetSettings = {
  local_disk: { config: localDisk, secrets: noSecrets },
  vault: { config: vault, secrets: noSecrets },
  s3: { config: s3, secrets: s3Secrets },
  webdav: { config: webdav, secrets: z.object({ password: password.optional() }) },
  sftp: { config: sftp, secrets: sftpSecrets },
  ftp: { config: ftp, secrets: z.object({ password: password.optional() }) },
  rclone: { config: rclone, secrets: rcloneSecrets },
  azure_blob: { config: azureBlob, secrets: azureBlobSecrets },
  gcs: { config: gcs, secrets: gcsSecrets },
} as const satisfies Record<s.TargetType, { config: z.ZodType; secrets: z.ZodType }>;

/** How a test of a target went: where, when, and how long it took or why it failed. */
export const targetTest = z.object({
  at: time,
  /** Null: the master itself. */
  nodeId: id.nullable(),
  nodeName: z.string().nullable(),
  ok: z.boolean(),
  milliseconds: z.int().nullable(),
  message: z.string(),
});

export const target = z.object({
  id,
  name: z.string(),
  type: s.targetType,
  config: z.record(z.string(), z.unknown()),
  /** Names of the secrets that are set; their values are never shown. */
  secretsSet: z.array(z.string()),
  quotaBytes: z.int().nullable(),
  usedBytes: z.int(),
  /** For what each job sends there and fetches from there. */
  bandwidthBytesPerSecond: z.int().nullable(),
  /** Of these settings; null: not tested since they were changed. */
  lastTest: targetTest.nullable(),
  createdAt: time,
  updatedAt: time,
});

/** How and when a task's newest record is verified. */
export const taskVerification = z.object({
  grade: v.grade,
  /** Five cron fields, in the task's time zone. */
  schedule: z.string().trim().min(1).max(200),
  /** Null: the node that made the record. */
  nodeId: id.nullable().default(null),
});
export type TaskVerification = z.output<typeof taskVerification>;

const kept = z.int().min(1).max(10_000).optional();
/** Which records of a task are kept; each rule keeps what it keeps, whatever the others say. */
export const retention = z
  .strictObject({
    /** The newest so many. */
    keepLast: kept,
    /** The newest of each of the last so many days, ISO weeks, months and years that have one, in the task's time zone. */
    keepDaily: kept,
    keepWeekly: kept,
    keepMonthly: kept,
    keepYearly: kept,
    /** Everything that is not older than so many times 24 hours. */
    keepDays: kept,
  })
  .refine(
    (rules) => Object.values(rules).some((count) => count !== undefined),
    "must have at least one rule",
  );
export type Retention = z.output<typeof retention>;

export const task = z.object({
  id,
  name: z.string(),
  source,
  pipeline,
  nodeId: id.nullable(),
  poolLabel: z.string().nullable(),
  targetIds: z.array(id),
  /** Names of the secrets that are set; their values are never shown. */
  secretsSet: z.array(z.string()),
  hooks: hooks.nullable(),
  schedule: z.string().nullable(),
  timeZone: z.string(),
  nextRunAt: time.nullable(),
  verification: taskVerification.nullable(),
  nextVerifyAt: time.nullable(),
  /** The last time that a record of it was verified, and how far; null: never. */
  verifiedAt: time.nullable(),
  verifiedGrade: v.grade.nullable(),
  retention: retention.nullable(),
  enabled: z.boolean(),
  tags: z.array(z.string()),
  createdAt: time,
  updatedAt: time,
});
/** What is around a task: its node's name, and how it went the last time; null: it never ran. */
export const taskSurroundings = z.object({
  nodeName: z.string().nullable(),
  lastRecord: z
    .object({
      id,
      status: s.recordStatus,
      errorMessage: z.string(),
      warningCount: z.int(),
      sizeBytes: z.int(),
      createdAt: time,
      finishedAt: time.nullable(),
    })
    .nullable(),
});

export const copy = z.object({
  targetId: id,
  targetName: z.string(),
  status: s.copyStatus,
  storagePath: z.string(),
  sizeBytes: z.int(),
  checksum: z.string().nullable(),
  /** Why it could not be written, or not be removed. */
  error: z.string(),
  /** The command that makes or made it from another copy; null: the backup itself wrote it. */
  commandId: id.nullable(),
  progress: progress.nullable(),
  updatedAt: time,
});

export const record = z.object({
  id,
  taskId: id,
  taskName: z.string(),
  nodeId: id.nullable(),
  nodeName: z.string().nullable(),
  commandId: id.nullable(),
  attempt: z.int(),
  status: s.recordStatus,
  trigger: s.trigger,
  sourceType: s.sourceType,
  engine: s.engine,
  /** The snapshot that restic knows it by. */
  snapshotId: z.string().nullable(),
  compression: s.compression,
  /** Only who has the private key of one of its recipients can restore it. */
  encrypted: z.boolean(),
  kind: s.recordKind,
  /** The full backup that a differential one cannot be restored without. */
  baseRecordId: id.nullable(),
  fileName: z.string(),
  sizeBytes: z.int(),
  sourceBytes: z.int().nullable(),
  entries: z.int().nullable(),
  checksum: z.string().nullable(),
  warningCount: z.int(),
  /** The highest grade that a verification of it has reached without finding damage, when, and on which node. */
  verifiedGrade: v.grade.nullable(),
  verifiedAt: time.nullable(),
  verifiedNodeId: id.nullable(),
  /** Runs that this missed record stands for; 1 otherwise. */
  runs: z.int(),
  /** The agent's success arrived after this run had been given up. */
  late: z.boolean(),
  errorMessage: z.string(),
  progress: progress.nullable(),
  createdAt: time,
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
  /** Neither a click nor retention removes it. */
  locked: z.boolean(),
  /** Set while its copies are being removed. */
  deletedAt: time.nullable(),
});

export const restore = z.object({
  id,
  recordId: id,
  targetId: id,
  nodeId: id,
  nodeName: z.string().nullable(),
  commandId: id.nullable(),
  status: s.restoreStatus,
  destination: z.string().nullable(),
  selectedPaths: z.array(z.string()).nullable(),
  /** Of a database server, which of its databases, by their names in the backup; null: all. */
  databases: z.array(z.string()).nullable(),
  /** New names by the old ones. */
  renameDatabases: z.record(z.string(), z.string()),
  conflict: s.conflictPolicy,
  /** Where on the node the private keys are that it reads; null: where that agent's own configuration says. */
  identityFile: z.string().nullable(),
  /** Nothing was or will be written. */
  dryRun: z.boolean(),
  entries: z.int().nullable(),
  bytes: z.int().nullable(),
  warningCount: z.int(),
  errorMessage: z.string(),
  progress: progress.nullable(),
  createdAt: time,
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
});

export const verification = z.object({
  id,
  taskId: id,
  recordId: id,
  targetId: id,
  targetName: z.string().nullable(),
  nodeId: id,
  nodeName: z.string().nullable(),
  commandId: id.nullable(),
  status: s.verificationStatus,
  trigger: s.trigger,
  /** The grade that was asked for, and the one that was proved; null: not even the first, or not yet. */
  grade: v.grade,
  reachedGrade: v.grade.nullable(),
  /** Something is not what was stored. */
  damaged: z.boolean(),
  identityFile: z.string().nullable(),
  errorMessage: z.string(),
  progress: progress.nullable(),
  createdAt: time,
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
});

export const command = z.object({
  id,
  nodeId: id,
  /** Null once the node is deleted. */
  nodeName: z.string().nullable(),
  type: s.commandType,
  status: s.commandStatus,
  attempt: z.int(),
  recordId: id.nullable(),
  restoreId: id.nullable(),
  verificationId: id.nullable(),
  errorMessage: z.string(),
  createdAt: time,
  dispatchedAt: time.nullable(),
  leaseExpiresAt: time.nullable(),
  completedAt: time.nullable(),
});

export const user = z.object({
  id,
  username: z.string(),
  role: s.role,
  disabled: z.boolean(),
  createdAt: time,
  lastLoginAt: time.nullable(),
});
/** A sign-in that is still good. */
export const session = z.object({
  createdAt: time,
  expiresAt: time,
  ipAddress: z.string(),
  userAgent: z.string(),
  /** The one that asks. */
  current: z.boolean(),
});
export const apiKey = z.object({
  id,
  name: z.string(),
  role: s.role,
  createdAt: time,
  expiresAt: time.nullable(),
  lastUsedAt: time.nullable(),
});
/** Why a record stays: a rule of its task's retention, or something about the record itself. */
export const keptBy = z.object({
  rule: z.enum([
    "noRetention",
    "newest",
    "locked",
    "busy",
    "noGoodCopy",
    "baseOf",
    "last",
    "days",
    "daily",
    "weekly",
    "monthly",
    "yearly",
  ]),
  /** What the rule counts or stands for: `7`, `2026-11-24`, `2026-W48`, the id of a record; "" where there is nothing. */
  value: z.string(),
});
export const auditEntry = z.object({
  id,
  at: time,
  actor: z.string(),
  action: z.string(),
  entity: z.string(),
  entityId: id.nullable(),
  before: z.unknown(),
  after: z.unknown(),
  ipAddress: z.string(),
});
/** What a notification's message is made of, for who says it in another language. Names are those of that moment. */
export const notificationDetails = z.object({
  /** Of the node or the task. */
  name: z.string().optional(),
  /** When a node was last heard of. */
  since: time.nullable().optional(),
  hostname: z.string().optional(),
  /** The storage target's name; null when it was removed. */
  target: z.string().nullable().optional(),
  /** Why, in the master's or the agent's own words. */
  reason: z.string().optional(),
});
export const notification = z.object({
  id,
  at: time,
  kind: z.string(),
  nodeId: id.nullable(),
  recordId: id.nullable(),
  message: z.string(),
  details: notificationDetails,
});
export const logLine = z.object({ seq: z.int(), at: time, text: z.string() });
