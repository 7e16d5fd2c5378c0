import { Alert, Anchor, Button, Group, List, Modal, Stack, Text } from "@mantine/core";
import { IconShieldLock } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { adminApi } from "../../api/admin-api.ts";
import { useChange, usePages } from "../../api/queries.ts";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Waiting } from "../../components/waiting.tsx";
import type { Node } from "./node.ts";

type Props = { node: Node; close(): void; gone?: (() => unknown) | undefined };
const NAMED = 5;

/** Deletes a node, or says what is in the way and leads there. */
export function DeleteDialog({ node, close, gone }: Props) {
  const { t } = useTranslation();
  const tasks = usePages(adminApi.listTasks, { nodeId: node.id, limit: NAMED });
  const remove = useChange(adminApi.deleteNode, "/api/tasks", "/api/records");
  const inTheWay = tasks.data?.pages[0]?.items ?? [];
  const act = () =>
    remove.mutate(
      { params: { id: String(node.id) } },
      {
        onSuccess: () => {
          close();
          gone?.();
        },
      },
    );
  return (
    <Modal opened onClose={close} title={t("nodes.deleteTitle", { name: node.name })}>
      <Stack>
        {tasks.isPending ? <Waiting /> : null}
        {inTheWay.length > 0 ? (
          <TasksInTheWay node={node} tasks={inTheWay} more={tasks.hasNextPage} />
        ) : (
          <Text size="sm">{t("nodes.deleteText")}</Text>
        )}
        <ErrorNotice error={remove.error ?? tasks.error} />
        {remove.error?.code === "NODE_HAS_RECORDS" ? (
          <Anchor component={Link} to={`/records?nodeId=${node.id}`} size="sm">
            {t("nodes.showItsRecords")}
          </Anchor>
        ) : null}
        <Group justify="flex-end" gap="sm">
          <Button variant="default" onClick={close} data-autofocus>
            {t("common.cancel")}
          </Button>
          {tasks.isSuccess && inTheWay.length === 0 ? (
            <Button color="red" loading={remove.isPending} onClick={act}>
              {t("nodes.delete")}
            </Button>
          ) : null}
        </Group>
      </Stack>
    </Modal>
  );
}

type Blocking = { node: Node; tasks: { id: number; name: string }[]; more: boolean };

function TasksInTheWay({ node, tasks, more }: Blocking) {
  const { t } = useTranslation();
  return (
    <Alert color="orange" icon={<IconShieldLock aria-hidden />} title={t("nodes.inTheWayTitle")}>
      <Stack gap="xs">
        <Text size="sm">{t("nodes.inTheWayText")}</Text>
        <List size="sm">
          {tasks.map(({ id, name }) => (
            <List.Item key={id}>
              <Anchor component={Link} to={`/tasks/${id}`} size="sm" className="long-name">
                {name}
              </Anchor>
            </List.Item>
          ))}
        </List>
        {more ? (
          <Anchor component={Link} to={`/tasks?nodeId=${node.id}`} size="sm">
            {t("nodes.showItsTasks")}
          </Anchor>
        ) : null}
      </Stack>
    </Alert>
  );
}
