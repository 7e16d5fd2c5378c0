import { Stack } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Section } from "../../components/section.tsx";
import { RestoreRows } from "../restores/restore-rows.tsx";
import { VerificationRows } from "../verifications/verification-rows.tsx";

/** What was done with a backup after it was made. */
export function RecordHistory({ recordId }: { recordId: number }) {
  const { t } = useTranslation();
  return (
    <Stack gap="lg">
      <Section title={t("verifications.title")}>
        <VerificationRows query={{ recordId }} />
      </Section>
      <Section title={t("restores.title")}>
        <RestoreRows query={{ recordId }} />
      </Section>
    </Stack>
  );
}
