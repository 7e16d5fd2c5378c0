import { Alert, Anchor, Button, Grid, Group, Stack, Text } from "@mantine/core";
import { IconAlertTriangle, IconPencil, IconPlayerPause, IconPlayerPlay } from "@tabler/icons-react";
import { lazy, Suspense } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useParams } from "react-router";
import { adminApi } from "../../api/admin-api.ts";
import { useAnswer, usePages } from "../../api/queries.ts";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Page } from "../../components/page.tsx";
import { Section } from "../../components/section.tsx";
import { Waiting } from "../../components/waiting.tsx";
import { useMe } from "../../session.tsx";
import { LastRuns } from "./page/last-runs.tsx";
import { NextRuns } from "./page/next-runs.tsx";
import { Summary } from "./page/summary.tsx";
import { Tags } from "./tags.tsx";
import type { TaskDetail } from "./task.ts";
import { TaskMenu } from "./task-menu.tsx";
import { useTaskActions } from "./use-task-actions.tsx";

const SizeChart = lazy(async () => ({ default: (await import("./page/size-chart.tsx")).SizeChart }));

const RECORDS = 60;

/** All about one task: what it does, how it went, and when it comes next. */
export function TaskPage() {
  const { t } = useTranslation();
  const { id = "" } = useParams();
  const task = useAnswer(adminApi.getTask, { params: { id } });
  if (task.isPending) return <Waiting />;
  if (!task.data) {
    return (
      <Page title={t("tasks.title")}>
        <ErrorNotice error={task.error} retry={() => task.refetch()} />
      </Page>
    );
  }
  return <Shown task={task.data} />;
}

function Shown({ task }: { task: TaskDetail }) {
  const { t } = useTranslation();
  const me = useMe();
  const records = usePages(adminApi.listRecords, { taskId: task.id, limit: RECORDS });
  const known = records.data?.pages[0]?.items ?? [];
  return (
    <Page
      title={task.name}
      lead={<Tags tags={task.tags} />}
      actions={me.may("operator") ? <Actions task={task} /> : null}
    >
      <Notices task={task} />
      <Grid gap="md">
        <Grid.Col span={{ base: 12, lg: 7 }}>
          <Section title={t("taskPage.summary")}>
            <Summary task={task} />
          </Section>
        </Grid.Col>
        <Grid.Col span={{ base: 12, lg: 5 }}>
          <Stack gap="md">
            <Section title={t("taskPage.next")}>
              <NextRuns task={task} />
            </Section>
            <Section title={t("taskPage.sizes")}>
              <Suspense fallback={<Waiting />}>
                <SizeChart records={known} />
              </Suspense>
            </Section>
          </Stack>
        </Grid.Col>
      </Grid>
      <LastRuns task={task} records={records} />
    </Page>
  );
}

function Actions({ task }: { task: TaskDetail }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { run, isStarting } = useTaskActions(task);
  return (
    <>
      <Button leftSection={<IconPlayerPlay size={16} aria-hidden />} loading={isStarting} onClick={run}>
        {t("tasks.run")}
      </Button>
      <Button
        variant="default"
        component={Link}
        to={`/tasks/${task.id}/edit`}
        leftSection={<IconPencil size={16} aria-hidden />}
      >
        {t("tasks.edit")}
      </Button>
      <TaskMenu task={task} gone={() => navigate("/tasks")} />
    </>
  );
}

/** What wants attention before anything else. */
function Notices({ task }: { task: TaskDetail }) {
  const { t } = useTranslation();
  const me = useMe();
  const { setEnabled } = useTaskActions(task);
  const { lastRecord } = task;
  const hasFailed = lastRecord?.status === "failed" || lastRecord?.status === "missed";
  return (
    <>
      {task.enabled ? null : (
        <Alert color="orange" icon={<IconPlayerPause aria-hidden />}>
          <Group justify="space-between">
            <Text size="sm">{t("taskPage.paused")}</Text>
            {me.may("operator") ? (
              <Button size="xs" variant="default" onClick={() => setEnabled(true)}>
                {t("tasks.resume")}
              </Button>
            ) : null}
          </Group>
        </Alert>
      )}
      {hasFailed && lastRecord ? (
        <Alert color="red" icon={<IconAlertTriangle aria-hidden />} title={t("taskPage.lastFailed")}>
          <Text size="sm" className="long-name">
            {lastRecord.errorMessage}{" "}
            <Anchor component={Link} to={`/records/${lastRecord.id}`} size="sm">
              {t("taskPage.look")}
            </Anchor>
          </Text>
        </Alert>
      ) : null}
    </>
  );
}
