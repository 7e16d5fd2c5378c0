import { Alert, Button, Group, Modal, Stack, Text } from "@mantine/core";
import { IconKey } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../api/admin-api.ts";
import { useChange } from "../../api/queries.ts";
import { CodeBlock } from "../../components/code-block.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { When } from "../../components/when.tsx";
import type { Node } from "./node.ts";

/** Gives a node a new token, after asking, and shows it this once. */
export function RotateDialog({ node, close }: { node: Node; close(): void }) {
  const { t } = useTranslation();
  const rotate = useChange(adminApi.rotateNodeToken);
  return (
    <Modal
      opened
      onClose={close}
      size="lg"
      title={t("nodes.rotateTitle", { name: node.name })}
      closeOnClickOutside={!rotate.data}
    >
      {rotate.data ? (
        <Stack>
          <Alert color="orange" icon={<IconKey aria-hidden />}>
            {t("nodes.tokenOnce")} {t("nodes.oldTokenUntil")} <When at={rotate.data.previousValidUntil} />
          </Alert>
          <CodeBlock text={rotate.data.token} label={t("nodes.token")} />
          <Text size="sm">{t("nodes.rotateNext")}</Text>
          <CodeBlock
            text={"sudoedit /etc/backupx-agent/token\nsudo systemctl restart backupx-agent"}
            label={t("nodes.commands")}
          />
          <Group justify="flex-end">
            <Button onClick={close}>{t("nodes.tokenKept")}</Button>
          </Group>
        </Stack>
      ) : (
        <Stack>
          <Text size="sm">{t("nodes.rotateText")}</Text>
          <ErrorNotice error={rotate.error} />
          <Group justify="flex-end" gap="sm">
            <Button variant="default" onClick={close}>
              {t("common.cancel")}
            </Button>
            <Button
              loading={rotate.isPending}
              onClick={() => rotate.mutate({ params: { id: String(node.id) } })}
            >
              {t("nodes.rotate")}
            </Button>
          </Group>
        </Stack>
      )}
    </Modal>
  );
}
