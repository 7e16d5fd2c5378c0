import { TagsInput, TextInput } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../../api/admin-api.ts";
import { useAnswer } from "../../../api/queries.ts";
import { useTaskForm } from "./form.ts";
import { Section } from "./section.tsx";

/** What it is called and sorted by. */
export function BasicsSection() {
  const { t } = useTranslation();
  const form = useTaskForm();
  const tags = useAnswer(adminApi.listTaskTags, {}).data?.items ?? [];
  return (
    <Section title={t("taskEditor.basics")} text={t("taskEditor.basicsText")}>
      <TextInput
        label={t("common.name")}
        placeholder={t("taskEditor.namePlaceholder")}
        required
        maxLength={100}
        {...form.getInputProps("name")}
      />
      <TagsInput
        label={t("tasks.tags")}
        description={t("taskEditor.tagsHint")}
        maxTags={16}
        data={tags}
        {...form.getInputProps("tags")}
      />
    </Section>
  );
}
