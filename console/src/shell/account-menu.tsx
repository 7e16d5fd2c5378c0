import { ActionIcon, Menu, useComputedColorScheme, useMantineColorScheme } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconLanguage, IconLogout, IconMoon, IconSun, IconUser } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { adminApi } from "../api/admin-api.ts";
import { ApiError, call } from "../api/call.ts";
import { queryClient } from "../api/queries.ts";
import { chooseLanguage, type Language, languages } from "../i18n/i18n.ts";
import { useMe } from "../session.tsx";

/** Who is signed in; language, appearance, and the way out. */
export function AccountMenu() {
  const { t, i18n } = useTranslation();
  const me = useMe();
  const navigate = useNavigate();
  const { setColorScheme } = useMantineColorScheme();
  const isDark = useComputedColorScheme("light") === "dark";
  const leave = async () => {
    try {
      await call(adminApi.logout, {});
    } catch (error) {
      // Who has no session any more has what was asked for.
      if (!(error instanceof ApiError) || error.code !== "UNAUTHENTICATED") {
        notifications.show({ color: "red", message: (error as Error).message });
        return;
      }
    }
    // Nothing that was shown to one person may be shown to the next.
    queryClient.clear();
    location.assign("/");
  };
  return (
    <Menu position="bottom-end" width={220}>
      <Menu.Target>
        <ActionIcon variant="default" size="lg" aria-label={`${t("nav.profile")}: ${me.name}`}>
          <IconUser size={18} aria-hidden />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {me.name} · {t(`roles.${me.role}`)}
        </Menu.Label>
        <Menu.Item leftSection={<IconUser size={16} aria-hidden />} onClick={() => navigate("/profile")}>
          {t("nav.profile")}
        </Menu.Item>
        <Menu.Item
          leftSection={isDark ? <IconSun size={16} aria-hidden /> : <IconMoon size={16} aria-hidden />}
          onClick={() => setColorScheme(isDark ? "light" : "dark")}
        >
          {isDark ? t("nav.lightMode") : t("nav.darkMode")}
        </Menu.Item>
        {Object.entries(languages)
          .filter(([language]) => language !== i18n.language)
          .map(([language, label]) => (
            <Menu.Item
              key={language}
              lang={language}
              leftSection={<IconLanguage size={16} aria-hidden />}
              onClick={() => chooseLanguage(language as Language)}
            >
              {label}
            </Menu.Item>
          ))}
        <Menu.Divider />
        <Menu.Item leftSection={<IconLogout size={16} aria-hidden />} onClick={leave}>
          {t("nav.signOut")}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
