import { Button, Group, Select } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../api/admin-api.ts";
import { useAnswer } from "../../api/queries.ts";
import { NodeSelect } from "../../components/node-select.tsx";
import { SearchField } from "../../components/search-field.tsx";
import type { Filtering } from "../../components/use-filter.ts";

export const filterNames = ["text", "nodeId", "tag", "enabled", "last", "verified"] as const;
type FilterName = (typeof filterNames)[number];

const results = ["success", "failed", "running", "queued", "missed", "cancelled", "never"] as const;

/** What the list of tasks can be narrowed to. */
export function TaskFilters({ filter, isFiltered, set, clear }: Filtering<FilterName>) {
  const { t } = useTranslation();
  const tags = useAnswer(adminApi.listTaskTags, {}).data?.items ?? [];
  return (
    <Group gap="sm" role="search" className="filters" aria-label={t("tasks.filters")}>
      <SearchField
        label={t("tasks.searchName")}
        value={filter.text ?? ""}
        onSearch={(text) => set({ text })}
      />
      <NodeSelect
        aria-label={t("tasks.node")}
        placeholder={t("tasks.anyNode")}
        clearable
        w={180}
        value={filter.nodeId === undefined ? null : Number(filter.nodeId)}
        onChange={(id) => set({ nodeId: id === null ? null : String(id) })}
      />
      <Select
        aria-label={t("tasks.tags")}
        placeholder={t("tasks.anyTag")}
        clearable
        searchable
        w={140}
        data={filter.tag && !tags.includes(filter.tag) ? [filter.tag, ...tags] : tags}
        value={filter.tag ?? null}
        onChange={(tag) => set({ tag })}
        nothingFoundMessage={t("nav.nothingFound")}
      />
      <Select
        aria-label={t("tasks.lastResult")}
        placeholder={t("tasks.anyResult")}
        clearable
        w={150}
        data={results.map((value) => ({
          value,
          label: value === "never" ? t("tasks.neverRan") : t(`states.${value}`),
        }))}
        value={filter.last ?? null}
        onChange={(last) => set({ last })}
      />
      <Select
        aria-label={t("tasks.state")}
        placeholder={t("tasks.activeAndPaused")}
        clearable
        w={190}
        data={[
          { value: "true", label: t("tasks.active") },
          { value: "false", label: t("tasks.paused") },
        ]}
        value={filter.enabled ?? null}
        onChange={(enabled) => set({ enabled })}
      />
      {isFiltered ? (
        <Button variant="subtle" size="compact-sm" onClick={clear}>
          {t("tasks.clearFilters")}
        </Button>
      ) : null}
    </Group>
  );
}
