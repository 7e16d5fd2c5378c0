import { Badge, Group, Stack, Text } from "@mantine/core";
import {
  IconAlertTriangle,
  IconCheck,
  IconCircleDashed,
  IconPlayerPause,
  IconPlugConnectedX,
} from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { formatBytes } from "../../components/bytes.tsx";
import type { Node } from "./node.ts";

const looks = {
  online: ["green", IconCheck],
  offline: ["red", IconPlugConnectedX],
  pending: ["gray", IconCircleDashed],
} as const;
/** With less than this, an agent may not have the room that a restore or a dump needs. */
const LOW_DISK_BYTES = 1024 ** 3;

/** Whether a node is there, and every reason why not all is well with it. */
export function NodeHealth({ node }: { node: Node }) {
  const { t } = useTranslation();
  const reasons = useReasons(node);
  const [color, Shape] = looks[node.status];
  return (
    <Stack gap={4}>
      <Group gap={6}>
        <Badge
          miw="max-content"
          color={color}
          variant="light"
          leftSection={<Shape size={12} stroke={2.5} aria-hidden />}
        >
          {t(`nodes.${node.status}`)}
        </Badge>
        {node.paused ? (
          <Badge
            miw="max-content"
            color="orange"
            variant="light"
            leftSection={<IconPlayerPause size={12} stroke={2.5} aria-hidden />}
          >
            {t("nodes.paused")}
          </Badge>
        ) : null}
        {node.cloneSuspectedAt === null ? null : (
          <Badge
            miw="max-content"
            color="orange"
            variant="light"
            leftSection={<IconAlertTriangle size={12} stroke={2.5} aria-hidden />}
          >
            {t("nodes.cloned")}
          </Badge>
        )}
      </Group>
      {reasons.map((reason) => (
        <Text key={reason} size="xs" c="dimmed" className="node-reason">
          {reason}
        </Text>
      ))}
    </Stack>
  );
}

function useReasons({ status, paused, cloneSuspectedAt, freeDiskBytes }: Node): string[] {
  const { t, i18n } = useTranslation();
  const low = status === "online" && freeDiskBytes !== null && freeDiskBytes < LOW_DISK_BYTES;
  return [
    ...(status === "offline" ? [t("nodes.whyOffline")] : []),
    ...(status === "pending" ? [t("nodes.whyPending")] : []),
    ...(paused ? [t("nodes.whyPaused")] : []),
    ...(cloneSuspectedAt === null ? [] : [t("nodes.whyCloned")]),
    ...(low ? [t("nodes.whyLowDisk", { bytes: formatBytes(freeDiskBytes, i18n.language) })] : []),
  ];
}
