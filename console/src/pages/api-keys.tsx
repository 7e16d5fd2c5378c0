import { Badge, Button, Group, Text } from "@mantine/core";
import { modals } from "@mantine/modals";
import { IconKey, IconPlus } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { z } from "zod";
import { adminApi } from "../api/admin-api.ts";
import { useAnswer, useChange } from "../api/queries.ts";
import { confirm } from "../components/confirm.tsx";
import { EmptyState } from "../components/empty-state.tsx";
import { ErrorNotice } from "../components/error-notice.tsx";
import { Page } from "../components/page.tsx";
import { RoleBadge } from "../components/role-badge.tsx";
import { type Column, Rows } from "../components/rows.tsx";
import { useNow } from "../components/use-now.ts";
import { Waiting } from "../components/waiting.tsx";
import { When } from "../components/when.tsx";
import { NewApiKey } from "./api-keys/new-api-key.tsx";

type ApiKey = z.output<typeof adminApi.listApiKeys.reply>["items"][number];

/** Keys with which programs call the master. */
export function ApiKeys() {
  const { t } = useTranslation();
  const keys = useAnswer(adminApi.listApiKeys, {});
  const columns: Column<ApiKey>[] = [
    { label: t("common.name"), cell: (key) => <NameAndState apiKey={key} /> },
    { label: t("roles.role"), cell: ({ role }) => <RoleBadge role={role} /> },
    { label: t("apiKeys.lastUsed"), cell: ({ lastUsedAt }) => <When at={lastUsedAt} /> },
    { label: t("apiKeys.expires"), cell: ({ expiresAt }) => <When at={expiresAt} /> },
    { label: t("apiKeys.made"), cell: ({ createdAt }) => <When at={createdAt} /> },
    { label: "", width: 110, cell: (key) => <Revoke apiKey={key} /> },
  ];
  const make = () => {
    const id = modals.open({
      title: t("apiKeys.newTitle"),
      size: "lg",
      // The key is shown this once: a click beside the dialog must not lose it.
      closeOnClickOutside: false,
      children: <NewApiKey close={() => modals.close(id)} />,
    });
  };
  const add = (
    <Button onClick={make} leftSection={<IconPlus size={16} aria-hidden />}>
      {t("apiKeys.add")}
    </Button>
  );
  return (
    <Page title={t("apiKeys.title")} lead={t("apiKeys.lead")} actions={add}>
      {keys.isPending ? <Waiting /> : null}
      <ErrorNotice error={keys.error} retry={() => keys.refetch()} />
      {keys.data?.items.length === 0 ? (
        <EmptyState icon={IconKey} title={t("apiKeys.emptyTitle")} text={t("apiKeys.emptyText")} />
      ) : null}
      {keys.data && keys.data.items.length > 0 ? (
        <Rows caption={t("apiKeys.title")} columns={columns} items={keys.data.items} keyOf={({ id }) => id} />
      ) : null}
    </Page>
  );
}

function NameAndState({ apiKey: { name, expiresAt } }: { apiKey: ApiKey }) {
  const { t } = useTranslation();
  const now = useNow(60_000);
  return (
    <Group gap="xs">
      <Text size="sm" fw={500} className="long-name">
        {name}
      </Text>
      {expiresAt !== null && expiresAt <= now ? (
        <Badge variant="light" color="orange">
          {t("apiKeys.expired")}
        </Badge>
      ) : null}
    </Group>
  );
}

function Revoke({ apiKey: { id, name } }: { apiKey: ApiKey }) {
  const { t } = useTranslation();
  const remove = useChange(adminApi.deleteApiKey);
  const ask = () =>
    confirm({
      title: t("apiKeys.revokeTitle", { name }),
      text: t("apiKeys.revokeText"),
      confirm: t("apiKeys.revoke"),
      danger: true,
      act: () => remove.mutateAsync({ params: { id: String(id) } }),
    });
  return (
    <Button
      size="compact-sm"
      variant="subtle"
      color="red"
      onClick={ask}
      aria-label={`${t("apiKeys.revoke")}: ${name}`}
    >
      {t("apiKeys.revoke")}
    </Button>
  );
}
