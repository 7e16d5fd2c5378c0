import { Select, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { IconTag } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { FilterGroup } from "../../components/filter-group.tsx";
import { SearchField } from "../../components/search-field.tsx";
import { type Filters, useFilters } from "../../components/use-filters.ts";

export const useNodeFilters = () => useFilters(["text", "status", "label"]);

export function NodeFilters({ filters }: { filters: Filters }) {
  const { get, set } = filters;
  const { t } = useTranslation();
  return (
    <FilterGroup label={t("nodes.filters")} filters={filters}>
      <SearchField
        label={t("nodes.searchText")}
        value={get("text") ?? ""}
        onSearch={(text) => set("text", text)}
      />
      <Select
        aria-label={t("nodes.status")}
        placeholder={t("nodes.anyStatus")}
        clearable
        w={170}
        data={(["online", "offline", "pending"] as const).map((value) => ({
          value,
          label: t(`nodes.${value}`),
        }))}
        value={get("status")}
        onChange={(status) => set("status", status)}
      />
      <LabelField value={get("label") ?? ""} onSearch={(label) => set("label", label)} />
    </FilterGroup>
  );
}

/** What cannot be a label is not asked for: the master would refuse it while somebody is still typing. */
const labelPattern = /^[a-z0-9][a-z0-9._=-]{0,62}$/;

function LabelField({ value, onSearch }: { value: string; onSearch(label: string): void }) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState(value);
  const search = useDebouncedCallback((label: string) => {
    if (label === "" || labelPattern.test(label)) onSearch(label);
  }, 300);
  useEffect(() => setTyped(value), [value]);
  const isWrong = typed !== "" && !labelPattern.test(typed);
  return (
    <TextInput
      aria-label={t("nodes.label")}
      placeholder={t("nodes.label")}
      leftSection={<IconTag size={16} aria-hidden />}
      w={170}
      value={typed}
      error={isWrong ? t("nodes.labelRule") : null}
      onChange={(event) => {
        setTyped(event.currentTarget.value);
        search(event.currentTarget.value.trim());
      }}
    />
  );
}
