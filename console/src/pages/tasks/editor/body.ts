import type { z } from "zod";
import type { adminApi } from "../../../../../protocol/admin-api.ts";
import { inBytes } from "../../../components/mib-per-second.ts";
import type { Numeric, RetentionValues, Secret, TaskValues } from "./values.ts";

type Body = z.input<typeof adminApi.createTask.body>;
export type Source = Body["source"];

/** What the fields say, as the master takes it. */
export function bodyOf(values: TaskValues): Body {
  const { pipeline } = values;
  const isRestic = pipeline.engine === "restic";
  return {
    name: values.name,
    tags: values.tags,
    nodeId: values.place === "node" ? values.nodeId : null,
    poolLabel: values.place === "pool" ? values.poolLabel : null,
    source: sourceOf(values),
    secrets: secretsOf(values),
    schedule: values.isScheduled ? values.schedule : null,
    timeZone: values.timeZone,
    targetIds: values.targetIds.map(Number),
    pipeline: {
      engine: pipeline.engine as "archive",
      // What restic does by itself is not said to it.
      compression: isRestic ? "zstd" : (pipeline.compression as "zstd"),
      level: isRestic || pipeline.compression === "none" ? null : orNull(pipeline.level),
      encryption: !isRestic && pipeline.isEncrypted ? { recipients: pipeline.recipients } : null,
      differential: canBeDifferential(values) && pipeline.isDifferential ? differential(values) : null,
      bandwidthBytesPerSecond: inBytes(pipeline.bandwidthMiBPerSecond),
      threads: orNull(pipeline.threads),
      nice: orNull(pipeline.nice),
      ioClass: pipeline.ioClass as "idle" | null,
    },
    retention: values.hasRetention ? rulesOf(values.retention) : null,
    verification: values.isVerified
      ? { ...values.verification, grade: values.verification.grade as 1 }
      : null,
    hooks: hooksOf(values),
    enabled: values.enabled,
  };
}

/** Only files that are packed with zstd. */
export const canBeDifferential = ({ sourceType, pipeline }: TaskValues): boolean =>
  sourceType === "file" && pipeline.engine === "archive" && pipeline.compression === "zstd";

const differential = ({ pipeline }: TaskValues) => ({ fullEveryDays: Number(pipeline.fullEveryDays) });

/** The source that is chosen, with nulls for empty fields. */
export function sourceOf({ sourceType, sources }: Pick<TaskValues, "sourceType" | "sources">): Source {
  const source = sources[sourceType];
  const optional = ["port", "replicaSet"];
  const filled = Object.entries(source).map(([name, value]) => [
    name,
    value === "" && optional.includes(name) ? null : value,
  ]);
  const tls = "tls" in source ? { tls: { mode: source.tls.mode, caFile: source.tls.caFile || null } } : {};
  return { type: sourceType, ...Object.fromEntries(filled), ...tls } as Source;
}

/** Only what is to change: the master keeps what is not sent. */
export function secretsOf(values: TaskValues): Record<string, string | null> {
  const isDatabase = "host" in values.sources[values.sourceType];
  return {
    ...(isDatabase ? changed("password", values.password) : {}),
    ...(values.pipeline.engine === "restic" ? changed("resticPassword", values.resticPassword) : {}),
  };
}

function changed(name: string, { value, remove }: Secret): Record<string, string | null> {
  if (value !== "") return { [name]: value };
  return remove ? { [name]: null } : {};
}

/** The rules that were given a number. */
export const rulesOf = (retention: RetentionValues): Record<string, number> =>
  Object.fromEntries(
    Object.entries(retention).filter((rule): rule is [string, number] => typeof rule[1] === "number"),
  );

function hooksOf({ hooks }: TaskValues): Body["hooks"] {
  const names = {
    before: hooks.before || null,
    afterSuccess: hooks.afterSuccess || null,
    afterFailure: hooks.afterFailure || null,
    afterAlways: hooks.afterAlways || null,
  };
  if (Object.values(names).every((name) => name === null)) return null;
  return { ...names, ifBeforeFails: hooks.ifBeforeFails as "fail" };
}

const orNull = (number: Numeric): number | null => (number === "" ? null : number);
