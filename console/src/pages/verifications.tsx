import { useTranslation } from "react-i18next";
import { Page } from "../components/page.tsx";
import { VerificationRows } from "./verifications/verification-rows.tsx";

export function Verifications() {
  const { t } = useTranslation();
  return (
    <Page title={t("verifications.title")} lead={t("verifications.lead")}>
      <VerificationRows />
    </Page>
  );
}
