import "@mantine/charts/styles.css";
import { BarChart } from "@mantine/charts";
import { SimpleGrid, Table, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { formatBytes } from "../../components/bytes.tsx";
import type { Overview } from "./overview.ts";
import { Panel } from "./panel.tsx";

type Days = Overview["days"];
const HEIGHT = 200;

/** The last thirty days: how runs went, and how much was stored; each as a chart, a sentence and a table. */
export function DayCharts({ days }: { days: Days }) {
  const { t, i18n } = useTranslation();
  const day = new Intl.DateTimeFormat(i18n.language, { month: "short", day: "numeric", timeZone: "UTC" });
  const number = new Intl.NumberFormat(i18n.language);
  const data = days.map((one) => ({ ...one, day: day.format(one.at) }));
  const sum = (key: "succeeded" | "failed" | "missed" | "storedBytes") =>
    days.reduce((total, one) => total + one[key], 0);
  const bytes = (amount: number) => formatBytes(amount, i18n.language);
  const outcomes = t("dashboard.runsSummary", {
    succeeded: sum("succeeded"),
    failed: sum("failed"),
    missed: sum("missed"),
  });
  const most = Math.max(...days.map(({ succeeded, failed, missed }) => succeeded + failed + missed));
  const stored = t("dashboard.storedSummary", { bytes: bytes(sum("storedBytes")) });
  const axes = {
    h: HEIGHT,
    data,
    dataKey: "day",
    tickLine: "none",
    gridAxis: "x",
    maxBarWidth: 24,
    xAxisProps: { minTickGap: 24 },
    barProps: { isAnimationActive: false },
    // The sentence and the table say the same to who does not see it.
    barChartProps: { accessibilityLayer: false },
  } as const;
  return (
    <SimpleGrid cols={{ base: 1, lg: 2 }} spacing="lg">
      <Panel title={t("dashboard.runs")} all="/records">
        <Figure
          summary={outcomes}
          chart={
            <BarChart
              {...axes}
              type="stacked"
              valueFormatter={number.format}
              yAxisProps={{ allowDecimals: false, width: 20 + 8 * number.format(most).length }}
              series={[
                { name: "succeeded", label: t("dashboard.succeeded"), color: "teal.6" },
                { name: "failed", label: t("dashboard.failed"), color: "red.6" },
                { name: "missed", label: t("dashboard.missedRuns"), color: "orange.5" },
              ]}
            />
          }
          head={[t("dashboard.succeeded"), t("dashboard.failed"), t("dashboard.missedRuns")]}
          rows={data.map(({ day: name, succeeded, failed, missed }) => [
            name,
            ...[succeeded, failed, missed].map((count) => number.format(count)),
          ])}
        />
      </Panel>
      <Panel title={t("dashboard.stored")}>
        <Figure
          summary={stored}
          chart={
            <BarChart
              {...axes}
              valueFormatter={bytes}
              yAxisProps={{ width: 72 }}
              series={[{ name: "storedBytes", label: t("dashboard.stored"), color: "brand.6" }]}
            />
          }
          head={[t("dashboard.stored")]}
          rows={data.map(({ day: name, storedBytes }) => [name, bytes(storedBytes)])}
        />
      </Panel>
    </SimpleGrid>
  );
}

type FigureProps = { summary: string; chart: ReactNode; head: string[]; rows: (string | number)[][] };

function Figure({ summary, chart, head, rows }: FigureProps) {
  const { t } = useTranslation();
  return (
    <>
      <Text size="sm" c="dimmed" mb="sm">
        {summary} · {t("dashboard.daysAreUtc")}
      </Text>
      <div aria-hidden className="clipped">
        {chart}
      </div>
      <details className="as-table">
        <summary>{t("dashboard.asTable")}</summary>
        <Table verticalSpacing={4}>
          <Table.Thead>
            <Table.Tr>
              {[t("dashboard.day"), ...head].map((label) => (
                <Table.Th key={label} scope="col">
                  {label}
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.toReversed().map(([name, ...values]) => (
              <Table.Tr key={name}>
                <Table.Th scope="row" fw={400}>
                  {name}
                </Table.Th>
                {values.map((value, index) => (
                  <Table.Td key={head[index]} className="figures">
                    {value}
                  </Table.Td>
                ))}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </details>
    </>
  );
}
