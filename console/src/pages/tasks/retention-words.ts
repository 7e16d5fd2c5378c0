import { useTranslation } from "react-i18next";
import type { TaskDetail } from "./task.ts";

type Rules = Partial<Record<keyof NonNullable<TaskDetail["retention"]>, number | undefined>>;

/** Says in words which backups rules keep. */
export function useRetentionWords(): (rules: Rules) => string {
  const { t, i18n } = useTranslation();
  const list = new Intl.ListFormat(i18n.language, { type: "conjunction" });
  return (rules) =>
    list.format(
      Object.entries(rules)
        .filter(([, count]) => count !== undefined)
        .map(([rule, count]) => t(`taskEditor.${rule as keyof Rules}Words`, { count: count ?? 0 })),
    );
}
