import { Anchor } from "@mantine/core";
import { IconArchive, IconListCheck, IconTerminal2 } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { adminApi } from "../../api/admin-api.ts";
import { usePages } from "../../api/queries.ts";
import { Bytes } from "../../components/bytes.tsx";
import { EmptyState } from "../../components/empty-state.tsx";
import { PagedRows } from "../../components/rows.tsx";
import { StatusBadge } from "../../components/status-badge.tsx";
import { When } from "../../components/when.tsx";
import { useMe } from "../../session.tsx";
import { useCommandColumns } from "../commands/command-columns.tsx";
import { LastResult } from "../tasks/last-result.tsx";
import { SourceWords } from "../tasks/source-words.tsx";
import { CreateTask } from "./create-task.tsx";
import type { NodeDetail } from "./node.ts";

type Props = { node: NodeDetail };

/** The tasks that are bound to a node. */
export function NodeTasks({ node }: Props) {
  const { t } = useTranslation();
  const me = useMe();
  const pages = usePages(adminApi.listTasks, { nodeId: node.id });
  return (
    <PagedRows
      caption={t("nav.tasks")}
      keyOf={({ id }) => id}
      pages={pages}
      columns={[
        {
          label: t("common.name"),
          cell: ({ id, name }) => (
            <Anchor component={Link} to={`/tasks/${id}`} className="long-name" fw={500} size="sm">
              {name}
            </Anchor>
          ),
        },
        { label: t("tasks.source"), cell: ({ source }) => <SourceWords source={source} /> },
        { label: t("tasks.lastResult"), cell: ({ lastRecord }) => <LastResult record={lastRecord} /> },
        {
          label: t("tasks.next"),
          cell: ({ nextRunAt, timeZone }) =>
            nextRunAt === null ? "–" : <When at={nextRunAt} timeZone={timeZone} />,
        },
      ]}
      empty={
        <EmptyState
          icon={IconListCheck}
          title={t("nodes.noTasksTitle")}
          text={t("nodes.noTasksText")}
          action={me.may("operator") && node.status !== "pending" ? <CreateTask nodeId={node.id} /> : null}
        />
      }
    />
  );
}

/** What was backed up on a node, newest first. */
export function NodeRecords({ node }: Props) {
  const { t } = useTranslation();
  const pages = usePages(adminApi.listRecords, { nodeId: node.id });
  return (
    <PagedRows
      caption={t("nav.records")}
      keyOf={({ id }) => id}
      pages={pages}
      columns={[
        {
          label: t("nodes.record"),
          cell: ({ id, taskName }) => (
            <Anchor component={Link} to={`/records/${id}`} className="long-name" size="sm">
              {taskName} · {id}
            </Anchor>
          ),
        },
        { label: t("nodes.status"), cell: ({ status }) => <StatusBadge status={status} /> },
        { label: t("nodes.size"), cell: ({ sizeBytes }) => <Bytes of={sizeBytes || null} /> },
        { label: t("nodes.began"), cell: ({ createdAt }) => <When at={createdAt} /> },
      ]}
      empty={
        <EmptyState icon={IconArchive} title={t("nodes.noRecordsTitle")} text={t("nodes.noRecordsText")} />
      }
    />
  );
}

/** What a node was asked to do, open first. */
export function NodeCommands({ node }: Props) {
  const { t } = useTranslation();
  const pages = usePages(adminApi.listCommands, { nodeId: node.id });
  return (
    <PagedRows
      caption={t("nav.commands")}
      keyOf={({ id }) => id}
      pages={pages}
      columns={useCommandColumns({ withNode: false })}
      empty={
        <EmptyState icon={IconTerminal2} title={t("commands.emptyTitle")} text={t("commands.emptyText")} />
      }
    />
  );
}
