import { Select } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../api/admin-api.ts";
import { useAnswer } from "../../api/queries.ts";
import { wideDropdown } from "../../components/choice-among-many.ts";
import { FilterGroup } from "../../components/filter-group.tsx";
import { NodeSelect } from "../../components/node-select.tsx";
import { SearchField } from "../../components/search-field.tsx";
import type { Filters } from "../../components/use-filters.ts";

export const filterNames = ["text", "nodeId", "tag", "enabled", "last", "verified", "trouble"];

const results = ["success", "failed", "running", "queued", "missed", "cancelled", "never"] as const;

/** What the list of tasks can be narrowed to. */
export function TaskFilters({ filters }: { filters: Filters }) {
  const { all, set } = filters;
  const { t } = useTranslation();
  const tags = useAnswer(adminApi.listTaskTags, {}).data?.items ?? [];
  return (
    <FilterGroup label={t("tasks.filters")} filters={filters}>
      <SearchField
        label={t("tasks.searchName")}
        value={all.text ?? ""}
        onSearch={(text) => set("text", text)}
      />
      <NodeSelect
        aria-label={t("tasks.node")}
        placeholder={t("tasks.anyNode")}
        clearable
        w={170}
        comboboxProps={wideDropdown}
        value={all.nodeId === undefined ? null : Number(all.nodeId)}
        onChange={(id) => set("nodeId", id === null ? null : String(id))}
      />
      <Select
        aria-label={t("tasks.tags")}
        placeholder={t("tasks.anyTag")}
        clearable
        searchable
        w={130}
        comboboxProps={wideDropdown}
        data={all.tag && !tags.includes(all.tag) ? [all.tag, ...tags] : tags}
        value={all.tag ?? null}
        onChange={(tag) => set("tag", tag)}
        nothingFoundMessage={t("nav.nothingFound")}
      />
      <Select
        aria-label={t("tasks.lastResult")}
        placeholder={t("tasks.anyResult")}
        clearable
        w={135}
        data={results.map((value) => ({
          value,
          label: value === "never" ? t("tasks.neverRan") : t(`states.${value}`),
        }))}
        value={all.last ?? null}
        onChange={(last) => set("last", last)}
      />
      <Select
        aria-label={t("tasks.state")}
        placeholder={t("tasks.activeAndPaused")}
        clearable
        w={185}
        data={[
          { value: "true", label: t("tasks.active") },
          { value: "false", label: t("tasks.paused") },
        ]}
        value={all.enabled ?? null}
        onChange={(enabled) => set("enabled", enabled)}
      />
    </FilterGroup>
  );
}
