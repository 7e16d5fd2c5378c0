import { Anchor, Group, Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { When } from "../../components/when.tsx";
import type { NodeDetail } from "./node.ts";

/** What a node has in hand, and how much more waits for it. */
export function RunningNow({ node: { running, queued } }: { node: NodeDetail }) {
  const { t } = useTranslation();
  return (
    <Stack gap="xs">
      {running.length === 0 ? <Text size="sm">{t("nodes.idle")}</Text> : null}
      {running.map(({ commandId, type, recordId, since }) => (
        <Group key={commandId} gap="xs">
          {recordId === null ? (
            <Text size="sm">{t(`commands.${type}`)}</Text>
          ) : (
            <Anchor component={Link} to={`/records/${recordId}`} size="sm">
              {t(`commands.${type}`)} · {t("commands.record", { id: recordId })}
            </Anchor>
          )}
          <Text size="xs" c="dimmed">
            <When at={since} />
          </Text>
        </Group>
      ))}
      <Text size="sm" c="dimmed">
        {queued === 0 ? t("nodes.nothingWaits") : t("nodes.waiting", { count: queued })}
      </Text>
    </Stack>
  );
}
