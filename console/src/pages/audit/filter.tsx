import { Button, Select } from "@mantine/core";
import { IconFilterOff } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router";
import { adminApi } from "../../api/admin-api.ts";
import { useAnswer } from "../../api/queries.ts";
import type { useFilters } from "../../components/use-filters.ts";
import { auditActions, useActionWords } from "./words.ts";

/** Of these the master takes one at a time: each has an index of its own. */
export const auditFilters = ["actor", "action", "entity", "entityId"] as const;

/** Narrows the audit log to somebody, to an action, or to the thing whose page led here. */
export function AuditFilter({ filters }: { filters: ReturnType<typeof useFilters> }) {
  const { t } = useTranslation();
  const wordsOf = useActionWords();
  const users = useAnswer(adminApi.listUsers, {});
  const [, setParams] = useSearchParams();
  const keys = useAnswer(adminApi.listApiKeys, {});
  const choose = (name: "actor" | "action", value: string | null) => {
    setParams(value === null ? {} : { [name]: value }, { replace: true });
  };
  const actor = filters.get("actor");
  const known = [
    ...(users.data?.items.map(({ username }) => username) ?? []),
    ...(keys.data?.items.map(({ name }) => name) ?? []),
  ];
  return (
    <>
      <Select
        label={t("audit.who")}
        placeholder={t("audit.anybody")}
        searchable
        clearable
        data={[...new Set(actor === null ? known : [...known, actor])]}
        value={actor}
        onChange={(value) => choose("actor", value)}
      />
      <Select
        label={t("audit.what")}
        placeholder={t("audit.anything")}
        searchable
        clearable
        w={260}
        data={auditActions.map((action) => ({ value: action, label: wordsOf(action) }))}
        value={filters.get("action")}
        onChange={(value) => choose("action", value)}
      />
      {filters.any ? (
        <Button
          variant="subtle"
          leftSection={<IconFilterOff size={16} aria-hidden />}
          onClick={() => choose("actor", null)}
        >
          {t("audit.clear")}
        </Button>
      ) : null}
    </>
  );
}
