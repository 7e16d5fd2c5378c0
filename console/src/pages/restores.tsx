import { useTranslation } from "react-i18next";
import { Page } from "../components/page.tsx";
import { RestoreRows } from "./restores/restore-rows.tsx";

export function Restores() {
  const { t } = useTranslation();
  return (
    <Page title={t("restores.title")} lead={t("restores.lead")}>
      <RestoreRows />
    </Page>
  );
}
