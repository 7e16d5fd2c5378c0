import { Anchor, Group, Stack, Tabs, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link, useParams, useSearchParams } from "react-router";
import { adminApi } from "../api/admin-api.ts";
import { useAnswer } from "../api/queries.ts";
import { ErrorNotice } from "../components/error-notice.tsx";
import { LogView } from "../components/log-view.tsx";
import { Page } from "../components/page.tsx";
import { StatusBadge } from "../components/status-badge.tsx";
import { isOpen, useRun } from "../components/use-run.ts";
import { Waiting } from "../components/waiting.tsx";
import { When } from "../components/when.tsx";
import { useMe } from "../session.tsx";
import { RecordActions } from "./records/actions.tsx";
import { RecordContents } from "./records/contents.tsx";
import { RecordHistory } from "./records/history.tsx";
import { LockedMark } from "./records/locked-mark.tsx";
import { Overview } from "./records/overview.tsx";
import type { RecordDetail } from "./records/record-detail.ts";

const BUSY_COPIES = new Set(["copying", "deleting"]);

/** One backup: how it goes or went, where it is, and what can be done with it. */
export function RecordPage() {
  const id = Number(useParams()["id"]);
  const detail = useAnswer(
    adminApi.getRecord,
    { params: { id: String(id) } },
    { everyMs: 3000, whileIt: ({ copies }) => copies.some(({ status }) => BUSY_COPIES.has(status)) },
  );
  const { run, lines } = useRun<RecordDetail>("/api/records", id, detail.data);
  if (detail.isPending) return <Waiting />;
  if (!run) return <ErrorNotice error={detail.error} retry={() => detail.refetch()} />;
  return <Shown record={run} lines={lines} />;
}

type ShownProps = { record: RecordDetail; lines: Parameters<typeof LogView>[0]["lines"] };

function Shown({ record, lines }: ShownProps) {
  const { t } = useTranslation();
  const me = useMe();
  const [params, setParams] = useSearchParams();
  const canLookInside = record.status === "success" && record.sourceType === "file" && me.may("operator");
  return (
    <Page title={record.taskName} lead={<Lead record={record} />} actions={<RecordActions record={record} />}>
      <Tabs
        value={params.get("tab") ?? "overview"}
        onChange={(tab) => setParams(tab && tab !== "overview" ? { tab } : {}, { replace: true })}
        keepMounted={false}
      >
        <Tabs.List mb="md">
          <Tabs.Tab value="overview">{t("record.overview")}</Tabs.Tab>
          {canLookInside ? <Tabs.Tab value="contents">{t("record.contents")}</Tabs.Tab> : null}
          <Tabs.Tab value="log">{t("log.title")}</Tabs.Tab>
          {record.status === "success" ? <Tabs.Tab value="history">{t("record.history")}</Tabs.Tab> : null}
        </Tabs.List>
        <Tabs.Panel value="overview">
          <Stack gap="lg">
            <Overview record={record} />
            {isOpen(record) || record.status === "failed" ? (
              <RecordLog record={record} lines={lines} />
            ) : null}
          </Stack>
        </Tabs.Panel>
        <Tabs.Panel value="contents">
          <RecordContents record={record} />
        </Tabs.Panel>
        <Tabs.Panel value="log">
          <RecordLog record={record} lines={lines} />
        </Tabs.Panel>
        <Tabs.Panel value="history">
          <RecordHistory recordId={record.id} />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

function RecordLog({ record, lines }: ShownProps) {
  const { t } = useTranslation();
  return (
    <LogView
      name={`${t("log.title")} · ${record.taskName} #${record.id}`}
      lines={lines}
      isLive={isOpen(record)}
    />
  );
}

function Lead({ record: { id, status, locked, nodeId, nodeName, createdAt } }: { record: RecordDetail }) {
  const { t } = useTranslation();
  return (
    <Group gap="sm" fz="sm">
      <StatusBadge status={status} />
      {locked ? <LockedMark /> : null}
      <Text size="sm" component="span" className="figures">
        {t("record.number", { id })}
      </Text>
      {nodeId !== null && nodeName !== null ? (
        <Anchor component={Link} to={`/nodes/${nodeId}`} size="sm" className="long-name">
          {nodeName}
        </Anchor>
      ) : null}
      <Text size="sm" component="span">
        <When at={createdAt} />
      </Text>
    </Group>
  );
}
