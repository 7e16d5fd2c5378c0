import { Button, Group } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Filters } from "./use-filters.ts";

type Props = { label: string; filters: Filters; children: ReactNode };

/** What a list can be narrowed to, and while it is, the way back to all of it. */
export function FilterGroup({ label, filters: { any, clear }, children }: Props) {
  const { t } = useTranslation();
  return (
    <Group gap="sm" className="filters" role="search" aria-label={label}>
      {children}
      {any ? (
        <Button variant="subtle" size="compact-sm" onClick={clear}>
          {t("common.clearFilters")}
        </Button>
      ) : null}
    </Group>
  );
}
