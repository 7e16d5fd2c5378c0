import { ActionIcon, Group, Menu, Tooltip } from "@mantine/core";
import {
  IconCopyPlus,
  IconDots,
  IconPencil,
  IconPlayerPause,
  IconPlayerPlay,
  IconTrash,
} from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { Task } from "./task.ts";
import { useTaskActions } from "./use-task-actions.tsx";

/** What operators can do with a task, in its row. */
export function TaskRowActions({ task }: { task: Task }) {
  const { t } = useTranslation();
  const { run, isStarting } = useTaskActions(task);
  const label = t("tasks.runNamed", { name: task.name });
  return (
    <Group gap={4} wrap="nowrap" justify="flex-end">
      <Tooltip label={t("tasks.run")}>
        <ActionIcon variant="light" aria-label={label} loading={isStarting} onClick={run}>
          <IconPlayerPlay size={16} aria-hidden />
        </ActionIcon>
      </Tooltip>
      <TaskMenu task={task} />
    </Group>
  );
}

type Props = { task: Pick<Task, "id" | "name" | "enabled">; gone?: () => unknown };

/** The less frequent of them. */
export function TaskMenu({ task, gone }: Props) {
  const { t } = useTranslation();
  const { setEnabled, remove } = useTaskActions(task);
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={t("tasks.moreNamed", { name: task.name })}>
          <IconDots size={16} aria-hidden />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item
          component={Link}
          to={`/tasks/${task.id}/edit`}
          leftSection={<IconPencil size={16} aria-hidden />}
        >
          {t("tasks.edit")}
        </Menu.Item>
        <Menu.Item
          component={Link}
          to={`/tasks/new?from=${task.id}`}
          leftSection={<IconCopyPlus size={16} aria-hidden />}
        >
          {t("tasks.duplicate")}
        </Menu.Item>
        <Menu.Item
          leftSection={
            task.enabled ? (
              <IconPlayerPause size={16} aria-hidden />
            ) : (
              <IconPlayerPlay size={16} aria-hidden />
            )
          }
          onClick={() => setEnabled(!task.enabled)}
        >
          {task.enabled ? t("tasks.pause") : t("tasks.resume")}
        </Menu.Item>
        <Menu.Divider />
        <Menu.Item c="red" leftSection={<IconTrash size={16} aria-hidden />} onClick={() => remove(gone)}>
          {t("tasks.delete")}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
