import { Badge, Button, Group, Stack, Text, Title } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { z } from "zod";
import { adminApi } from "../../api/admin-api.ts";
import { useAnswer, useChange } from "../../api/queries.ts";
import { confirm } from "../../components/confirm.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { type Column, Rows } from "../../components/rows.tsx";
import { When } from "../../components/when.tsx";
import { browserIn } from "./browser-in.ts";

type SessionOfMine = z.output<typeof adminApi.listSessions.reply>["items"][number];

/** Where one is signed in, and the way to end all but this one. */
export function Sessions() {
  const { t } = useTranslation();
  const sessions = useAnswer(adminApi.listSessions, {});
  const columns: Column<SessionOfMine>[] = [
    {
      label: t("account.browser"),
      cell: ({ userAgent, current }) => (
        <Group gap="xs">
          <Text size="sm">{browserIn(userAgent) ?? t("account.unknownBrowser")}</Text>
          {current ? (
            <Badge variant="light" color="green">
              {t("account.here")}
            </Badge>
          ) : null}
        </Group>
      ),
    },
    { label: t("account.address"), cell: ({ ipAddress }) => ipAddress || "–" },
    { label: t("account.since"), cell: ({ createdAt }) => <When at={createdAt} /> },
    { label: t("account.until"), cell: ({ expiresAt }) => <When at={expiresAt} /> },
  ];
  const items = sessions.data?.items ?? [];
  return (
    <Stack gap="sm">
      <Group justify="space-between">
        <Title order={2} size="h4">
          {t("account.sessions")}
        </Title>
        {items.length > 1 ? <EndOthers /> : null}
      </Group>
      <ErrorNotice error={sessions.error} retry={() => sessions.refetch()} />
      {items.length > 0 ? (
        <Rows
          caption={t("account.sessions")}
          columns={columns}
          items={items}
          keyOf={({ createdAt, userAgent }) => `${createdAt} ${userAgent}`}
        />
      ) : null}
    </Stack>
  );
}

function EndOthers() {
  const { t } = useTranslation();
  const end = useChange(adminApi.endOtherSessions);
  const ask = () =>
    confirm({
      title: t("account.endOthers"),
      text: t("account.endOthersText"),
      confirm: t("account.endOthers"),
      danger: true,
      act: () => end.mutateAsync({}),
    });
  return (
    <Button variant="default" size="xs" onClick={ask}>
      {t("account.endOthers")}
    </Button>
  );
}
