import { Alert, Modal, Stack } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { JoinPanel } from "./join-panel.tsx";
import type { Node } from "./node.ts";

/** Connects a machine to a node that is there already: its first, or one in place of another. */
export function JoinDialog({ node, close }: { node: Node; close(): void }) {
  const { t } = useTranslation();
  return (
    <Modal
      opened
      onClose={close}
      size="xl"
      closeOnClickOutside={false}
      title={t("nodes.connectTitle", { name: node.name })}
    >
      <Stack>
        {node.status === "pending" ? null : (
          <Alert color="orange" icon={<IconAlertTriangle aria-hidden />}>
            {t("nodes.replaces", { hostname: node.hostname || node.name })}
          </Alert>
        )}
        <JoinPanel node={node} />
      </Stack>
    </Modal>
  );
}
