import { Select } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useChosenNode } from "./chosen-node.ts";
import { CommandSource } from "./command-source.tsx";
import { DatabaseSource } from "./database-source.tsx";
import { FileSource } from "./file-source.tsx";
import { useTaskForm } from "./form.ts";
import { Section } from "./section.tsx";
import { SourcePreview } from "./source-preview.tsx";
import { SqliteSource } from "./sqlite-source.tsx";

const kinds = ["file", "postgresql", "mysql", "mongodb", "saphana", "sqlite", "command"] as const;

/** What is backed up. */
export function SourceSection({ taskId, secretsSet }: { taskId: number | null; secretsSet: string[] }) {
  const { t } = useTranslation();
  const form = useTaskForm();
  const able = useChosenNode()?.capabilities?.sources;
  const kind = form.values.sourceType;
  return (
    <Section title={t("taskEditor.source")} text={t("taskEditor.sourceText")}>
      <Select
        label={t("taskEditor.kind")}
        maw={320}
        allowDeselect={false}
        data={kinds.map((value) => ({
          value,
          label:
            able && !able.includes(value)
              ? t("taskEditor.kindLacking", { kind: t(`sources.${value}`) })
              : t(`sources.${value}`),
        }))}
        {...form.getInputProps("sourceType")}
      />
      {kind === "file" ? <FileSource /> : null}
      {kind === "sqlite" ? <SqliteSource /> : null}
      {kind === "command" ? <CommandSource /> : null}
      {kind === "postgresql" || kind === "mysql" || kind === "mongodb" || kind === "saphana" ? (
        <DatabaseSource
          key={kind}
          kind={kind}
          taskId={taskId}
          isPasswordSet={secretsSet.includes("password")}
        />
      ) : null}
      <SourcePreview taskId={taskId} />
    </Section>
  );
}
