import { TagsInput, type TagsInputProps } from "@mantine/core";
import { useTranslation } from "react-i18next";

/** Labels of a node, each ended by Enter, a comma or a space. */
export function LabelInput(props: Omit<TagsInputProps, "label">) {
  const { t } = useTranslation();
  return (
    <TagsInput
      label={t("nodes.labels")}
      description={t("nodes.labelsHint")}
      splitChars={[",", " ", ";"]}
      acceptValueOnBlur
      maxTags={32}
      {...props}
    />
  );
}
