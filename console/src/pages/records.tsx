import { Anchor, Badge, Group, Stack, Text } from "@mantine/core";
import { IconArchive } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { z } from "zod";
import { adminApi } from "../api/admin-api.ts";
import { usePages } from "../api/queries.ts";
import { Bytes } from "../components/bytes.tsx";
import { Duration } from "../components/duration.tsx";
import { EmptyState } from "../components/empty-state.tsx";
import { NoneMatches } from "../components/none-matches.tsx";
import { Page } from "../components/page.tsx";
import { type Column, PagedRows } from "../components/rows.tsx";
import { StatusBadge } from "../components/status-badge.tsx";
import { When } from "../components/when.tsx";
import { FilterBar } from "./records/filter-bar.tsx";
import { useRecordFilters } from "./records/use-record-filters.ts";
import { VerifiedMark } from "./records/verified-mark.tsx";

type BackupRecord = z.output<typeof adminApi.listRecords.reply>["items"][number];

/** Every backup that was made or tried, newest first. */
export function Records() {
  const { t } = useTranslation();
  const { filters, query } = useRecordFilters();
  const pages = usePages(adminApi.listRecords, query);
  return (
    <Page title={t("records.title")} lead={t("records.lead")}>
      <FilterBar filters={filters} />
      <PagedRows
        caption={t("records.title")}
        columns={useColumns()}
        keyOf={({ id }) => id}
        pages={pages}
        empty={
          filters.any ? (
            <NoneMatches
              title={t("records.noneFitsTitle")}
              text={t("records.noneFitsText")}
              clear={filters.clear}
            />
          ) : (
            <EmptyState icon={IconArchive} title={t("records.emptyTitle")} text={t("records.emptyText")} />
          )
        }
      />
    </Page>
  );
}

function useColumns(): Column<BackupRecord>[] {
  const { t } = useTranslation();
  return [
    { label: t("records.record"), cell: (record) => <Name record={record} /> },
    { label: t("records.status"), cell: (record) => <State record={record} /> },
    {
      label: t("records.node"),
      cell: ({ nodeId, nodeName }) =>
        nodeId === null || nodeName === null ? (
          "–"
        ) : (
          <Anchor component={Link} to={`/nodes/${nodeId}`} size="sm" className="long-name">
            {nodeName}
          </Anchor>
        ),
    },
    { label: t("records.started"), cell: ({ createdAt }) => <When at={createdAt} /> },
    {
      label: t("records.took"),
      cell: ({ startedAt, finishedAt }) => (
        <Duration ms={startedAt === null || finishedAt === null ? null : finishedAt - startedAt} />
      ),
    },
    {
      label: t("records.size"),
      cell: ({ sizeBytes }) => <Bytes of={sizeBytes === 0 ? null : sizeBytes} />,
    },
    {
      label: t("records.verified"),
      cell: ({ status, verifiedGrade }) =>
        status === "success" ? <VerifiedMark grade={verifiedGrade} /> : "–",
    },
  ];
}

function Name({ record: { id, taskName, kind } }: { record: BackupRecord }) {
  const { t } = useTranslation();
  return (
    <Stack gap={2}>
      <Anchor component={Link} to={`/records/${id}`} size="sm" fw={500} className="long-name">
        {taskName}
      </Anchor>
      <Group gap={6}>
        <Text size="xs" c="dimmed" className="figures">
          {`#${id}`}
        </Text>
        {kind === "differential" ? (
          <Text size="xs" c="dimmed">
            {t("records.differential")}
          </Text>
        ) : null}
      </Group>
    </Stack>
  );
}

function State({ record: { status, warningCount, runs } }: { record: BackupRecord }) {
  const { t } = useTranslation();
  return (
    <Group gap={6}>
      <StatusBadge status={status} />
      {warningCount > 0 ? (
        <Badge color="orange" variant="light" miw="max-content">
          {t("records.warningCount", { count: warningCount })}
        </Badge>
      ) : null}
      {runs > 1 ? (
        <Badge variant="default" miw="max-content">
          {t("records.runs", { count: runs })}
        </Badge>
      ) : null}
    </Group>
  );
}
