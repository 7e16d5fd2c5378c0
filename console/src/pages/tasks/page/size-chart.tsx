import "@mantine/charts/styles.css";
import { AreaChart } from "@mantine/charts";
import { Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { formatBytes } from "../../../components/bytes.tsx";
import type { TaskRecord } from "./last-runs.tsx";

const FEWEST = 2;

/** How much the last successful backups read and stored, oldest first: one that shrinks shows at a glance. */
export function SizeChart({ records }: { records: TaskRecord[] }) {
  const { t, i18n } = useTranslation();
  const good = records.filter(({ status }) => status === "success").reverse();
  if (good.length < FEWEST) {
    return (
      <Text size="sm" c="dimmed">
        {t("taskPage.tooFew")}
      </Text>
    );
  }
  const day = new Intl.DateTimeFormat(i18n.language, { dateStyle: "short", timeStyle: "short" });
  const data = good.map(({ createdAt, sizeBytes, sourceBytes }) => ({
    at: day.format(createdAt),
    read: sourceBytes ?? 0,
    stored: sizeBytes,
  }));
  return (
    <AreaChart
      h={180}
      data={data}
      dataKey="at"
      withLegend
      withDots={false}
      curveType="linear"
      strokeWidth={2}
      fillOpacity={0.12}
      valueFormatter={(bytes) => formatBytes(bytes, i18n.language)}
      xAxisProps={{ minTickGap: 60 }}
      yAxisProps={{ width: 72 }}
      series={[
        { name: "read", label: t("taskPage.read"), color: "gray.6" },
        { name: "stored", label: t("taskPage.stored"), color: "blue.6" },
      ]}
    />
  );
}
