import { Stack, Tabs } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useNavigate, useParams, useSearchParams } from "react-router";
import { adminApi } from "../api/admin-api.ts";
import { SIGNS_OF_LIFE_MS, useAnswer } from "../api/queries.ts";
import { DirectoryBrowser } from "../components/directory-browser.tsx";
import { ErrorNotice } from "../components/error-notice.tsx";
import { Page } from "../components/page.tsx";
import { Waiting } from "../components/waiting.tsx";
import { useMe } from "../session.tsx";
import { CreateTask } from "./nodes/create-task.tsx";
import type { NodeDetail } from "./nodes/node.ts";
import { NodeHealth } from "./nodes/node-health.tsx";
import { NodeLabels } from "./nodes/node-labels.tsx";
import { NodeMenu } from "./nodes/node-menu.tsx";
import { NodeOverview } from "./nodes/node-overview.tsx";
import { NodeCommands, NodeRecords, NodeTasks } from "./nodes/node-work.tsx";

/** One server: how it is, what it can do, what it does and has done, and its files. */
export function NodePage() {
  const { t } = useTranslation();
  const { id = "" } = useParams();
  const node = useAnswer(adminApi.getNode, { params: { id } }, { everyMs: SIGNS_OF_LIFE_MS });
  if (node.data) return <Shown key={id} node={node.data} />;
  return (
    <Page title={t("nodes.one")}>
      {node.isPending ? <Waiting /> : <ErrorNotice error={node.error} retry={() => node.refetch()} />}
    </Page>
  );
}

function Shown({ node }: { node: NodeDetail }) {
  return (
    <Page
      title={node.name}
      lead={
        <Stack gap={8}>
          <NodeHealth node={node} />
          <NodeLabels labels={node.labels} />
        </Stack>
      }
      actions={<Actions node={node} />}
    >
      <Parts node={node} />
    </Page>
  );
}

function Actions({ node }: { node: NodeDetail }) {
  const me = useMe();
  const navigate = useNavigate();
  return (
    <>
      {me.may("operator") && node.status !== "pending" ? <CreateTask nodeId={node.id} /> : null}
      {me.may("admin") ? <NodeMenu node={node} gone={() => navigate("/nodes")} /> : null}
    </>
  );
}

function Parts({ node }: { node: NodeDetail }) {
  const { t } = useTranslation();
  const me = useMe();
  const [search, setSearch] = useSearchParams();
  const parts = [
    { key: "overview", label: t("nodes.overview"), show: () => <NodeOverview node={node} /> },
    { key: "tasks", label: t("nav.tasks"), show: () => <NodeTasks node={node} /> },
    { key: "records", label: t("nav.records"), show: () => <NodeRecords node={node} /> },
    ...(me.may("operator")
      ? [
          { key: "files", label: t("nodes.files"), show: () => <DirectoryBrowser nodeId={node.id} /> },
          { key: "commands", label: t("nav.commands"), show: () => <NodeCommands node={node} /> },
        ]
      : []),
  ];
  const asked = search.get("part");
  const part = parts.find(({ key }) => key === asked)?.key ?? "overview";
  return (
    <Tabs
      value={part}
      onChange={(next) => setSearch(next && next !== "overview" ? { part: next } : {}, { replace: true })}
      keepMounted={false}
    >
      <Tabs.List>
        {parts.map(({ key, label }) => (
          <Tabs.Tab key={key} value={key}>
            {label}
          </Tabs.Tab>
        ))}
      </Tabs.List>
      {parts.map(({ key, show }) => (
        <Tabs.Panel key={key} value={key} pt="lg">
          {show()}
        </Tabs.Panel>
      ))}
    </Tabs>
  );
}
