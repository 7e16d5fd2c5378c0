import { Anchor, Group, Progress, Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { Overview } from "./overview.ts";
import { Panel } from "./panel.tsx";

/** Which nodes have the most tasks. */
export function TasksByNode({ overview: { tasksByNode } }: { overview: Overview }) {
  const { t } = useTranslation();
  const most = Math.max(1, ...tasksByNode.map(({ tasks }) => tasks));
  return (
    <Panel title={t("dashboard.tasksByNode")} all="/nodes">
      <Stack gap="md" component="ul" className="plain-list">
        {tasksByNode.map(({ nodeId, name, tasks }) => (
          <li key={nodeId}>
            <Group justify="space-between" wrap="nowrap" gap="sm" mb={4}>
              <Anchor component={Link} to={`/nodes/${nodeId}`} size="sm" className="long-name">
                {name}
              </Anchor>
              <Text size="sm" c="dimmed" className="figures">
                {tasks}
              </Text>
            </Group>
            <Progress value={(tasks / most) * 100} size="sm" color="brand.5" aria-hidden />
          </li>
        ))}
      </Stack>
    </Panel>
  );
}
