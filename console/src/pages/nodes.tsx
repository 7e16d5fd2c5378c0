import { Anchor, Button, Stack, Text } from "@mantine/core";
import { IconPlus, IconServer } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { adminApi } from "../api/admin-api.ts";
import type { CallInput } from "../api/call.ts";
import { SIGNS_OF_LIFE_MS, usePages } from "../api/queries.ts";
import { EmptyState } from "../components/empty-state.tsx";
import { NoneMatches } from "../components/none-matches.tsx";
import { Page } from "../components/page.tsx";
import { type Column, PagedRows } from "../components/rows.tsx";
import { When } from "../components/when.tsx";
import { useMe } from "../session.tsx";
import { AgentVersion } from "./nodes/agent-version.tsx";
import { NodeFilters, useNodeFilters } from "./nodes/filters.tsx";
import type { ListedNode } from "./nodes/node.ts";
import { NodeHealth } from "./nodes/node-health.tsx";
import { NodeLabels } from "./nodes/node-labels.tsx";
import { NodeMenu } from "./nodes/node-menu.tsx";

type Query = NonNullable<CallInput<typeof adminApi.listNodes>["query"]>;

/** All servers, and how they are. */
export function Nodes() {
  const { t } = useTranslation();
  const me = useMe();
  const filters = useNodeFilters();
  const pages = usePages(adminApi.listNodes, filters.all as Query, { everyMs: SIGNS_OF_LIFE_MS });
  return (
    <Page title={t("nodes.title")} lead={t("nodes.lead")} actions={me.may("admin") ? <AddNode /> : null}>
      <NodeFilters filters={filters} />
      <PagedRows
        caption={t("nodes.title")}
        columns={useColumns()}
        keyOf={({ id }) => id}
        pages={pages}
        empty={
          filters.any ? (
            <NoneMatches
              title={t("nodes.noneMatchesTitle")}
              text={t("nodes.noneMatchesText")}
              clear={filters.clear}
            />
          ) : (
            <NoneYet />
          )
        }
      />
    </Page>
  );
}

function useColumns(): Column<ListedNode>[] {
  const { t } = useTranslation();
  const me = useMe();
  const columns: Column<ListedNode>[] = [
    { label: t("common.name"), width: "23%", cell: (node) => <NameAndLabels node={node} /> },
    { label: t("nodes.health"), width: "17%", cell: (node) => <NodeHealth node={node} /> },
    {
      label: t("nodes.host"),
      width: "23%",
      cell: ({ hostname, ipAddress }) => <TwoLines first={hostname} second={ipAddress} />,
    },
    { label: t("nodes.systemAndAgent"), width: "17%", cell: (node) => <SystemAndAgent node={node} /> },
    { label: t("nodes.queue"), cell: (node) => <Queue node={node} /> },
    { label: t("nodes.lastSeen"), cell: ({ lastSeen }) => <LastSeen at={lastSeen} /> },
  ];
  return me.may("admin")
    ? [...columns, { label: "", width: 52, cell: (node) => <NodeMenu node={node} /> }]
    : columns;
}

function NameAndLabels({ node: { id, name, labels } }: { node: ListedNode }) {
  return (
    <Stack gap={4}>
      <Anchor component={Link} to={`/nodes/${id}`} className="long-name" fw={500} size="sm">
        {name}
      </Anchor>
      <NodeLabels labels={labels} />
    </Stack>
  );
}

function TwoLines({ first, second }: { first: string; second: string }) {
  if (first === "" && second === "") return null;
  return (
    <div>
      <Text size="sm" className="long-name">
        {first}
      </Text>
      <Text size="xs" c="dimmed" className="long-name">
        {second}
      </Text>
    </div>
  );
}

function SystemAndAgent({ node }: { node: ListedNode }) {
  const system = `${node.os} ${node.arch}`.trim();
  if (system === "" && node.agentVersion === "") return null;
  return (
    <div>
      <Text size="sm">{system}</Text>
      <AgentVersion node={node} />
    </div>
  );
}

function LastSeen({ at }: { at: number | null }) {
  return (
    <Text size="sm" component="div" className="one-line">
      <When at={at} />
    </Text>
  );
}

function Queue({ node: { queuedCount, runningCount } }: { node: ListedNode }) {
  const { t } = useTranslation();
  if (queuedCount + runningCount === 0) return null;
  return (
    <div className="one-line">
      {runningCount > 0 ? <Text size="sm">{t("nodes.running", { count: runningCount })}</Text> : null}
      {queuedCount > 0 ? (
        <Text size="sm" c="dimmed">
          {t("nodes.waiting", { count: queuedCount })}
        </Text>
      ) : null}
    </div>
  );
}

function AddNode() {
  const { t } = useTranslation();
  return (
    <Button component={Link} to="/nodes/new" leftSection={<IconPlus size={16} aria-hidden />}>
      {t("nodes.add")}
    </Button>
  );
}

function NoneYet() {
  const { t } = useTranslation();
  const me = useMe();
  return (
    <EmptyState
      icon={IconServer}
      title={t("nodes.emptyTitle")}
      text={me.may("admin") ? t("nodes.emptyText") : t("nodes.emptyTextOthers")}
      action={me.may("admin") ? <AddNode /> : null}
    />
  );
}
