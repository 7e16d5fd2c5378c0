import { Anchor, Group, Progress, Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { Bytes, formatBytes } from "../../components/bytes.tsx";
import type { Overview } from "./overview.ts";
import { Panel } from "./panel.tsx";

const SHOWN = 6;

/** How much lies where: of its own limit, or of what the fullest target holds. */
export function StorageUse({ overview: { targets } }: { overview: Overview }) {
  const { t, i18n } = useTranslation();
  const bytes = (amount: number) => formatBytes(amount, i18n.language);
  const fullest = Math.max(1, ...targets.map(({ usedBytes }) => usedBytes));
  const shown = targets.toSorted((a, b) => b.usedBytes - a.usedBytes).slice(0, SHOWN);
  return (
    <Panel title={t("dashboard.storage")} all="/targets">
      <Stack gap="md" component="ul" className="plain-list">
        {shown.map(({ id, name, usedBytes, quotaBytes }) => {
          const share = (usedBytes / (quotaBytes ?? fullest)) * 100;
          return (
            <li key={id}>
              <Group justify="space-between" wrap="nowrap" gap="sm" mb={4}>
                <Anchor component={Link} to={`/targets/${id}`} size="sm" className="long-name">
                  {name}
                </Anchor>
                <Text size="sm" c="dimmed" className="one-line figures">
                  {quotaBytes === null ? (
                    <Bytes of={usedBytes} />
                  ) : (
                    t("dashboard.ofQuota", { used: bytes(usedBytes), quota: bytes(quotaBytes) })
                  )}
                </Text>
              </Group>
              {/* The words above say the same. */}
              <Progress
                value={Math.min(100, share)}
                color={quotaBytes !== null && share >= 90 ? "orange.6" : "brand.5"}
                size="sm"
                aria-hidden
              />
            </li>
          );
        })}
      </Stack>
    </Panel>
  );
}
