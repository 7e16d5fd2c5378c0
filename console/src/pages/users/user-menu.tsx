import { ActionIcon, Menu } from "@mantine/core";
import { modals } from "@mantine/modals";
import {
  IconDots,
  IconHistory,
  IconKey,
  IconTrash,
  IconUserCheck,
  IconUserOff,
  IconUserShield,
} from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { adminApi } from "../../api/admin-api.ts";
import { useChange } from "../../api/queries.ts";
import { confirm } from "../../components/confirm.tsx";
import { ChangeUser } from "./change-user.tsx";
import type { User } from "./user.ts";

/** What an administrator can do about a user. */
export function UserMenu({ user }: { user: User }) {
  const { t } = useTranslation();
  const update = useChange(adminApi.updateUser);
  const remove = useChange(adminApi.deleteUser);
  const { username: name } = user;
  const params = { id: String(user.id) };
  const change = (what: "role" | "password") => {
    const title = what === "role" ? t("users.roleTitle", { name }) : t("users.passwordTitle", { name });
    const id = modals.open({
      title,
      children: <ChangeUser user={user} what={what} close={() => modals.close(id)} />,
    });
  };
  const disable = () =>
    confirm({
      title: t("users.disableTitle", { name }),
      text: t("users.disableText"),
      confirm: t("users.disable"),
      danger: true,
      act: () => update.mutateAsync({ params, body: { disabled: true } }),
    });
  const enable = () =>
    confirm({
      title: t("users.enableTitle", { name }),
      text: t("users.enableText"),
      confirm: t("users.enable"),
      act: () => update.mutateAsync({ params, body: { disabled: false } }),
    });
  const ask = () =>
    confirm({
      title: t("users.deleteTitle", { name }),
      text: t("users.deleteText"),
      confirm: t("users.delete"),
      danger: true,
      act: () => remove.mutateAsync({ params }),
    });
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={t("users.actions", { name })}>
          <IconDots size={18} aria-hidden />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={<IconUserShield size={16} aria-hidden />} onClick={() => change("role")}>
          {t("users.changeRole")}
        </Menu.Item>
        <Menu.Item leftSection={<IconKey size={16} aria-hidden />} onClick={() => change("password")}>
          {t("users.resetPassword")}
        </Menu.Item>
        <Menu.Item
          leftSection={<IconHistory size={16} aria-hidden />}
          component={Link}
          to={`/audit?actor=${encodeURIComponent(name)}`}
        >
          {t("users.deeds")}
        </Menu.Item>
        <Menu.Divider />
        {user.disabled ? (
          <Menu.Item leftSection={<IconUserCheck size={16} aria-hidden />} onClick={enable}>
            {t("users.enable")}
          </Menu.Item>
        ) : (
          <Menu.Item leftSection={<IconUserOff size={16} aria-hidden />} onClick={disable}>
            {t("users.disable")}
          </Menu.Item>
        )}
        <Menu.Item color="red" leftSection={<IconTrash size={16} aria-hidden />} onClick={ask}>
          {t("users.delete")}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
