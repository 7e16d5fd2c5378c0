import type { ApiError } from "../../../api/call.ts";
import { fieldErrors, withoutRequestId } from "../../../components/form-errors.ts";
import type { TaskValues } from "./values.ts";

/** Fields of the master and, where they are others, of the editor; what is more exact comes first. */
const renamed: Record<string, string> = {
  "secrets.password": "password",
  "secrets.resticPassword": "resticPassword",
  "pipeline.encryption": "pipeline.recipients",
  "pipeline.differential": "pipeline.fullEveryDays",
  "pipeline.bandwidthBytesPerSecond": "pipeline.bandwidthMiBPerSecond",
};
const own = [
  "name",
  "tags",
  "nodeId",
  "poolLabel",
  "targetIds",
  "schedule",
  "timeZone",
  ...["engine", "compression", "level", "threads", "nice", "ioClass"].map((name) => `pipeline.${name}`),
  ...["keepLast", "keepDaily", "keepWeekly", "keepMonthly", "keepYearly", "keepDays"].map(
    (name) => `retention.${name}`,
  ),
  "retention",
  ...["grade", "schedule", "nodeId"].map((name) => `verification.${name}`),
  ...["before", "afterSuccess", "afterFailure", "afterAlways"].map((name) => `hooks.${name}`),
];

/** What the master refused, by the editor's own fields; empty when it is about none of them. */
export function errorsOf(error: ApiError, values: TaskValues): Record<string, string> {
  const source = ["tls.mode", "tls.caFile", ...Object.keys(values.sources[values.sourceType])];
  const ofSource = source.map((name) => `source.${name}`);
  const found = fieldErrors(error, [...Object.keys(renamed), ...own, ...ofSource]);
  const errors = Object.entries(found).map(([field, reason]) => [
    renamed[field] ?? field.replace(/^source\./, `sources.${values.sourceType}.`),
    reason,
  ]);
  const field = fieldOfCode(error, values);
  return field === null ? Object.fromEntries(errors) : { [field]: withoutRequestId(error.message) };
}

/** Refusals that name no field are about one all the same. */
function fieldOfCode({ code, message }: ApiError, values: TaskValues): string | null {
  switch (code) {
    case "NAME_TAKEN":
      return "name";
    case "STORAGE_TARGET_NOT_FOUND":
      return "targetIds";
    case "NODE_NOT_FOUND":
    case "NODE_CANNOT_RUN_TASK":
      return values.place === "node" ? "nodeId" : "poolLabel";
    case "SCHEDULE_INVALID":
      if (message.includes(`"${values.timeZone}"`)) return "timeZone";
      return values.isScheduled && message.includes(`"${values.schedule}"`)
        ? "schedule"
        : "verification.schedule";
    default:
      return null;
  }
}
