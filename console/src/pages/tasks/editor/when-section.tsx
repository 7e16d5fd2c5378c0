import { Switch } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { ScheduleField } from "../../../components/schedule-field.tsx";
import { TimeZoneSelect } from "../../../components/time-zone-select.tsx";
import { useTaskForm } from "./form.ts";
import { Section } from "./section.tsx";

/** When it runs by itself. */
export function WhenSection() {
  const { t } = useTranslation();
  const form = useTaskForm();
  const { isScheduled, schedule, timeZone } = form.values;
  return (
    <Section title={t("taskEditor.when")} text={t("taskEditor.whenText")}>
      <Switch
        label={t("taskEditor.isScheduled")}
        {...form.getInputProps("isScheduled", { type: "checkbox" })}
      />
      {isScheduled ? (
        <>
          <TimeZoneSelect
            label={t("taskEditor.timeZone")}
            {...form.getInputProps("timeZone")}
            value={timeZone}
          />
          <ScheduleField
            label={t("taskEditor.when")}
            timeZone={timeZone}
            {...form.getInputProps("schedule")}
            value={schedule}
          />
        </>
      ) : null}
    </Section>
  );
}
