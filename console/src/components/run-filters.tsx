import { Select } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { FilterGroup } from "./filter-group.tsx";
import { NodeSelect } from "./node-select.tsx";
import type { RunState } from "./status-badge.tsx";
import { TaskSelect } from "./task-select.tsx";
import type { Filters } from "./use-filters.ts";

type Props = { label: string; filters: Filters; states: readonly RunState[] };

export const runFilterNames = ["status", "taskId", "nodeId"] as const;

/** What a list of restores or verifications can be narrowed to. */
export function RunFilters({ label, filters, states }: Props) {
  const { t } = useTranslation();
  const { get, set } = filters;
  const idOf = (name: string) => (get(name) ? Number(get(name)) : null);
  return (
    <FilterGroup label={label} filters={filters}>
      <Select
        aria-label={t("records.status")}
        placeholder={t("common.anyState")}
        clearable
        w={160}
        data={states.map((value) => ({ value, label: t(`states.${value}`) }))}
        value={get("status")}
        onChange={(value) => set("status", value)}
      />
      <TaskSelect
        aria-label={t("records.task")}
        placeholder={t("common.anyTask")}
        clearable
        w={200}
        value={idOf("taskId")}
        onChange={(id) => set("taskId", id === null ? null : String(id))}
      />
      <NodeSelect
        aria-label={t("records.node")}
        placeholder={t("common.anyNode")}
        clearable
        w={200}
        value={idOf("nodeId")}
        onChange={(id) => set("nodeId", id === null ? null : String(id))}
      />
    </FilterGroup>
  );
}
