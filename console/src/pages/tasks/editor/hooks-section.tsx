import { Autocomplete, Select, SimpleGrid } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useChosenNode } from "./chosen-node.ts";
import { useTaskForm } from "./form.ts";
import { FoldedSection } from "./section.tsx";

const moments = ["before", "afterSuccess", "afterFailure", "afterAlways"] as const;

/** Programs of the node around a run. */
export function HooksSection() {
  const { t } = useTranslation();
  const form = useTaskForm();
  const known = useChosenNode()?.capabilities?.hooks ?? [];
  const { hooks } = form.values;
  const chosen = moments.filter((moment) => hooks[moment] !== "");
  const summary = chosen.map((moment) => `${t(`taskEditor.hook_${moment}`)}: ${hooks[moment]}`).join(" · ");
  return (
    <FoldedSection
      title={t("taskEditor.hooks")}
      text={t("taskEditor.hooksText")}
      summary={summary || t("taskEditor.noHooks")}
      fields={["hooks"]}
    >
      <SimpleGrid cols={{ base: 1, xs: 2 }}>
        {moments.map((moment) => (
          <Autocomplete
            key={moment}
            label={t(`taskEditor.hook_${moment}`)}
            data={known}
            {...form.getInputProps(`hooks.${moment}`)}
          />
        ))}
        {hooks.before === "" ? null : (
          <Select
            label={t("taskEditor.ifBeforeFails")}
            allowDeselect={false}
            data={(["fail", "continue"] as const).map((value) => ({
              value,
              label: t(`taskEditor.ifBeforeFails_${value}`),
            }))}
            {...form.getInputProps("hooks.ifBeforeFails")}
          />
        )}
      </SimpleGrid>
    </FoldedSection>
  );
}
