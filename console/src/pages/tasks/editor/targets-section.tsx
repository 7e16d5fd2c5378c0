import { Alert, Anchor, MultiSelect, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { adminApi } from "../../../api/admin-api.ts";
import { usePages } from "../../../api/queries.ts";
import { useTaskForm } from "./form.ts";
import { Section } from "./section.tsx";

/** Where backups are kept; each place gets a copy. */
export function TargetsSection() {
  const { t } = useTranslation();
  const form = useTaskForm();
  const pages = usePages(adminApi.listTargets, { limit: 200 });
  const targets = pages.data?.pages.flatMap((page) => page.items);
  return (
    <Section title={t("taskEditor.targets")} text={t("taskEditor.targetsText")}>
      {targets?.length === 0 ? (
        <Alert color="blue">
          <Text size="sm">
            {t("taskEditor.noTargets")}{" "}
            <Anchor component={Link} to="/targets" size="sm">
              {t("taskEditor.toTargets")}
            </Anchor>
          </Text>
        </Alert>
      ) : null}
      <MultiSelect
        label={t("taskEditor.targetsLabel")}
        description={t("taskEditor.targetsHint")}
        required
        searchable
        maxValues={16}
        data={(targets ?? []).map(({ id, name }) => ({ value: String(id), label: name }))}
        nothingFoundMessage={t("nav.nothingFound")}
        {...form.getInputProps("targetIds")}
      />
    </Section>
  );
}
