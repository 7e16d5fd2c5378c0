import { useTranslation } from "react-i18next";
import { NoneMatches } from "../components/none-matches.tsx";
import { Page } from "../components/page.tsx";
import { RunFilters, runFilterNames } from "../components/run-filters.tsx";
import { useFilters } from "../components/use-filters.ts";
import { type RestoreQuery, RestoreRows } from "./restores/restore-rows.tsx";

const states = ["queued", "running", "success", "failed", "cancelled"] as const;

export function Restores() {
  const { t } = useTranslation();
  const filters = useFilters(runFilterNames);
  const none = (
    <NoneMatches
      title={t("restores.noneMatchesTitle")}
      text={t("restores.noneMatchesText")}
      clear={filters.clear}
    />
  );
  return (
    <Page title={t("restores.title")} lead={t("restores.lead")}>
      <RunFilters label={t("restores.filters")} filters={filters} states={states} />
      <RestoreRows query={filters.all as RestoreQuery} {...(filters.any ? { none } : {})} />
    </Page>
  );
}
