import { Badge, Group, Text, Tooltip } from "@mantine/core";
import { IconArrowUpCircle } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../api/admin-api.ts";
import { useAnswer } from "../../api/queries.ts";
import type { Node } from "./node.ts";

/** Which agent a node runs, and whether it is of another release than the master. */
export function AgentVersion({ node }: { node: Node }) {
  const { t } = useTranslation();
  const master = useAnswer(adminApi.health, {}).data?.version;
  if (node.agentVersion === "") return null;
  const isGo = node.protocolVersion === null;
  const drifted = !isGo && master !== undefined && master !== node.agentVersion;
  return (
    <Group gap={6}>
      <Text size="sm" className="figures">
        {node.agentVersion}
      </Text>
      {isGo ? (
        <Badge size="sm" variant="default" flex="none">
          {t("nodes.goAgent")}
        </Badge>
      ) : null}
      {drifted ? (
        <Tooltip label={t("nodes.driftHint", { version: master })} multiline maw={320}>
          <Badge
            size="sm"
            flex="none"
            color="orange"
            variant="light"
            tabIndex={0}
            leftSection={<IconArrowUpCircle size={12} stroke={2.5} aria-hidden />}
          >
            {t("nodes.drift", { version: master })}
          </Badge>
        </Tooltip>
      ) : null}
    </Group>
  );
}
