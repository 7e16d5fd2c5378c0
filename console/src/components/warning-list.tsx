import { Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Rows } from "./rows.tsx";
import { Section } from "./section.tsx";

type Warning = { path: string; reason: string };
type Props = { warnings: Warning[]; count: number };

/** What a run could not do as it should have; nothing when there is nothing. The master keeps the first only. */
export function WarningList({ warnings, count }: Props) {
  const { t } = useTranslation();
  if (count === 0) return null;
  return (
    <Section title={`${t("record.warnings")} (${count})`}>
      <Text size="sm" c="dimmed">
        {t("record.warningsLead")}
        {count > warnings.length ? ` ${t("record.warningsShown", { count: warnings.length })}` : null}
      </Text>
      <Rows
        caption={t("record.warnings")}
        items={warnings.map((warning, index) => ({ ...warning, index }))}
        keyOf={({ index }) => index}
        columns={[
          { label: t("record.warningPath"), cell: ({ path }) => <span className="long-name">{path}</span> },
          {
            label: t("record.warningReason"),
            cell: ({ reason }) => <span className="long-name">{reason}</span>,
          },
        ]}
      />
    </Section>
  );
}
