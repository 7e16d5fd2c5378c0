import { Anchor, Group, Paper, Title } from "@mantine/core";
import { type ReactNode, useId } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";

type Props = { title: string; all?: string; children: ReactNode };

/** A part of the dashboard, and the way to all of what it shows the first of. */
export function Panel({ title, all, children }: Props) {
  const { t } = useTranslation();
  const id = useId();
  return (
    <Paper withBorder p="md" h="100%" component="section" aria-labelledby={id}>
      <Group justify="space-between" mb="sm" wrap="nowrap">
        <Title order={2} size="h5" id={id}>
          {title}
        </Title>
        {all ? (
          <Anchor component={Link} to={all} size="sm" aria-label={`${t("dashboard.all")}: ${title}`}>
            {t("dashboard.all")}
          </Anchor>
        ) : null}
      </Group>
      {children}
    </Paper>
  );
}
