import { Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../../api/admin-api.ts";
import { useAnswer } from "../../../api/queries.ts";
import { ErrorNotice } from "../../../components/error-notice.tsx";
import { ScheduleWords } from "../../../components/schedule-words.tsx";
import { When } from "../../../components/when.tsx";
import type { TaskDetail } from "../task.ts";

/** When it runs by itself: in words, and the next five times in its own zone. */
export function NextRuns({ task: { schedule, timeZone, enabled } }: { task: TaskDetail }) {
  const { t, i18n } = useTranslation();
  const preview = useAnswer(
    adminApi.previewSchedule,
    { query: { schedule: schedule ?? "", timeZone } },
    { enabled: schedule !== null && enabled, everyMs: 60_000 },
  );
  if (schedule === null) return <Text size="sm">{t("taskPage.byHand")}</Text>;
  const format = new Intl.DateTimeFormat(i18n.language, {
    dateStyle: "medium",
    timeStyle: "short",
    timeZone,
  });
  return (
    <>
      <Text size="sm" fw={500} mb="xs">
        <ScheduleWords schedule={schedule} timeZone={timeZone} />
      </Text>
      <ErrorNotice error={preview.error} />
      {enabled ? (
        <ol className="next-runs">
          {(preview.data?.runs ?? []).map((at) => (
            <li key={at}>
              {format.format(at)}{" "}
              <Text span size="xs" c="dimmed">
                <When at={at} timeZone={timeZone} />
              </Text>
            </li>
          ))}
        </ol>
      ) : (
        <Text size="sm" c="dimmed">
          {t("taskPage.notWhilePaused")}
        </Text>
      )}
    </>
  );
}
