import { Anchor, Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { StatusBadge } from "../../components/status-badge.tsx";
import { When } from "../../components/when.tsx";
import type { Task } from "./task.ts";

/** How a task went the last time, and when; leads to that record. */
export function LastResult({ record }: { record: Task["lastRecord"] }) {
  const { t } = useTranslation();
  if (record === null) {
    return (
      <Text size="sm" c="dimmed" className="one-line">
        {t("tasks.neverRan")}
      </Text>
    );
  }
  return (
    <Anchor component={Link} to={`/records/${record.id}`} underline="never" c="inherit">
      <Stack gap={2} className="last-result">
        <StatusBadge status={record.status} />
        <Text size="xs" c="dimmed">
          <When at={record.finishedAt ?? record.createdAt} />
        </Text>
      </Stack>
    </Anchor>
  );
}
