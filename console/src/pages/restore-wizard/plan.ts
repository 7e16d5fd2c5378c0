import type { TFunction } from "i18next";
import type { z } from "zod";
import type { adminApi } from "../../api/admin-api.ts";
import type { ApiError } from "../../api/call.ts";
import { fieldErrors } from "../../components/form-errors.ts";
import type { RecordDetail } from "../records/record-detail.ts";

type Body = z.input<typeof adminApi.restoreRecord.body>;

/** What has been chosen so far. */
export type Plan = {
  scope: "whole" | "chosen";
  paths: string[];
  databases: string[];
  nodeId: number | null;
  targetId: number | null;
  place: "original" | "folder";
  folder: string;
  renames: { from: string; to: string }[];
  conflict: "fail" | "keep" | "overwrite";
  identityFile: string;
  owners: boolean;
  roles: boolean;
};

export type Missing = { what?: string; where?: string; how?: string; check?: string };
export type StepProps = {
  record: RecordDetail;
  plan: Plan;
  change(changes: Partial<Plan>): void;
  missing: Missing;
};

const servers = new Set(["postgresql", "mysql", "mongodb", "saphana"]);
export const isDatabaseServer = ({ sourceType }: RecordDetail): boolean => servers.has(sourceType);

/** What another page has chosen already. */
type Chosen = {
  paths?: string[];
  destination?: string | null;
  conflict?: Plan["conflict"];
  nodeId?: number;
  targetId?: number;
  identityFile?: string | null;
};

/** Where the wizard begins: everything, in place, on the node that was backed up, and careful. */
export function planFor(record: RecordDetail, state: unknown): Plan {
  const chosen = (state ?? {}) as Chosen;
  const paths = chosen.paths ?? [];
  const destination = chosen.destination ?? null;
  return {
    scope: paths.length > 0 ? "chosen" : "whole",
    paths,
    databases: [],
    nodeId: chosen.nodeId ?? record.nodeId,
    targetId: chosen.targetId ?? null,
    // What a command wrote can be given back to nothing.
    place: destination !== null || record.sourceType === "command" ? "folder" : "original",
    folder: destination ?? "",
    renames: [],
    conflict: chosen.conflict ?? "fail",
    identityFile: chosen.identityFile ?? "",
    owners: true,
    roles: false,
  };
}

/** What still has to be said, by the step that asks for it. */
export function whatIsMissing(t: TFunction, record: RecordDetail, plan: Plan): Missing {
  const { scope, paths, databases, nodeId, place, folder } = plan;
  const isNothing = scope === "chosen" && paths.length === 0 && databases.length === 0;
  const isNoPath = place === "folder" && !/^\/|^[A-Za-z]:[\\/]/.test(folder.trim());
  return {
    ...(isNothing ? { what: t("wizard.chosenNone") } : {}),
    ...(nodeId === null
      ? { where: t("wizard.nodeNone") }
      : isNoPath
        ? { where: t("wizard.folderNone") }
        : toServer(record, plan)
          ? wrongRename(t, plan)
          : {}),
  };
}

const toServer = (record: RecordDetail, { place }: Plan): boolean =>
  isDatabaseServer(record) && place === "original";

/** A new name that would not be used is no small thing: the database would be restored over the one of its own name. */
function wrongRename(t: TFunction, { scope, databases, renames }: Plan): Missing {
  if (renames.some(({ from, to }) => (from === "") !== (to === ""))) return { where: t("wizard.renameHalf") };
  const others = scope === "whole" ? [] : renames.filter(({ from }) => from && !databases.includes(from));
  return others[0] ? { where: t("wizard.renameNotChosen", { name: others[0].from }) } : {};
}

/** The plan as the master takes it. */
export function bodyOf(record: RecordDetail, plan: Plan, dryRun: boolean): Body {
  const { scope, paths, databases, nodeId, targetId, place, folder, renames, conflict } = plan;
  const isToServer = toServer(record, plan);
  return {
    ...(nodeId === null ? {} : { nodeId }),
    ...(targetId === null ? {} : { targetId }),
    destination: place === "folder" ? folder.trim() : null,
    selectedPaths: scope === "chosen" && record.sourceType === "file" ? paths : null,
    conflict,
    identityFile: plan.identityFile.trim() || null,
    options: {
      databases: isToServer && scope === "chosen" ? databases : null,
      renameDatabases: isToServer
        ? Object.fromEntries(renames.filter(({ from, to }) => from && to).map(({ from, to }) => [from, to]))
        : {},
      owners: plan.owners,
      roles: plan.roles,
    },
    dryRun,
  };
}

const steps: [step: number, fields: string[]][] = [
  [0, ["selectedPaths", "options.databases"]],
  [1, ["destination", "nodeId", "targetId", "options.renameDatabases"]],
  [2, ["conflict", "identityFile", "options"]],
];

/** Which step asks for what the master refused; null when it was about something else. */
export const stepOfField = (error: ApiError): number | null =>
  steps.find(([, fields]) => Object.keys(fieldErrors(error, fields)).length > 0)?.[0] ?? null;
