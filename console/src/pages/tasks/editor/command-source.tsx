import { Autocomplete } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useChosenNode } from "./chosen-node.ts";
import { useTaskForm } from "./form.ts";

/** What a command writes that the node's own configuration names. */
export function CommandSource() {
  const { t } = useTranslation();
  const form = useTaskForm();
  return (
    <Autocomplete
      label={t("taskEditor.command")}
      description={t("taskEditor.commandHint")}
      required
      data={useChosenNode()?.capabilities?.commands ?? []}
      {...form.getInputProps("sources.command.name")}
    />
  );
}
