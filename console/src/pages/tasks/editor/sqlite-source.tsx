import { useTranslation } from "react-i18next";
import { useTaskForm } from "./form.ts";
import { PathList } from "./path-list.tsx";

/** Database files that are copied whole and consistent while others write to them. */
export function SqliteSource() {
  const { t } = useTranslation();
  const form = useTaskForm();
  return (
    <PathList
      label={t("taskEditor.sqlitePaths")}
      only="files"
      {...form.getInputProps("sources.sqlite.paths")}
    />
  );
}
