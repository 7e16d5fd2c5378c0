import { Button, Group, SimpleGrid, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Bytes, formatBytes } from "../../components/bytes.tsx";
import { Facts } from "../../components/facts.tsx";
import { Section } from "../../components/section.tsx";
import { When } from "../../components/when.tsx";
import { useMe } from "../../session.tsx";
import { AgentVersion } from "./agent-version.tsx";
import { JoinPanel } from "./join-panel.tsx";
import type { NodeDetail } from "./node.ts";
import { NodeAbilities } from "./node-abilities.tsx";
import { RunningNow } from "./running-now.tsx";

/** What the agent says of its machine, and what it is doing. */
export function NodeOverview({ node }: { node: NodeDetail }) {
  const { t } = useTranslation();
  const me = useMe();
  const isNew = node.status === "pending";
  return (
    <Stack gap="lg">
      {isNew && me.may("admin") ? (
        <Section title={t("nodes.connectTitle", { name: node.name })}>
          <Connect node={node} />
        </Section>
      ) : null}
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
        <Section title={t("nodes.machine")}>
          <Machine node={node} />
        </Section>
        {isNew ? null : (
          <Section title={t("nodes.now")}>
            <RunningNow node={node} />
          </Section>
        )}
      </SimpleGrid>
      {node.capabilities ? (
        <Section title={t("nodes.abilities")}>
          <NodeAbilities capabilities={node.capabilities} />
        </Section>
      ) : null}
    </Stack>
  );
}

/** A code is made only for who wants one: each is written down in the audit log. */
function Connect({ node }: { node: NodeDetail }) {
  const { t } = useTranslation();
  const [isWanted, setWanted] = useState(false);
  if (isWanted) return <JoinPanel node={node} />;
  return (
    <Group justify="space-between" gap="sm">
      <Text size="sm">{t("nodes.addLead")}</Text>
      <Button onClick={() => setWanted(true)}>{t("nodes.showCommand")}</Button>
    </Group>
  );
}

function Machine({ node }: { node: NodeDetail }) {
  const { t, i18n } = useTranslation();
  const rate = node.bandwidthBytesPerSecond;
  return (
    <Facts
      items={[
        { label: t("nodes.host"), value: node.hostname || null },
        { label: t("nodes.address"), value: node.ipAddress || null },
        { label: t("nodes.system"), value: `${node.os} ${node.arch}`.trim() || null },
        { label: t("nodes.version"), value: node.agentVersion ? <AgentVersion node={node} /> : null },
        {
          label: t("nodes.connection"),
          value: node.connection === "never" ? null : t(`nodes.connection_${node.connection}`),
        },
        { label: t("nodes.lastSeen"), value: <When at={node.lastSeen} /> },
        {
          label: t("nodes.freeDisk"),
          value: node.freeDiskBytes === null ? null : <Bytes of={node.freeDiskBytes} />,
        },
        { label: t("nodes.maxConcurrent"), value: node.maxConcurrent },
        {
          label: t("nodes.bandwidth"),
          value: rate === null ? t("nodes.unlimited") : `${formatBytes(rate, i18n.language)}/s`,
        },
        { label: t("nodes.added"), value: <When at={node.createdAt} /> },
      ]}
    />
  );
}
