import { Select } from "@mantine/core";
import { IconTerminal2 } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../api/admin-api.ts";
import type { CallInput } from "../api/call.ts";
import { usePages } from "../api/queries.ts";
import { wideDropdown } from "../components/choice-among-many.ts";
import { EmptyState } from "../components/empty-state.tsx";
import { FilterGroup } from "../components/filter-group.tsx";
import { NodeSelect } from "../components/node-select.tsx";
import { NoneMatches } from "../components/none-matches.tsx";
import { Page } from "../components/page.tsx";
import { PagedRows } from "../components/rows.tsx";
import { type Filters, useFilters } from "../components/use-filters.ts";
import { useCommandColumns } from "./commands/command-columns.tsx";

type Query = NonNullable<CallInput<typeof adminApi.listCommands>["query"]>;

const statuses = ["pending", "dispatched", "succeeded", "failed", "timeout", "cancelled"] as const;
const types = [
  "run_task",
  "restore_record",
  "verify_record",
  "copy_record",
  "delete_storage_object",
  "list_dir",
  "test_target",
  "discover_db",
  "preview_source",
  "inspect_archive",
] as const;

/** What agents were asked to do, and what became of it: for those who look for a fault. */
export function Commands() {
  const { t } = useTranslation();
  const filters = useFilters(["nodeId", "status", "type"]);
  const pages = usePages(adminApi.listCommands, filters.all as Query);
  return (
    <Page title={t("nav.commands")} lead={t("commands.lead")}>
      <CommandFilters filters={filters} />
      <PagedRows
        caption={t("nav.commands")}
        columns={useCommandColumns({ withNode: true })}
        keyOf={({ id }) => id}
        pages={pages}
        empty={
          filters.any ? (
            <NoneMatches
              title={t("commands.noneMatchesTitle")}
              text={t("commands.noneMatchesText")}
              clear={filters.clear}
            />
          ) : (
            <EmptyState
              icon={IconTerminal2}
              title={t("commands.emptyTitle")}
              text={t("commands.emptyText")}
            />
          )
        }
      />
    </Page>
  );
}

function CommandFilters({ filters }: { filters: Filters }) {
  const { get, set } = filters;
  const nodeId = get("nodeId");
  const { t } = useTranslation();
  return (
    <FilterGroup label={t("commands.filters")} filters={filters}>
      <NodeSelect
        aria-label={t("commands.node")}
        placeholder={t("commands.anyNode")}
        clearable
        w={200}
        comboboxProps={wideDropdown}
        value={nodeId === null ? null : Number(nodeId)}
        onChange={(id) => set("nodeId", id === null ? null : String(id))}
      />
      <Select
        aria-label={t("commands.status")}
        placeholder={t("commands.anyStatus")}
        clearable
        w={160}
        data={statuses.map((value) => ({ value, label: t(`states.${value}`) }))}
        value={get("status")}
        onChange={(status) => set("status", status)}
      />
      <Select
        aria-label={t("commands.type")}
        placeholder={t("commands.anyType")}
        clearable
        w={220}
        data={types.map((value) => ({ value, label: t(`commands.${value}`) }))}
        value={get("type")}
        onChange={(type) => set("type", type)}
      />
    </FilterGroup>
  );
}
