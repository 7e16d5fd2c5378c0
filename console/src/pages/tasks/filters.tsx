import { Button, Group, Select, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { IconSearch } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router";
import { adminApi } from "../../api/admin-api.ts";
import { useAnswer } from "../../api/queries.ts";
import { NodeSelect } from "../../components/node-select.tsx";

const names = ["text", "nodeId", "tag", "enabled", "last", "verified"] as const;
type Name = (typeof names)[number];
type Filter = { [K in Name]?: string };

const results = ["success", "failed", "running", "queued", "missed", "cancelled", "never"] as const;

/** What the list is narrowed to; it stands in the page's address, so that it can be kept and passed on. */
export function useTaskFilter() {
  const [search, setSearch] = useSearchParams();
  const filter: Filter = {};
  for (const name of names) {
    const value = search.get(name);
    if (value) filter[name] = value;
  }
  return {
    filter,
    set: (changes: { [K in Name]?: string | null }) =>
      setSearch(
        (before) => {
          const next = new URLSearchParams(before);
          for (const [name, value] of Object.entries(changes)) {
            if (value) next.set(name, value);
            else next.delete(name);
          }
          return next;
        },
        { replace: true },
      ),
    clear: () => setSearch({}, { replace: true }),
  };
}

type Props = ReturnType<typeof useTaskFilter>;

export function TaskFilters({ filter, set, clear }: Props) {
  const { t } = useTranslation();
  const tags = useAnswer(adminApi.listTaskTags, {}).data?.items ?? [];
  return (
    <Group gap="sm" role="search" className="filters" aria-label={t("tasks.filters")}>
      <NameFilter key={filter.text === undefined ? "none" : "some"} value={filter.text ?? ""} set={set} />
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
      {Object.keys(filter).length > 0 ? (
        <Button variant="subtle" size="compact-sm" onClick={clear}>
          {t("tasks.clearFilters")}
        </Button>
      ) : null}
    </Group>
  );
}

function NameFilter({ value, set }: { value: string; set: Props["set"] }) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState(value);
  const search = useDebouncedCallback((text: string) => set({ text: text.trim() }), 300);
  return (
    <TextInput
      type="search"
      aria-label={t("tasks.searchName")}
      placeholder={t("tasks.searchName")}
      leftSection={<IconSearch size={16} aria-hidden />}
      w={220}
      value={typed}
      onChange={(event) => {
        setTyped(event.currentTarget.value);
        search(event.currentTarget.value);
      }}
    />
  );
}
