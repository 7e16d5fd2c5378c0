import { useTranslation } from "react-i18next";
import { NoneMatches } from "../components/none-matches.tsx";
import { Page } from "../components/page.tsx";
import { RunFilters, runFilterNames } from "../components/run-filters.tsx";
import { useFilters } from "../components/use-filters.ts";
import { type VerificationQuery, VerificationRows } from "./verifications/verification-rows.tsx";

const states = ["queued", "running", "success", "incomplete", "failed", "damaged", "cancelled"] as const;

export function Verifications() {
  const { t } = useTranslation();
  const filters = useFilters(runFilterNames);
  const none = (
    <NoneMatches
      title={t("verifications.noneMatchesTitle")}
      text={t("verifications.noneMatchesText")}
      clear={filters.clear}
    />
  );
  return (
    <Page title={t("verifications.title")} lead={t("verifications.lead")}>
      <RunFilters label={t("verifications.filters")} filters={filters} states={states} />
      <VerificationRows query={queryOf(filters.all)} {...(filters.any ? { none } : {})} />
    </Page>
  );
}

/** To people, one that found damage is in a state of its own; to the master it has failed. */
function queryOf(filters: Record<string, string>): VerificationQuery {
  const isDamaged = filters["status"] === "damaged";
  if (!isDamaged && filters["status"] !== "failed") return filters as VerificationQuery;
  return { ...filters, status: "failed", damaged: isDamaged ? "true" : "false" };
}
