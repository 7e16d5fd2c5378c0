import { Badge } from "@mantine/core";
import {
  type Icon,
  IconAlertTriangle,
  IconBan,
  IconCalendarX,
  IconCheck,
  IconCircleDashed,
  IconClock,
  IconClockX,
  IconCopy,
  IconShieldX,
  IconTrash,
  IconTrashX,
  IconX,
} from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { en } from "../i18n/en/en.ts";

/** Every state that a backup, a copy, a restore, a verification or a command can be in. */
export type RunState = keyof (typeof en)["states"];

const looks: Record<RunState, [color: string, icon: Icon]> = {
  queued: ["gray", IconClock],
  pending: ["gray", IconClock],
  running: ["blue", IconCircleDashed],
  dispatched: ["blue", IconCircleDashed],
  copying: ["blue", IconCopy],
  success: ["green", IconCheck],
  succeeded: ["green", IconCheck],
  incomplete: ["orange", IconAlertTriangle],
  missed: ["orange", IconCalendarX],
  failed: ["red", IconX],
  timeout: ["red", IconClockX],
  damaged: ["red", IconShieldX],
  delete_failed: ["red", IconTrashX],
  deleting: ["gray", IconTrash],
  cancelled: ["gray", IconBan],
};

/** A state as a word, with a colour and a shape: no one of them is needed to understand it. */
export function StatusBadge({ status }: { status: RunState }) {
  const { t } = useTranslation();
  const [color, Shape] = looks[status];
  return (
    <Badge
      color={color}
      variant={color === "gray" ? "default" : "light"}
      tt="none"
      fw={600}
      // Else a narrow column cuts the word off.
      miw="max-content"
      leftSection={<Shape size={12} stroke={2.5} aria-hidden />}
    >
      {t(`states.${status}`)}
    </Badge>
  );
}
