import { Anchor, Badge, Group, Stack, Text } from "@mantine/core";
import { IconRotateClockwise } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { z } from "zod";
import { adminApi } from "../../api/admin-api.ts";
import { usePages } from "../../api/queries.ts";
import { Bytes } from "../../components/bytes.tsx";
import { EmptyState } from "../../components/empty-state.tsx";
import { type Column, PagedRows } from "../../components/rows.tsx";
import { StatusBadge } from "../../components/status-badge.tsx";
import { When } from "../../components/when.tsx";

type Restore = z.output<typeof adminApi.listRestores.reply>["items"][number];
export type RestoreQuery = z.input<typeof adminApi.listRestores.query>;

type Props = {
  /** What they are narrowed to. */
  query: RestoreQuery;
  /** What is said when there are none; by default that nothing was restored yet. */
  none?: ReactNode;
};

/** Restores, newest first, of all backups or of one. */
export function RestoreRows({ query, none }: Props) {
  const { t } = useTranslation();
  const pages = usePages(adminApi.listRestores, query);
  return (
    <PagedRows
      caption={t("restores.title")}
      columns={useColumns(query.recordId === undefined)}
      keyOf={({ id }) => id}
      pages={pages}
      empty={
        none ?? (
          <EmptyState
            icon={IconRotateClockwise}
            title={t("restores.emptyTitle")}
            text={t("restores.emptyText")}
          />
        )
      }
    />
  );
}

function useColumns(ofAll: boolean): Column<Restore>[] {
  const { t } = useTranslation();
  const what = ({ selectedPaths, databases }: Restore) => {
    if (databases !== null) return t("restores.databases", { count: databases.length });
    if (selectedPaths !== null) return t("restores.paths", { count: selectedPaths.length });
    return t("restores.everything");
  };
  return [
    {
      label: t("restores.title"),
      cell: ({ id, dryRun }) => (
        <Group gap="xs">
          <Anchor component={Link} to={`/restores/${id}`} size="sm" fw={500} className="one-line">
            {t("restores.number", { id })}
          </Anchor>
          {dryRun ? (
            <Badge variant="default" miw="max-content">
              {t("restores.dryRun")}
            </Badge>
          ) : null}
        </Group>
      ),
    },
    { label: t("records.status"), cell: ({ status }) => <StatusBadge status={status} /> },
    ...(ofAll
      ? [
          {
            label: t("restores.record"),
            cell: ({ recordId }: Restore) => (
              <Anchor component={Link} to={`/records/${recordId}`} size="sm" className="one-line">
                {t("record.number", { id: recordId })}
              </Anchor>
            ),
          },
        ]
      : []),
    {
      label: t("restores.where"),
      cell: ({ nodeName, destination }) => (
        <Stack gap={2}>
          <Text size="sm" className="long-name">
            {nodeName ?? "–"}
          </Text>
          <Text size="xs" c="dimmed" className="long-name">
            {destination ?? t("restores.originalPlace")}
          </Text>
        </Stack>
      ),
    },
    { label: t("restores.what"), cell: what },
    { label: t("restores.restored"), cell: ({ bytes }) => <Bytes of={bytes} /> },
    { label: t("records.started"), cell: ({ createdAt }) => <When at={createdAt} /> },
  ];
}
