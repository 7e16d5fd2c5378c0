import { Anchor, Group, Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { When } from "../../components/when.tsx";
import type { Overview } from "./overview.ts";
import { Panel } from "./panel.tsx";

/** What runs next, the soonest first. */
export function NextRuns({ overview: { nextRuns } }: { overview: Overview }) {
  const { t } = useTranslation();
  return (
    <Panel title={t("dashboard.nextRuns")} all="/tasks">
      {nextRuns.length === 0 ? <Text c="dimmed">{t("dashboard.noNextRuns")}</Text> : null}
      <Stack gap="sm" component="ul" className="plain-list">
        {nextRuns.map(({ taskId, name, at, nodeName }) => (
          <Group key={taskId} component="li" justify="space-between" wrap="nowrap" gap="sm" align="baseline">
            <div>
              <Anchor component={Link} to={`/tasks/${taskId}`} size="sm" className="long-name">
                {name}
              </Anchor>
              {nodeName === null ? null : (
                <Text size="xs" c="dimmed" className="long-name">
                  {nodeName}
                </Text>
              )}
            </div>
            <Text size="sm" component="div" className="one-line">
              <When at={at} />
            </Text>
          </Group>
        ))}
      </Stack>
    </Panel>
  );
}
