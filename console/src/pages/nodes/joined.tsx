import { Alert, Button, Group, Stack, Text } from "@mantine/core";
import { IconCircleCheck, IconPlus } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { NodeDetail } from "./node.ts";

/** A machine has come online as this node: what it is, and what one does next. */
export function Joined({ node: { id, name, hostname, os, arch, agentVersion } }: { node: NodeDetail }) {
  const { t } = useTranslation();
  return (
    <Alert
      color="green"
      icon={<IconCircleCheck aria-hidden />}
      title={t("nodes.joinedTitle", { name })}
      role="status"
    >
      <Stack gap="sm">
        <Text size="sm">{t("nodes.joinedText", { hostname, system: `${os} ${arch}`, agentVersion })}</Text>
        <Group gap="sm">
          <Button
            component={Link}
            to={`/tasks/new?node=${id}`}
            leftSection={<IconPlus size={16} aria-hidden />}
          >
            {t("nodes.createTask")}
          </Button>
          <Button component={Link} to={`/nodes/${id}`} variant="default">
            {t("nodes.toNode")}
          </Button>
        </Group>
      </Stack>
    </Alert>
  );
}
