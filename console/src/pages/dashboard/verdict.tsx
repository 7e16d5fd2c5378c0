import { Group, Paper, Text, ThemeIcon, Title } from "@mantine/core";
import {
  type Icon,
  IconHourglass,
  IconShieldCheck,
  IconShieldExclamation,
  IconShieldX,
} from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { T } from "../../i18n/i18n.ts";
import { attentionOrder, isAdvice, isSerious, type Overview } from "./overview.ts";

type Said = { color: string; icon: Icon; title: string; text: string };

/** The answer to what one comes here for, in a sentence. */
export function Verdict({ overview }: { overview: Overview }) {
  const { t } = useTranslation();
  const { color, icon: Shape, title, text } = said(t, overview);
  return (
    <Paper withBorder p="lg" className="verdict" data-verdict={color} role="status">
      <Group wrap="nowrap" gap="md">
        <ThemeIcon size={52} radius="xl" color={color} variant="light">
          <Shape size={30} stroke={1.75} aria-hidden />
        </ThemeIcon>
        <div>
          <Title order={2} size="h3">
            {title}
          </Title>
          <Text c="dimmed">{text}</Text>
        </div>
      </Group>
    </Paper>
  );
}

function said(t: T, { attention, begun }: Overview): Said {
  const present = attentionOrder.filter((kind) => attention[kind].count > 0);
  if (present.some(isSerious))
    return { color: "red", icon: IconShieldX, title: t("dashboard.danger"), text: t("dashboard.dangerText") };
  const wrong = present.filter((kind) => !isAdvice(kind));
  const count = wrong.reduce((sum, kind) => sum + attention[kind].count, 0);
  if (count > 0)
    return {
      color: "orange",
      icon: IconShieldExclamation,
      title: count === 1 ? t("dashboard.attentionOne") : t("dashboard.attentionMany", { count }),
      text: t("dashboard.attentionText"),
    };
  if (!begun.backedUp)
    return {
      color: "gray",
      icon: IconHourglass,
      title: t("dashboard.noRecent"),
      text: t("dashboard.waitingText"),
    };
  const text = present.length > 0 ? t("dashboard.safeUnverified") : t("dashboard.safeText");
  return { color: "green", icon: IconShieldCheck, title: t("dashboard.safe"), text };
}
