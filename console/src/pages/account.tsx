import { SegmentedControl, SimpleGrid, Stack, Text, useMantineColorScheme } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Facts } from "../components/facts.tsx";
import { LanguageChoice } from "../components/language-choice.tsx";
import { Page } from "../components/page.tsx";
import { RoleBadge } from "../components/role-badge.tsx";
import { Section } from "../components/section.tsx";
import { viewersZone } from "../components/viewers-zone.ts";
import { useMe } from "../session.tsx";
import { ChangePassword } from "./account/change-password.tsx";
import { Sessions } from "./account/sessions.tsx";

/** Who one is, how the console looks, one's password, and where one is signed in. */
export function Account() {
  const { t } = useTranslation();
  const me = useMe();
  return (
    <Page title={t("nav.profile")}>
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Stack>
          <Section title={me.name}>
            <RoleBadge role={me.role} />
            <Text size="sm">{t(`roles.${me.role}May`)}</Text>
          </Section>
          <Section title={t("account.look")}>
            <Facts
              items={[
                { label: t("common.language"), value: <LanguageChoice /> },
                { label: t("account.appearance"), value: <Appearance /> },
                { label: t("account.zone"), value: viewersZone() },
              ]}
            />
          </Section>
        </Stack>
        <ChangePassword />
      </SimpleGrid>
      <Sessions />
    </Page>
  );
}

function Appearance() {
  const { t } = useTranslation();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <SegmentedControl
      size="xs"
      aria-label={t("account.appearance")}
      value={colorScheme}
      onChange={(value) => setColorScheme(value as typeof colorScheme)}
      data={[
        { value: "auto", label: t("account.auto") },
        { value: "light", label: t("nav.lightMode") },
        { value: "dark", label: t("nav.darkMode") },
      ]}
    />
  );
}
