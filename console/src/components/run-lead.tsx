import { Anchor, Group, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { type RunState, StatusBadge } from "./status-badge.tsx";
import { When } from "./when.tsx";

type Run = { status: RunState; recordId: number; nodeId: number; nodeName: string | null; createdAt: number };

/** What a restore or a verification is about: how it stands, of which backup, by which node, and since when. */
export function RunLead({ run, children }: { run: Run; children: ReactNode }) {
  const { t } = useTranslation();
  const { status, recordId, nodeId, nodeName, createdAt } = run;
  return (
    <Group gap="sm" fz="sm">
      <StatusBadge status={status} />
      {children}
      <Anchor component={Link} to={`/records/${recordId}`} size="sm">
        {t("record.number", { id: recordId })}
      </Anchor>
      <Anchor component={Link} to={`/nodes/${nodeId}`} size="sm" className="long-name">
        {nodeName ?? `#${nodeId}`}
      </Anchor>
      <Text size="sm" component="span">
        <When at={createdAt} />
      </Text>
    </Group>
  );
}
