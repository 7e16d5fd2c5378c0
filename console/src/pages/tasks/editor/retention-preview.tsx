import { Badge, Group, Paper, ScrollArea, Stack, Text } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../../api/admin-api.ts";
import { useAnswer } from "../../../api/queries.ts";
import { ErrorNotice } from "../../../components/error-notice.tsx";
import { formatMoment } from "../../../components/when.tsx";

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
          {records.slice(0, SHOWN).map(({ recordId, at, keep, reasons }) => (
            <Group key={recordId} gap="xs" wrap="nowrap" align="baseline">
              <Badge size="sm" variant="light" tt="none" color={keep ? "green" : "orange"} miw={64}>
                {keep ? t("taskEditor.keeps") : t("taskEditor.goes")}
              </Badge>
              <Text size="xs" className="figures" style={{ flex: "none" }}>
                {formatMoment(at, i18n.language)}
              </Text>
              <Text size="xs" c="dimmed" truncate title={reasons.join(", ")}>
                {reasons.join(", ")}
              </Text>
            </Group>
          ))}
        </Stack>
      </ScrollArea.Autosize>
    </Paper>
  );
}

const SHOWN = 200;
