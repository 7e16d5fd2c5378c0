import type { SourceType } from "../../../../../protocol/states.ts";
import { inMiB } from "../../../components/mib-per-second.ts";
import { viewersZone } from "../../../components/viewers-zone.ts";
import type { Task } from "../task.ts";

/** A number field; empty while nothing stands in it. */
export type Numeric = number | "";

const server = () => ({
  host: "localhost",
  user: "",
  tls: { mode: "prefer" as string, caFile: "" },
  databases: [] as string[],
  excludeDatabases: [] as string[],
});

/** Every kind of source keeps what was typed for it, so that looking at another kind loses nothing. */
const emptySources = () => ({
  file: { paths: [] as string[], excludes: [] as string[], oneFileSystem: false },
  sqlite: { paths: [] as string[] },
  postgresql: {
    ...server(),
    port: 5432 as Numeric,
    maintenanceDatabase: "postgres",
    globals: true,
    excludeTables: [] as string[],
    excludeTableData: [] as string[],
  },
  mysql: {
    ...server(),
    port: 3306 as Numeric,
    singleTransaction: true,
    excludeTables: [] as string[],
  },
  mongodb: {
    ...server(),
    port: 27_017 as Numeric,
    authDatabase: "admin",
    replicaSet: "",
    oplog: false,
  },
  saphana: { ...server(), port: "" as Numeric, instance: "00" },
  command: { name: "" },
});

/** A secret as a field: the new one; or nothing, which keeps what is set, unless that is to go. */
export type Secret = { value: string; remove: boolean };

const noRetention = () => ({
  keepLast: "" as Numeric,
  keepDaily: "" as Numeric,
  keepWeekly: "" as Numeric,
  keepMonthly: "" as Numeric,
  keepYearly: "" as Numeric,
  keepDays: "" as Numeric,
});
export type RetentionValues = ReturnType<typeof noRetention>;

/** What the editor's fields hold. */
export const newTask = () => ({
  name: "",
  tags: [] as string[],
  place: "node" as "node" | "pool",
  nodeId: null as number | null,
  poolLabel: "",
  sourceType: "file" as SourceType,
  sources: emptySources(),
  password: { value: "", remove: false } as Secret,
  resticPassword: { value: "", remove: false } as Secret,
  isScheduled: true,
  schedule: "0 3 * * *",
  timeZone: viewersZone(),
  targetIds: [] as string[],
  pipeline: {
    engine: "archive" as string,
    compression: "zstd" as string,
    level: "" as Numeric,
    isEncrypted: false,
    recipients: [] as string[],
    isDifferential: false,
    fullEveryDays: 7 as Numeric,
    bandwidthMiBPerSecond: "" as Numeric,
    threads: "" as Numeric,
    nice: "" as Numeric,
    ioClass: null as string | null,
  },
  hasRetention: false,
  retention: noRetention(),
  isVerified: false,
  verification: { grade: 3 as number, schedule: "0 6 * * 0", nodeId: null as number | null },
  hooks: {
    before: "",
    ifBeforeFails: "fail" as string,
    afterSuccess: "",
    afterFailure: "",
    afterAlways: "",
  },
  enabled: true,
});
export type TaskValues = ReturnType<typeof newTask>;

/** A task of the master as the editor's fields show it. */
export function valuesOf(task: Task): TaskValues {
  const blank = newTask();
  const { pipeline, retention, verification, hooks } = task;
  return {
    ...blank,
    name: task.name,
    tags: task.tags,
    place: task.poolLabel === null ? "node" : "pool",
    nodeId: task.nodeId,
    poolLabel: task.poolLabel ?? "",
    sourceType: task.source.type,
    sources: { ...blank.sources, [task.source.type]: sourceValues(task.source) },
    isScheduled: task.schedule !== null,
    schedule: task.schedule ?? blank.schedule,
    timeZone: task.timeZone,
    targetIds: task.targetIds.map(String),
    pipeline: {
      ...blank.pipeline,
      engine: pipeline.engine,
      compression: pipeline.compression,
      level: pipeline.level ?? "",
      isEncrypted: pipeline.encryption !== null,
      recipients: pipeline.encryption?.recipients ?? [],
      isDifferential: pipeline.differential !== null,
      fullEveryDays: pipeline.differential?.fullEveryDays ?? blank.pipeline.fullEveryDays,
      bandwidthMiBPerSecond: inMiB(pipeline.bandwidthBytesPerSecond),
      threads: pipeline.threads ?? "",
      nice: pipeline.nice ?? "",
      ioClass: pipeline.ioClass,
    },
    hasRetention: retention !== null,
    retention: { ...blank.retention, ...withoutUndefined(retention ?? {}) },
    isVerified: verification !== null,
    verification: verification ?? blank.verification,
    hooks: {
      ...blank.hooks,
      ...Object.fromEntries(Object.entries(hooks ?? {}).map(([name, value]) => [name, value ?? ""])),
    },
    enabled: task.enabled,
  };
}

/** The editor has empty fields where the master has nulls. */
function sourceValues({ type: _, ...source }: Task["source"]): object {
  const filled = Object.entries(source).map(([name, value]) => [name, value ?? ""]);
  const values = Object.fromEntries(filled);
  return "tls" in source ? { ...values, tls: { ...source.tls, caFile: source.tls.caFile ?? "" } } : values;
}

const withoutUndefined = (rules: object) =>
  Object.fromEntries(Object.entries(rules).filter(([, count]) => count !== undefined));
