import { Anchor, Group, Stack, Text, Title } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { z } from "zod";
import type { adminApi } from "../../../../../protocol/admin-api.ts";
import type { Paged } from "../../../api/queries.ts";
import { Bytes } from "../../../components/bytes.tsx";
import { Duration } from "../../../components/duration.tsx";
import { ErrorNotice } from "../../../components/error-notice.tsx";
import { type Column, Rows } from "../../../components/rows.tsx";
import { StatusBadge } from "../../../components/status-badge.tsx";
import { When } from "../../../components/when.tsx";
import type { TaskDetail } from "../task.ts";

export type TaskRecord = z.output<typeof adminApi.listRecords.reply>["items"][number];

const SHOWN = 10;

/** The newest runs of a task; all of them are on the page of records. */
export function LastRuns({ task, records }: { task: TaskDetail; records: Paged<TaskRecord> }) {
  const { t } = useTranslation();
  const columns = useColumns(task.timeZone);
  const items = records.data?.pages[0]?.items ?? [];
  return (
    <Stack gap="sm">
      <Group justify="space-between">
        <Title order={2} size="h4">
          {t("taskPage.lastRuns")}
        </Title>
        {items.length > 0 ? (
          <Anchor component={Link} to={`/records?taskId=${task.id}`} size="sm">
            {t("taskPage.allRecords")}
          </Anchor>
        ) : null}
      </Group>
      <ErrorNotice error={records.error} retry={() => records.refetch()} />
      {records.isSuccess && items.length === 0 ? (
        <Text size="sm" c="dimmed">
          {t("taskPage.noRuns")}
        </Text>
      ) : null}
      {items.length > 0 ? (
        <Rows
          caption={t("taskPage.lastRuns")}
          columns={columns}
          items={items.slice(0, SHOWN)}
          keyOf={({ id }) => id}
        />
      ) : null}
    </Stack>
  );
}

function useColumns(timeZone: string): Column<TaskRecord>[] {
  const { t } = useTranslation();
  return [
    {
      label: t("taskPage.record"),
      cell: ({ id }) => (
        <Anchor component={Link} to={`/records/${id}`} size="sm" className="figures">
          #{id}
        </Anchor>
      ),
    },
    { label: t("taskPage.result"), cell: (record) => <Result record={record} /> },
    {
      label: t("taskPage.started"),
      cell: ({ startedAt, createdAt }) => <When at={startedAt ?? createdAt} timeZone={timeZone} />,
    },
    {
      label: t("taskPage.took"),
      cell: ({ startedAt, finishedAt }) => (
        <Duration ms={startedAt === null || finishedAt === null ? null : finishedAt - startedAt} />
      ),
    },
    {
      label: t("taskPage.read"),
      cell: ({ sourceBytes }) => <Bytes of={sourceBytes} />,
    },
    {
      label: t("taskPage.stored"),
      cell: ({ sizeBytes, status }) => <Bytes of={status === "success" ? sizeBytes : null} />,
    },
  ];
}

function Result({ record: { status, warningCount, errorMessage } }: { record: TaskRecord }) {
  const { t } = useTranslation();
  return (
    <Stack gap={2} className="last-result">
      <StatusBadge status={status} />
      {warningCount > 0 ? (
        <Text size="xs" c="dimmed">
          {t("taskPage.warnings", { count: warningCount })}
        </Text>
      ) : null}
      {errorMessage && status !== "success" ? (
        <Text size="xs" c="dimmed" lineClamp={2} maw={340} style={{ whiteSpace: "normal" }}>
          {errorMessage}
        </Text>
      ) : null}
    </Stack>
  );
}
