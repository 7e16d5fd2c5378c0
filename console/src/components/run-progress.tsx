import { Group, Loader, Paper, Progress, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Progress as Report } from "../../../protocol/objects.ts";
import type { T } from "../i18n/i18n.ts";
import { Bytes, formatBytes } from "./bytes.tsx";
import { formatDuration } from "./duration.tsx";
import { useNow } from "./use-now.ts";
import { useRate } from "./use-rate.ts";

type Props = {
  progress: Report | null;
  startedAt: number | null;
  /** What of the report says how far it is, and of how much; null: nobody knows. */
  done: number | null;
  total: number | null;
  /** `total` is what it was last time. */
  isEstimate?: boolean;
};

/** How far a run is that goes on: its phase, how much, how quickly, and how long still. */
export function RunProgress({ progress, startedAt, done, total, isEstimate = false }: Props) {
  const { t, i18n } = useTranslation();
  const now = useNow(1000);
  const rate = useRate(done);
  const share = done !== null && total !== null && total > 0 ? Math.min(done / total, 1) : null;
  const leftMs = rate && share !== null && total !== null ? ((1 - share) * total * 1000) / rate : null;
  return (
    <Paper withBorder p="md">
      <Stack gap="sm">
        <Group justify="space-between" wrap="nowrap">
          <Group gap="xs" wrap="nowrap">
            <Loader size="xs" aria-hidden />
            <Title order={2} size="h5">
              {phaseOf(t, progress, startedAt)}
            </Title>
          </Group>
          {share === null ? null : (
            <Text fw={600} className="figures">
              {new Intl.NumberFormat(i18n.language, { style: "percent" }).format(share)}
            </Text>
          )}
        </Group>
        <Progress
          value={share === null ? 100 : share * 100}
          animated
          striped={share === null}
          aria-label={t("progress.title")}
        />
        {progress === null ? (
          <Text size="sm" c="dimmed">
            {startedAt === null ? t("progress.waitingText") : null}
          </Text>
        ) : (
          <SimpleGrid component="dl" cols={{ base: 2, sm: 3, md: 6 }} spacing="sm" m={0}>
            <Figure label={t("progress.read")} value={<Bytes of={progress.sourceBytes} />} />
            <Figure label={t("progress.written")} value={<Bytes of={progress.artifactBytes} />} />
            <Figure
              label={t("progress.rate")}
              value={
                rate === null ? "–" : t("progress.perSecond", { amount: formatBytes(rate, i18n.language) })
              }
            />
            <Figure
              label={t("progress.entries")}
              value={new Intl.NumberFormat(i18n.language).format(progress.entries)}
            />
            <Figure
              label={t("progress.elapsed")}
              value={startedAt === null ? "–" : formatDuration(wholeSeconds(now - startedAt), i18n.language)}
            />
            <Figure
              label={t("progress.left")}
              value={
                leftMs === null
                  ? "–"
                  : t("progress.about", { time: formatDuration(wholeSeconds(leftMs), i18n.language) })
              }
            />
          </SimpleGrid>
        )}
        {progress?.currentPath ? (
          <Text size="xs" c="dimmed" ff="monospace" truncate title={progress.currentPath}>
            {progress.currentPath}
          </Text>
        ) : null}
        {isEstimate && share !== null ? (
          <Text size="xs" c="dimmed">
            {t("progress.estimate")}
          </Text>
        ) : null}
      </Stack>
    </Paper>
  );
}

const wholeSeconds = (ms: number) => Math.max(1000, Math.round(ms / 1000) * 1000);

function phaseOf(t: T, progress: Report | null, startedAt: number | null) {
  if (progress) return t(`progress.${progress.phase}`);
  return startedAt === null ? t("progress.waiting") : t("progress.starting");
}

function Figure({ label, value }: { label: string; value: ReactNode }) {
  return (
    <div>
      <Text component="dt" size="xs" c="dimmed">
        {label}
      </Text>
      <Text component="dd" m={0} fw={600} className="figures">
        {value}
      </Text>
    </div>
  );
}
