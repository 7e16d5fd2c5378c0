import { Anchor, SimpleGrid } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { adminApi } from "../api/admin-api.ts";
import { useAnswer } from "../api/queries.ts";
import { Bytes } from "../components/bytes.tsx";
import { ErrorNotice } from "../components/error-notice.tsx";
import { Facts } from "../components/facts.tsx";
import { Page } from "../components/page.tsx";
import { Section } from "../components/section.tsx";
import { Waiting } from "../components/waiting.tsx";

/** What this master is and how it is set up. It is changed where it is deployed, not here. */
export function Settings() {
  const { t } = useTranslation();
  const settings = useAnswer(adminApi.getSettings, {});
  if (settings.isPending) return <Waiting />;
  if (!settings.data) return <ErrorNotice error={settings.error} retry={() => settings.refetch()} />;
  const s = settings.data;
  return (
    <Page title={t("nav.settings")} lead={t("settings.lead")}>
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Section title={t("settings.master")}>
          <Facts
            items={[
              { label: t("settings.version"), value: s.version },
              {
                label: t("settings.protocol"),
                value:
                  s.protocol.oldest === s.protocol.newest
                    ? s.protocol.newest
                    : `${s.protocol.oldest} – ${s.protocol.newest}`,
              },
              { label: t("settings.address"), value: location.origin },
              { label: t("settings.database"), value: <Bytes of={s.databaseBytes} /> },
              {
                label: t("settings.api"),
                value: (
                  <Anchor href="/api/openapi.json" target="_blank" inherit underline="always">
                    openapi.json
                  </Anchor>
                ),
              },
            ]}
          />
        </Section>
        <Section title={t("settings.limits")}>
          <Facts
            items={[
              { label: t("settings.history"), value: t("settings.days", { count: s.historyDays }) },
              { label: t("settings.session"), value: t("settings.hours", { count: s.sessionHours }) },
              { label: t("settings.starts"), value: t("settings.perMinute", { count: s.dueTasksPerMinute }) },
              { label: t("settings.doorbells"), value: s.doorbellShards },
            ]}
          />
        </Section>
      </SimpleGrid>
    </Page>
  );
}
