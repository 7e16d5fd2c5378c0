import { Grid, Stack } from "@mantine/core";
import { lazy, Suspense } from "react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../api/admin-api.ts";
import { useAnswer } from "../api/queries.ts";
import { ErrorNotice } from "../components/error-notice.tsx";
import { Page } from "../components/page.tsx";
import { Waiting } from "../components/waiting.tsx";
import { Attention } from "./dashboard/attention.tsx";
import { FirstSteps } from "./dashboard/first-steps.tsx";
import { NextRuns } from "./dashboard/next-runs.tsx";
import type { Overview } from "./dashboard/overview.ts";
import { RecentRecords } from "./dashboard/recent-records.tsx";
import { StorageUse } from "./dashboard/storage-use.tsx";
import { TasksByNode } from "./dashboard/tasks-by-node.tsx";
import { Verdict } from "./dashboard/verdict.tsx";

// The charts' library is a third as large as all the rest of the console.
const DayCharts = lazy(async () => ({ default: (await import("./dashboard/day-charts.tsx")).DayCharts }));

/** Is everything safe? */
export function Dashboard() {
  const { t } = useTranslation();
  const overview = useAnswer(adminApi.dashboard, {});
  return (
    <Page
      title={t("nav.dashboard")}
      lead={overview.data && !isNew(overview.data) ? t("dashboard.lead", overview.data.totals) : null}
    >
      {overview.isPending ? <Waiting /> : null}
      {overview.data ? null : <ErrorNotice error={overview.error} retry={() => overview.refetch()} />}
      {overview.data ? <Content overview={overview.data} /> : null}
    </Page>
  );
}

function Content({ overview }: { overview: Overview }) {
  const { begun } = overview;
  const empty = isNew(overview);
  return (
    <Stack gap="lg">
      {begun.backedUp ? null : <FirstSteps overview={overview} />}
      {empty ? null : <Verdict overview={overview} />}
      <Attention overview={overview} />
      {begun.backedUp ? (
        <Suspense fallback={<Waiting />}>
          <DayCharts days={overview.days} />
        </Suspense>
      ) : null}
      {empty ? null : (
        <Grid gap="lg">
          <Grid.Col span={{ base: 12, lg: 8 }}>
            <RecentRecords overview={overview} />
          </Grid.Col>
          <Grid.Col span={{ base: 12, lg: 4 }}>
            <NextRuns overview={overview} />
          </Grid.Col>
          <Grid.Col span={{ base: 12, md: 6 }}>
            <StorageUse overview={overview} />
          </Grid.Col>
          <Grid.Col span={{ base: 12, md: 6 }}>
            <TasksByNode overview={overview} />
          </Grid.Col>
        </Grid>
      )}
    </Stack>
  );
}

const isNew = ({ totals }: Overview) => totals.nodes + totals.tasks + totals.targets === 0;
