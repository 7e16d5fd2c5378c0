import { Button, Group, Select, TextInput } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { wideDropdown } from "../../components/choice-among-many.ts";
import { NodeSelect } from "../../components/node-select.tsx";
import { TaskSelect } from "../../components/task-select.tsx";
import type { RecordFilters } from "./use-record-filters.ts";

const states = ["queued", "running", "success", "failed", "cancelled", "missed"] as const;

/** What the list of records can be narrowed to. */
export function FilterBar({ filters: { get, set, any, clear } }: { filters: RecordFilters }) {
  const { t } = useTranslation();
  const idOf = (name: string) => (get(name) ? Number(get(name)) : null);
  return (
    <Group gap="sm" align="flex-end" role="search" aria-label={t("records.filters")}>
      <Select
        label={t("records.status")}
        placeholder={t("records.any")}
        clearable
        flex="1 1 140px"
        data={states.map((value) => ({ value, label: t(`states.${value}`) }))}
        value={get("status")}
        onChange={(value) => set("status", value)}
      />
      <TaskSelect
        label={t("records.task")}
        placeholder={t("records.any")}
        clearable
        flex="1 1 190px"
        comboboxProps={wideDropdown}
        value={idOf("taskId")}
        onChange={(id) => set("taskId", id === null ? null : String(id))}
      />
      <NodeSelect
        label={t("records.node")}
        placeholder={t("records.any")}
        clearable
        flex="1 1 180px"
        comboboxProps={wideDropdown}
        value={idOf("nodeId")}
        onChange={(id) => set("nodeId", id === null ? null : String(id))}
      />
      <Select
        label={t("records.kind")}
        placeholder={t("records.any")}
        clearable
        flex="1 1 130px"
        data={[
          { value: "full", label: t("records.full") },
          { value: "differential", label: t("records.differential") },
        ]}
        value={get("kind")}
        onChange={(value) => set("kind", value)}
      />
      <TextInput
        type="date"
        label={t("records.from")}
        flex="1 1 140px"
        value={get("from") ?? ""}
        onChange={({ currentTarget }) => set("from", currentTarget.value)}
      />
      <TextInput
        type="date"
        label={t("records.until")}
        flex="1 1 140px"
        value={get("until") ?? ""}
        onChange={({ currentTarget }) => set("until", currentTarget.value)}
      />
      {any ? (
        <Button variant="subtle" size="compact-sm" mb={5} onClick={clear}>
          {t("common.clearFilters")}
        </Button>
      ) : null}
    </Group>
  );
}
