import { Badge, Button, Group, Text } from "@mantine/core";
import { modals } from "@mantine/modals";
import { IconPlus } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../api/admin-api.ts";
import { useAnswer } from "../api/queries.ts";
import { ErrorNotice } from "../components/error-notice.tsx";
import { Facts } from "../components/facts.tsx";
import { Page } from "../components/page.tsx";
import { RoleBadge } from "../components/role-badge.tsx";
import { allRoles } from "../components/role-select.tsx";
import { type Column, Rows } from "../components/rows.tsx";
import { Section } from "../components/section.tsx";
import { Waiting } from "../components/waiting.tsx";
import { When } from "../components/when.tsx";
import { useMe } from "../session.tsx";
import { NewUser } from "./users/new-user.tsx";
import type { User } from "./users/user.ts";
import { UserMenu } from "./users/user-menu.tsx";

/** Who may sign in, and what they may do. */
export function Users() {
  const { t } = useTranslation();
  const me = useMe();
  const users = useAnswer(adminApi.listUsers, {});
  const columns: Column<User>[] = [
    {
      label: t("users.name"),
      cell: ({ username, disabled }) => (
        <Group gap="xs">
          <Text size="sm" fw={500} className="long-name">
            {username}
          </Text>
          {username === me.name ? <Badge variant="default">{t("users.you")}</Badge> : null}
          {disabled ? (
            <Badge variant="light" color="orange">
              {t("users.disabled")}
            </Badge>
          ) : null}
        </Group>
      ),
    },
    { label: t("roles.role"), cell: ({ role }) => <RoleBadge role={role} /> },
    { label: t("users.lastLogin"), cell: ({ lastLoginAt }) => <When at={lastLoginAt} /> },
    { label: t("users.added"), cell: ({ createdAt }) => <When at={createdAt} /> },
    { label: "", width: 60, cell: (user) => <UserMenu user={user} /> },
  ];
  const add = () => {
    const id = modals.open({
      title: t("users.newTitle"),
      children: <NewUser close={() => modals.close(id)} />,
    });
  };
  return (
    <Page
      title={t("users.title")}
      lead={t("users.lead")}
      actions={
        <Button onClick={add} leftSection={<IconPlus size={16} aria-hidden />}>
          {t("users.add")}
        </Button>
      }
    >
      {users.isPending ? <Waiting /> : null}
      <ErrorNotice error={users.error} retry={() => users.refetch()} />
      {users.data ? (
        <Rows caption={t("users.title")} columns={columns} items={users.data.items} keyOf={({ id }) => id} />
      ) : null}
      <Section title={t("roles.title")}>
        <Facts
          items={allRoles.map((role) => ({ label: t(`roles.${role}`), value: t(`roles.${role}May`) }))}
        />
      </Section>
    </Page>
  );
}
