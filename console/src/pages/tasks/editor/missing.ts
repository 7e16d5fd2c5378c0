import type { T } from "../../../i18n/i18n.ts";
import type { TaskValues } from "./values.ts";

/** Fields that are empty and must not be, as one sees without asking the master. */
export function missingOf(values: TaskValues, secretsSet: readonly string[], t: T): Record<string, string> {
  const { sourceType, sources, pipeline } = values;
  const isMissing: Record<string, boolean> = {
    name: values.name.trim() === "",
    nodeId: values.place === "node" && values.nodeId === null,
    poolLabel: values.place === "pool" && values.poolLabel.trim() === "",
    "sources.file.paths": sourceType === "file" && sources.file.paths.length === 0,
    "sources.sqlite.paths": sourceType === "sqlite" && sources.sqlite.paths.length === 0,
    "sources.command.name": sourceType === "command" && sources.command.name.trim() === "",
    targetIds: values.targetIds.length === 0,
    "pipeline.recipients":
      pipeline.engine === "archive" && pipeline.isEncrypted && pipeline.recipients.length === 0,
    resticPassword:
      pipeline.engine === "restic" &&
      values.resticPassword.value === "" &&
      !secretsSet.includes("resticPassword"),
  };
  const missing = Object.keys(isMissing).filter((field) => isMissing[field]);
  return Object.fromEntries(missing.map((field) => [field, t("taskEditor.missing")]));
}
