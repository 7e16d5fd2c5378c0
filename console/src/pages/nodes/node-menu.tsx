import { ActionIcon, Menu } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import {
  IconDots,
  IconKey,
  IconPencil,
  IconPlayerPause,
  IconPlayerPlay,
  IconPlugConnected,
  IconTrash,
} from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../api/admin-api.ts";
import type { ApiError } from "../../api/call.ts";
import { useChange } from "../../api/queries.ts";
import { DeleteDialog } from "./delete-dialog.tsx";
import { EditDialog } from "./edit-dialog.tsx";
import { JoinDialog } from "./join-dialog.tsx";
import type { Node } from "./node.ts";
import { RotateDialog } from "./rotate-dialog.tsx";

type Dialog = "edit" | "join" | "rotate" | "delete";

/** What administrators can do with a node. `gone` is called once it is deleted. */
export function NodeMenu({ node, gone }: { node: Node; gone?: () => unknown }) {
  const { t } = useTranslation();
  const [dialog, setDialog] = useState<Dialog | null>(null);
  const togglePause = usePause(node);
  const close = () => setDialog(null);
  return (
    <>
      <Menu position="bottom-end">
        <Menu.Target>
          <ActionIcon variant="subtle" color="gray" aria-label={t("nodes.moreNamed", { name: node.name })}>
            <IconDots size={16} aria-hidden />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item leftSection={<IconPencil size={16} aria-hidden />} onClick={() => setDialog("edit")}>
            {t("nodes.edit")}
          </Menu.Item>
          <Menu.Item
            leftSection={
              node.paused ? (
                <IconPlayerPlay size={16} aria-hidden />
              ) : (
                <IconPlayerPause size={16} aria-hidden />
              )
            }
            onClick={togglePause}
          >
            {node.paused ? t("nodes.resume") : t("nodes.pause")}
          </Menu.Item>
          <Menu.Item
            leftSection={<IconPlugConnected size={16} aria-hidden />}
            onClick={() => setDialog("join")}
          >
            {t("nodes.connect")}
          </Menu.Item>
          <Menu.Item leftSection={<IconKey size={16} aria-hidden />} onClick={() => setDialog("rotate")}>
            {t("nodes.rotate")}
          </Menu.Item>
          <Menu.Divider />
          <Menu.Item
            c="red"
            leftSection={<IconTrash size={16} aria-hidden />}
            onClick={() => setDialog("delete")}
          >
            {t("nodes.delete")}
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {dialog === "edit" ? <EditDialog node={node} close={close} /> : null}
      {dialog === "join" ? <JoinDialog node={node} close={close} /> : null}
      {dialog === "rotate" ? <RotateDialog node={node} close={close} /> : null}
      {dialog === "delete" ? <DeleteDialog node={node} close={close} gone={gone} /> : null}
    </>
  );
}

function usePause({ id, name, paused }: Node): () => Promise<void> {
  const { t } = useTranslation();
  const change = useChange(adminApi.updateNode);
  return async () => {
    try {
      await change.mutateAsync({ params: { id: String(id) }, body: { paused: !paused } });
    } catch (error) {
      notifications.show({
        color: "red",
        title: t("nodes.notChanged", { name }),
        message: (error as ApiError).message,
      });
    }
  };
}
