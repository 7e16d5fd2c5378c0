import { Anchor, Badge, Group, Text } from "@mantine/core";
import { IconServer } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { z } from "zod";
import { adminApi } from "../api/admin-api.ts";
import { usePages } from "../api/queries.ts";
import { EmptyState } from "../components/empty-state.tsx";
import { Page } from "../components/page.tsx";
import { type Column, PagedRows } from "../components/rows.tsx";
import { When } from "../components/when.tsx";

type Node = z.output<typeof adminApi.listNodes.reply>["items"][number];

export function Nodes() {
  const { t } = useTranslation();
  const pages = usePages(adminApi.listNodes, {}, { everyMs: 10_000 });
  const columns: Column<Node>[] = [
    {
      label: t("common.name"),
      cell: ({ id, name }) => (
        <Anchor component={Link} to={`/nodes/${id}`} className="long-name">
          {name}
        </Anchor>
      ),
    },
    { label: t("nodes.status"), cell: (node) => <NodeStatus node={node} /> },
    {
      label: t("nodes.host"),
      cell: ({ hostname, ipAddress }) => (
        <Text size="sm">{[hostname, ipAddress].filter(Boolean).join(" · ")}</Text>
      ),
    },
    {
      label: t("nodes.system"),
      cell: ({ os, arch }) => <Text size="sm">{[os, arch].filter(Boolean).join(" ")}</Text>,
    },
    { label: t("nodes.version"), cell: ({ agentVersion }) => agentVersion },
    { label: t("nodes.lastSeen"), cell: ({ lastSeen }) => <When at={lastSeen} /> },
  ];
  return (
    <Page title={t("nodes.title")} lead={t("nodes.lead")}>
      <PagedRows
        caption={t("nodes.title")}
        columns={columns}
        keyOf={({ id }) => id}
        pages={pages}
        empty={<EmptyState icon={IconServer} title={t("nodes.emptyTitle")} text={t("nodes.emptyText")} />}
      />
    </Page>
  );
}

const colors = { online: "green", offline: "red", pending: "gray" } as const;

function NodeStatus({ node }: { node: Node }) {
  const { t } = useTranslation();
  const words = {
    online: t("nodes.online"),
    offline: t("nodes.offlineStatus"),
    pending: t("nodes.pending"),
  };
  return (
    <Group gap={6} wrap="nowrap">
      <Badge color={colors[node.status]} variant="light">
        {words[node.status]}
      </Badge>
      {node.paused ? (
        <Badge color="orange" variant="light">
          {t("nodes.paused")}
        </Badge>
      ) : null}
    </Group>
  );
}
