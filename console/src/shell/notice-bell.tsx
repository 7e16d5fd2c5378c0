import {
  ActionIcon,
  Indicator,
  Popover,
  ScrollArea,
  Stack,
  Text,
  Title,
  UnstyledButton,
} from "@mantine/core";
import { useDisclosure, useLocalStorage } from "@mantine/hooks";
import { IconBell } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import type { z } from "zod";
import { adminApi } from "../api/admin-api.ts";
import { useAnswer } from "../api/queries.ts";
import { ErrorNotice } from "../components/error-notice.tsx";
import { formatMoment, When } from "../components/when.tsx";
import type { T } from "../i18n/i18n.ts";

type Notice = z.output<typeof adminApi.listNotifications.reply>["items"][number];

const SHOWN = 20;

/** What has happened that people should know, and how much of it is new to this browser. */
export function NoticeBell() {
  const { t } = useTranslation();
  const [opened, { toggle, close }] = useDisclosure();
  const notices = useAnswer(adminApi.listNotifications, { query: { limit: SHOWN } });
  const items = notices.data?.items ?? [];
  const [readUpTo, setReadUpTo] = useLocalStorage({ key: "backupx.notices-read", defaultValue: 0 });
  const unread = items.filter(({ id }) => id > readUpTo).length;
  const open = () => {
    toggle();
    setReadUpTo(Math.max(readUpTo, items[0]?.id ?? 0));
  };
  return (
    <Popover opened={opened} onDismiss={close} position="bottom-end" width={360} trapFocus shadow="md">
      <Indicator disabled={unread === 0} label={unread >= SHOWN ? `${SHOWN}+` : unread} size={16} color="red">
        <Popover.Target>
          <ActionIcon
            variant="default"
            size="lg"
            onClick={open}
            aria-label={unread > 0 ? t("notices.unread", { count: unread }) : t("notices.open")}
          >
            <IconBell size={18} aria-hidden />
          </ActionIcon>
        </Popover.Target>
      </Indicator>
      <Popover.Dropdown maw="calc(100vw - 2rem)" aria-label={t("notices.title")}>
        <Title order={2} size="h5" mb="sm">
          {t("notices.title")}
        </Title>
        <ErrorNotice error={notices.error} retry={() => void notices.refetch()} />
        {notices.data && items.length === 0 ? <Text c="dimmed">{t("notices.none")}</Text> : null}
        <ScrollArea.Autosize mah="60vh">
          <Stack gap={4} component="ul" className="plain-list">
            {items.map((notice) => (
              <li key={notice.id}>
                <NoticeLine notice={notice} onGo={close} />
              </li>
            ))}
          </Stack>
        </ScrollArea.Autosize>
      </Popover.Dropdown>
    </Popover>
  );
}

function NoticeLine({ notice, onGo }: { notice: Notice; onGo(): void }) {
  const { t, i18n } = useTranslation();
  const navigate = useNavigate();
  const { recordId, nodeId, at } = notice;
  const path = recordId !== null ? `/records/${recordId}` : nodeId !== null ? `/nodes/${nodeId}` : null;
  const text = textOf(t, i18n.language, notice);
  const go = () => {
    onGo();
    if (path !== null) void navigate(path);
  };
  return (
    <UnstyledButton onClick={go} className="notice">
      <Text size="sm" fw={600} component="span">
        {isTold(notice.kind) ? t(`notices.${notice.kind}`) : t("notices.other")}
      </Text>
      <Text size="sm" component="span" className="long-name" lineClamp={4} title={text}>
        {text}
      </Text>
      <Text size="xs" c="dimmed" component="span">
        <When at={at} />
      </Text>
    </UnstyledButton>
  );
}

const told = [
  "node_online",
  "node_offline",
  "token_used_twice",
  "run_missed",
  "copy_damaged",
  "restore_differs",
  "verification_missed",
] as const;

const isTold = (kind: string): kind is (typeof told)[number] => (told as readonly string[]).includes(kind);

/** The master's own message where it said no more, as those did that were made before it told details. */
function textOf(t: T, language: string, { kind, message, recordId, details }: Notice): string {
  const { name, since, target, ...rest } = details;
  if (name === undefined || !isTold(kind)) return message;
  return t(`notices.text_${kind}`, {
    ...rest,
    name,
    recordId,
    since: since ? formatMoment(since, language) : "",
    target: target ?? t("notices.removedTarget"),
  });
}
