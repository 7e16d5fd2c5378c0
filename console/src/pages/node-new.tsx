import { Paper, Tabs } from "@mantine/core";
import { IconServer, IconStack2 } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Page } from "../components/page.tsx";
import { AddOne } from "./nodes/add-one.tsx";
import { AddSeveral } from "./nodes/add-several.tsx";

/** Adds one server, or many. */
export function NewNode() {
  const { t } = useTranslation();
  return (
    <Page title={t("nodes.add")} lead={t("nodes.addLead")}>
      <Paper withBorder p="lg" maw={860}>
        <Tabs defaultValue="one">
          <Tabs.List mb="lg">
            <Tabs.Tab value="one" leftSection={<IconServer size={16} aria-hidden />}>
              {t("nodes.one")}
            </Tabs.Tab>
            <Tabs.Tab value="several" leftSection={<IconStack2 size={16} aria-hidden />}>
              {t("nodes.several")}
            </Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="one">
            <AddOne />
          </Tabs.Panel>
          <Tabs.Panel value="several">
            <AddSeveral />
          </Tabs.Panel>
        </Tabs>
      </Paper>
    </Page>
  );
}
