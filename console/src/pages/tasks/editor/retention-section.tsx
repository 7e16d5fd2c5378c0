import { Input, NumberInput, SimpleGrid, Switch } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useRetentionWords } from "../retention-words.ts";
import { rulesOf } from "./body.ts";
import { useTaskForm } from "./form.ts";
import { RetentionPreview } from "./retention-preview.tsx";
import { FoldedSection } from "./section.tsx";

const rules = ["keepLast", "keepDaily", "keepWeekly", "keepMonthly", "keepYearly", "keepDays"] as const;
const usual = {
  keepLast: "",
  keepDaily: 7,
  keepWeekly: 4,
  keepMonthly: 12,
  keepYearly: "",
  keepDays: "",
} as const;

/** Which backups are kept, and with it which go. */
export function RetentionSection({ taskId }: { taskId: number | null }) {
  const { t } = useTranslation();
  const form = useTaskForm();
  const { hasRetention, retention } = form.values;
  const chosen = rulesOf(retention);
  const retentionWords = useRetentionWords();
  const summary = hasRetention ? retentionWords(chosen) : t("taskEditor.keepsAll");
  return (
    <FoldedSection
      title={t("taskEditor.retention")}
      text={t("taskEditor.retentionText")}
      summary={summary}
      fields={["retention"]}
    >
      <Switch
        label={t("taskEditor.hasRetention")}
        checked={hasRetention}
        onChange={(event) => {
          form.setFieldValue("hasRetention", event.currentTarget.checked);
          if (event.currentTarget.checked && Object.keys(chosen).length === 0)
            form.setFieldValue("retention", { ...usual });
        }}
      />
      {hasRetention ? (
        <>
          <SimpleGrid cols={{ base: 2, sm: 3 }}>
            {rules.map((rule) => (
              <NumberInput
                key={rule}
                label={t(`taskEditor.${rule}`)}
                min={1}
                max={10_000}
                allowDecimal={false}
                placeholder="–"
                {...form.getInputProps(`retention.${rule}`)}
              />
            ))}
          </SimpleGrid>
          <Input.Description>{t("taskEditor.retentionHint")}</Input.Description>
          {form.errors["retention"] ? (
            <Input.Error role="alert">{form.errors["retention"]}</Input.Error>
          ) : null}
          {taskId === null ? null : <RetentionPreview taskId={taskId} rules={chosen} />}
        </>
      ) : null}
    </FoldedSection>
  );
}
