import { Anchor, Group, Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { Bytes } from "../../components/bytes.tsx";
import { StatusBadge } from "../../components/status-badge.tsx";
import { When } from "../../components/when.tsx";
import type { Overview } from "./overview.ts";
import { Panel } from "./panel.tsx";

const SHOWN = 8;

/** What runs now, and what ran last. */
export function RecentRecords({ overview: { recent, running } }: { overview: Overview }) {
  const { t } = useTranslation();
  const known = new Set(recent.map(({ id }) => id));
  const records = [...running.filter(({ id }) => !known.has(id)), ...recent].slice(0, SHOWN);
  return (
    <Panel title={t("dashboard.recent")} all="/records">
      {records.length === 0 ? <Text c="dimmed">{t("dashboard.noRecent")}</Text> : null}
      <Stack gap="sm" component="ul" className="plain-list">
        {records.map(({ id, taskName, nodeName, status, sizeBytes, finishedAt, createdAt }) => (
          <Group key={id} component="li" wrap="nowrap" gap="md" align="center">
            <div className="grow">
              <Anchor component={Link} to={`/records/${id}`} size="sm" className="long-name">
                {taskName}
              </Anchor>
              <Text size="xs" c="dimmed" component="div" className="long-name">
                {nodeName === null ? null : `${nodeName} · `}
                <When at={finishedAt ?? createdAt} />
              </Text>
            </div>
            {status === "success" ? (
              <Text size="sm" c="dimmed" className="one-line">
                <Bytes of={sizeBytes} />
              </Text>
            ) : null}
            <div className="no-shrink">
              <StatusBadge status={status} />
            </div>
          </Group>
        ))}
      </Stack>
    </Panel>
  );
}
