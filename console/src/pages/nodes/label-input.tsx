import { TagsInput, type TagsInputProps } from "@mantine/core";
import { useTranslation } from "react-i18next";

type Props = Omit<TagsInputProps, "label" | "onChange"> & { onChange(labels: string[]): void };

/** Labels of a node, each ended by Enter, a comma or a space. */
export function LabelInput({ onChange, ...props }: Props) {
  const { t } = useTranslation();
  return (
    <TagsInput
      label={t("nodes.labels")}
      description={t("nodes.labelsHint")}
      splitChars={[",", " ", ";"]}
      acceptValueOnBlur
      maxTags={32}
      {...props}
      onChange={(labels) => onChange([...new Set(labels.flatMap(separate))])}
    />
  );
}

/** What is left in the field when one goes on may hold several, and labels have no capitals. */
const separate = (text: string) =>
  text
    .toLowerCase()
    .split(/[,;\s]+/)
    .filter(Boolean);
