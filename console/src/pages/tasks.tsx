import { Anchor, Badge, Button, Group, Text } from "@mantine/core";
import { IconListCheck, IconPlus } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { adminApi } from "../api/admin-api.ts";
import type { CallInput } from "../api/call.ts";
import { usePages } from "../api/queries.ts";
import { EmptyState } from "../components/empty-state.tsx";
import { NoneMatches } from "../components/none-matches.tsx";
import { Page } from "../components/page.tsx";
import { type Column, PagedRows } from "../components/rows.tsx";
import { ScheduleWords } from "../components/schedule-words.tsx";
import { useFilters } from "../components/use-filters.ts";
import { When } from "../components/when.tsx";
import { useMe } from "../session.tsx";
import { filterNames, TaskFilters } from "./tasks/filters.tsx";
import { LastResult } from "./tasks/last-result.tsx";
import { SourceWords } from "./tasks/source-words.tsx";
import { Tags } from "./tasks/tags.tsx";
import type { Task } from "./tasks/task.ts";
import { TaskRowActions } from "./tasks/task-menu.tsx";

type Query = NonNullable<CallInput<typeof adminApi.listTasks>["query"]>;

/** All backup tasks, with what they read, when, and how it went. */
export function Tasks() {
  const { t } = useTranslation();
  const me = useMe();
  const filters = useFilters(filterNames);
  const pages = usePages(adminApi.listTasks, filters.all as Query);
  return (
    <Page title={t("tasks.title")} lead={t("tasks.lead")} actions={me.may("operator") ? <AddTask /> : null}>
      <TaskFilters filters={filters} />
      <PagedRows
        caption={t("tasks.title")}
        columns={useColumns()}
        keyOf={({ id }) => id}
        pages={pages}
        empty={
          filters.any ? (
            <NoneMatches
              title={t("tasks.noneMatchesTitle")}
              text={t("tasks.noneMatchesText")}
              clear={filters.clear}
            />
          ) : (
            <NoneYet />
          )
        }
      />
    </Page>
  );
}

function useColumns(): Column<Task>[] {
  const { t } = useTranslation();
  const me = useMe();
  const columns: Column<Task>[] = [
    { label: t("common.name"), width: "25%", cell: (task) => <NameAndTags task={task} /> },
    { label: t("tasks.source"), width: "20%", cell: ({ source }) => <SourceWords source={source} /> },
    { label: t("tasks.node"), width: "17%", cell: (task) => <Place task={task} /> },
    { label: t("tasks.schedule"), width: "18%", cell: (task) => <Schedule task={task} /> },
    { label: t("tasks.lastResult"), cell: ({ lastRecord }) => <LastResult record={lastRecord} /> },
  ];
  return me.may("operator")
    ? [...columns, { label: "", width: 90, cell: (task) => <TaskRowActions task={task} /> }]
    : columns;
}

function NameAndTags({ task: { id, name, tags } }: { task: Task }) {
  return (
    <Group gap={6}>
      <Anchor component={Link} to={`/tasks/${id}`} className="long-name" fw={500} size="sm">
        {name}
      </Anchor>
      <Tags tags={tags} />
    </Group>
  );
}

function Place({ task: { nodeId, nodeName, poolLabel } }: { task: Task }) {
  const { t } = useTranslation();
  if (poolLabel !== null) return t("tasks.pool", { label: poolLabel });
  return (
    <Anchor component={Link} to={`/nodes/${nodeId}`} size="sm" className="long-name">
      {nodeName ?? nodeId}
    </Anchor>
  );
}

function Schedule({ task: { schedule, timeZone, nextRunAt, enabled } }: { task: Task }) {
  const { t } = useTranslation();
  return (
    <Text size="sm" component="div">
      <Group gap={6}>
        <span>
          {schedule === null ? t("tasks.byHand") : <ScheduleWords schedule={schedule} timeZone={timeZone} />}
        </span>
        {enabled ? null : (
          <Badge color="orange" variant="light" tt="none">
            {t("tasks.paused")}
          </Badge>
        )}
      </Group>
      {nextRunAt === null ? null : (
        <Text size="xs" c="dimmed">
          {t("tasks.next")} <When at={nextRunAt} timeZone={timeZone} />
        </Text>
      )}
    </Text>
  );
}

function AddTask() {
  const { t } = useTranslation();
  return (
    <Button component={Link} to="/tasks/new" leftSection={<IconPlus size={16} aria-hidden />}>
      {t("tasks.add")}
    </Button>
  );
}

function NoneYet() {
  const { t } = useTranslation();
  const me = useMe();
  return (
    <EmptyState
      icon={IconListCheck}
      title={t("tasks.emptyTitle")}
      text={t("tasks.emptyText")}
      action={me.may("operator") ? <AddTask /> : null}
    />
  );
}
