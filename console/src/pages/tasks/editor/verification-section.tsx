import { Select, Switch } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { NodeSelect } from "../../../components/node-select.tsx";
import { ScheduleField } from "../../../components/schedule-field.tsx";
import { useScheduleWords } from "../../../components/schedule-words.tsx";
import { useTaskForm } from "./form.ts";
import { FoldedSection } from "./section.tsx";

/** Whether and how backups are looked into by themselves. */
export function VerificationSection() {
  const { t } = useTranslation();
  const form = useTaskForm();
  const { isVerified, verification, timeZone } = form.values;
  const words = useScheduleWords(verification.schedule) ?? verification.schedule;
  const grade = t(`taskEditor.grade${verification.grade as 1}`);
  return (
    <FoldedSection
      title={t("taskEditor.verification")}
      text={t("taskEditor.verificationText")}
      summary={isVerified ? `${grade} · ${words}` : t("taskEditor.verifiedByHand")}
      fields={["verification"]}
    >
      <Switch
        label={t("taskEditor.isVerified")}
        {...form.getInputProps("isVerified", { type: "checkbox" })}
      />
      {isVerified ? (
        <>
          <Select
            label={t("taskEditor.grade")}
            allowDeselect={false}
            data={([1, 2, 3, 4] as const).map((one) => ({
              value: String(one),
              label: t(`taskEditor.grade${one}`),
            }))}
            value={String(verification.grade)}
            onChange={(one) => form.setFieldValue("verification.grade", Number(one))}
            error={form.errors["verification.grade"]}
          />
          <ScheduleField
            label={t("taskEditor.verification")}
            timeZone={timeZone}
            {...form.getInputProps("verification.schedule")}
            value={verification.schedule}
          />
          <NodeSelect
            label={t("taskEditor.verifier")}
            placeholder={t("taskEditor.verifierSame")}
            clearable
            {...form.getInputProps("verification.nodeId")}
            value={verification.nodeId}
          />
        </>
      ) : null}
    </FoldedSection>
  );
}
