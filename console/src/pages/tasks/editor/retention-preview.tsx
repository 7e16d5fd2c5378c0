import { Badge, Group, Paper, ScrollArea, Stack, Text } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useTranslation } from "react-i18next";
import type { z } from "zod";
import { adminApi } from "../../../api/admin-api.ts";
import { useAnswer } from "../../../api/queries.ts";
import { ErrorNotice } from "../../../components/error-notice.tsx";
import { formatMoment } from "../../../components/when.tsx";
import type { T } from "../../../i18n/i18n.ts";

type KeptBy = z.output<typeof adminApi.previewRetention.reply>["records"][number]["keptBy"][number];

/** What these rules would keep and remove of the backups that a task has now. */
export function RetentionPreview({ taskId, rules }: { taskId: number; rules: Record<string, number> }) {
  const { t, i18n } = useTranslation();
  const [asked] = useDebouncedValue(rules, 400);
  const hasRules = Object.keys(asked).length > 0;
  const preview = useAnswer(
    adminApi.previewRetention,
    { params: { id: String(taskId) }, query: asked },
    { enabled: hasRules },
  );
  if (!hasRules) return null;
  if (preview.error) return <ErrorNotice error={preview.error} />;
  const records = preview.data?.records ?? [];
  const goes = records.filter(({ keep }) => !keep).length;
  if (records.length === 0) return null;
  return (
    <Paper withBorder p="sm" aria-live="polite">
      <Text size="sm" fw={500}>
        {t("taskEditor.retentionKeeps", { keeps: records.length - goes, goes })}
      </Text>
      <ScrollArea.Autosize mah={220} mt="xs" type="auto" viewportProps={{ tabIndex: 0 }}>
        <Stack gap={4}>
          {records.slice(0, SHOWN).map(({ recordId, at, keep, keptBy }) => (
            <Group key={recordId} gap="xs" wrap="nowrap" align="baseline">
              <Badge size="sm" variant="light" tt="none" color={keep ? "green" : "orange"} miw={64}>
                {keep ? t("taskEditor.keeps") : t("taskEditor.goes")}
              </Badge>
              <Text size="xs" className="figures" style={{ flex: "none" }}>
                {formatMoment(at, i18n.language)}
              </Text>
              <Text size="xs" c="dimmed" truncate title={whyOf(t, keptBy)}>
                {whyOf(t, keptBy)}
              </Text>
            </Group>
          ))}
        </Stack>
      </ScrollArea.Autosize>
    </Paper>
  );
}

const SHOWN = 200;

function whyOf(t: T, keptBy: KeptBy[]): string {
  if (keptBy.length === 0) return t("taskEditor.keptByNone");
  return keptBy.map(({ rule, value }) => t(`taskEditor.kept_${rule}`, { value })).join(t("common.comma"));
}
