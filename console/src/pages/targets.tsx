import { Anchor, Button, Group, Text, ThemeIcon } from "@mantine/core";
import { IconDatabase, IconPlus } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { adminApi } from "../api/admin-api.ts";
import { usePages } from "../api/queries.ts";
import { EmptyState } from "../components/empty-state.tsx";
import { Page } from "../components/page.tsx";
import { type Column, PagedRows } from "../components/rows.tsx";
import { useMe } from "../session.tsx";
import { kinds } from "./targets/kinds.ts";
import { LastTest } from "./targets/last-test.tsx";
import type { Target } from "./targets/target.ts";
import { Usage } from "./targets/usage.tsx";

/** All storage targets. */
export function Targets() {
  const { t } = useTranslation();
  const me = useMe();
  const pages = usePages(adminApi.listTargets, {});
  const columns: Column<Target>[] = [
    { label: t("common.name"), cell: (target) => <NameAndKind target={target} /> },
    {
      label: t("targets.where"),
      cell: ({ type, config }) => (
        <Text size="sm" className="long-name">
          {kinds[type].place(config)}
        </Text>
      ),
    },
    { label: t("targets.used"), cell: (target) => <Usage target={target} />, width: 200 },
    { label: t("targets.lastTest"), cell: ({ lastTest }) => <LastTest test={lastTest} />, width: 240 },
  ];
  const add = me.may("admin") ? (
    <Button component={Link} to="/targets/new" leftSection={<IconPlus size={16} aria-hidden />}>
      {t("targets.add")}
    </Button>
  ) : null;
  return (
    <Page title={t("targets.title")} lead={t("targets.lead")} actions={add}>
      <PagedRows
        caption={t("targets.title")}
        columns={columns}
        keyOf={({ id }) => id}
        pages={pages}
        empty={
          <EmptyState
            icon={IconDatabase}
            title={t("targets.emptyTitle")}
            text={t("targets.emptyText")}
            action={add}
          />
        }
      />
    </Page>
  );
}

function NameAndKind({ target: { id, name, type } }: { target: Target }) {
  const { t } = useTranslation();
  const { icon: Shape, label } = kinds[type];
  return (
    <Group gap="sm" wrap="nowrap">
      <ThemeIcon variant="light" color="gray" visibleFrom="sm">
        <Shape size={16} aria-hidden />
      </ThemeIcon>
      <div>
        <Anchor component={Link} to={`/targets/${id}`} className="long-name" fw={500} size="sm">
          {name}
        </Anchor>
        <Text size="xs" c="dimmed">
          {t(label)}
        </Text>
      </div>
    </Group>
  );
}
