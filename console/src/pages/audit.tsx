import { Group, SegmentedControl, Text } from "@mantine/core";
import { IconHistory } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../api/admin-api.ts";
import { usePages } from "../api/queries.ts";
import { EmptyState } from "../components/empty-state.tsx";
import { Page } from "../components/page.tsx";
import { type Column, PagedRows } from "../components/rows.tsx";
import { useFilters } from "../components/use-filters.ts";
import { When } from "../components/when.tsx";
import { Details } from "./audit/details.tsx";
import type { AuditEntry } from "./audit/entry.ts";
import { AuditFilter, auditFilters } from "./audit/filter.tsx";
import { Subject } from "./audit/subject.tsx";
import { useActionWords } from "./audit/words.ts";

/** Who changed what. */
export function Audit() {
  const { t } = useTranslation();
  const filters = useFilters(auditFilters);
  const wordsOf = useActionWords();
  const query = Object.fromEntries(auditFilters.map((name) => [name, filters.get(name) ?? undefined]));
  const by = filters.get("by") === "all" ? "all" : "people";
  const notPeople: Record<string, string> = {
    system: t("audit.system"),
    "enrolment code": t("audit.enrollmentCode"),
  };
  const nameOf = (actor: string) => notPeople[actor] ?? actor;
  const pages = usePages(adminApi.listAudit, { ...query, by });
  const columns: Column<AuditEntry>[] = [
    { label: t("audit.when"), cell: ({ at }) => <When at={at} />, width: 150 },
    {
      label: t("audit.who"),
      cell: ({ actor, ipAddress }) => (
        <div>
          <Text size="sm" fw={500} className="long-name">
            {nameOf(actor)}
          </Text>
          {ipAddress ? (
            <Text size="xs" c="dimmed">
              {ipAddress}
            </Text>
          ) : null}
        </div>
      ),
    },
    { label: t("audit.what"), cell: ({ action }) => <Text size="sm">{wordsOf(action)}</Text> },
    { label: t("audit.subject"), cell: (entry) => <Subject entry={entry} /> },
    { label: "", width: 110, cell: (entry) => <Details entry={entry} /> },
  ];
  return (
    <Page title={t("audit.title")} lead={t("audit.lead")}>
      <Group align="flex-end">
        <AuditFilter filters={filters} />
        {filters.any ? null : (
          <SegmentedControl
            aria-label={t("audit.by")}
            value={by}
            onChange={(value) => filters.set("by", value === "all" ? "all" : null)}
            data={[
              { value: "people", label: t("audit.byPeople") },
              { value: "all", label: t("audit.byAll") },
            ]}
          />
        )}
      </Group>
      <PagedRows
        caption={t("audit.title")}
        columns={columns}
        keyOf={({ id }) => id}
        pages={pages}
        empty={<EmptyState icon={IconHistory} title={t("audit.emptyTitle")} text={t("audit.emptyText")} />}
      />
    </Page>
  );
}
