import { Anchor, Group, Switch, TagsInput, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useTaskForm } from "./form.ts";
import { PathList } from "./path-list.tsx";

/** What people mostly do not want back. */
const suggestions = ["node_modules/", ".cache/", "*.tmp", "*.log", "/proc/", "/sys/", "/dev/", "/run/"];

/** Files and directories, and what of them is left out. */
export function FileSource() {
  const { t } = useTranslation();
  const form = useTaskForm();
  const { excludes } = form.values.sources.file;
  const left = suggestions.filter((pattern) => !excludes.includes(pattern));
  return (
    <>
      <PathList label={t("taskEditor.paths")} {...form.getInputProps("sources.file.paths")} />
      <TagsInput
        label={t("taskEditor.excludes")}
        description={t("taskEditor.excludesHint")}
        // A comma may be part of a pattern.
        splitChars={["\n"]}
        acceptValueOnBlur
        {...form.getInputProps("sources.file.excludes")}
      />
      <Group gap="xs">
        <Text size="xs" c="dimmed">
          {t("taskEditor.suggestions")}
        </Text>
        {left.map((pattern) => (
          <Anchor
            key={pattern}
            component="button"
            type="button"
            size="xs"
            ff="monospace"
            onClick={() => form.setFieldValue("sources.file.excludes", [...excludes, pattern])}
          >
            {pattern}
          </Anchor>
        ))}
      </Group>
      <Switch
        label={t("taskEditor.oneFileSystem")}
        description={t("taskEditor.oneFileSystemHint")}
        {...form.getInputProps("sources.file.oneFileSystem", { type: "checkbox" })}
      />
    </>
  );
}
