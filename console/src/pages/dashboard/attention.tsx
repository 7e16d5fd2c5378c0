import { Anchor, Badge, Group, Paper, SimpleGrid, Stack, Text, ThemeIcon, Title } from "@mantine/core";
import {
  type Icon,
  IconAlertTriangle,
  IconClockExclamation,
  IconDatabaseExclamation,
  IconHourglass,
  IconPlugConnectedX,
  IconServerOff,
  IconShieldQuestion,
  IconShieldX,
  IconTrendingDown,
} from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { formatBytes } from "../../components/bytes.tsx";
import { When } from "../../components/when.tsx";
import type { T } from "../../i18n/i18n.ts";
import { type AttentionKind, attentionOrder, isAdvice, isSerious, type Overview } from "./overview.ts";

type Line = { key: number; to: string; name: string; detail: ReactNode };
/** What is wrong with whom, and where one does something about it. */
type Card = { icon: Icon; title: string; step: string; all: string; lines: Line[] };
type Words = { t: T; bytes(amount: number): string };

/** What needs somebody, the most serious first, each with where to go on. */
export function Attention({ overview: { attention } }: { overview: Overview }) {
  const { t, i18n } = useTranslation();
  const words: Words = { t, bytes: (amount) => formatBytes(amount, i18n.language) };
  const present = attentionOrder.filter((kind) => attention[kind].count > 0);
  if (present.length === 0) return null;
  return (
    <section aria-label={t("dashboard.attention")}>
      <SimpleGrid cols={{ base: 1, md: present.length > 1 ? 2 : 1 }} spacing="lg" className="attention-cards">
        {present.map((kind) => (
          <AttentionCard
            key={kind}
            kind={kind}
            count={attention[kind].count}
            card={cards[kind](words, attention)}
          />
        ))}
      </SimpleGrid>
    </section>
  );
}

function AttentionCard({ kind, count, card }: { kind: AttentionKind; count: number; card: Card }) {
  const { t } = useTranslation();
  const color = isSerious(kind) ? "red" : isAdvice(kind) ? "brand" : "orange";
  const more = count - card.lines.length;
  return (
    <Paper withBorder p="md" component="section" aria-label={card.title} data-attention={kind}>
      <Group gap="sm" wrap="nowrap" mb="sm">
        <ThemeIcon variant="light" color={color} size="lg">
          <card.icon size={20} stroke={1.75} aria-hidden />
        </ThemeIcon>
        <Title order={2} size="h5">
          {card.title}
        </Title>
        <Badge color={color} variant="light" ml="auto" className="figures">
          {count >= COUNTED ? t("dashboard.moreThan", { count: COUNTED }) : count}
        </Badge>
      </Group>
      <Stack gap="xs" component="ul" className="plain-list">
        {card.lines.map(({ key, to, name, detail }) => (
          <Group key={key} component="li" gap="sm" wrap="nowrap" align="baseline" className="attention-line">
            <div className="grow">
              <Text fw={500} className="long-name">
                {name}
              </Text>
              <Text size="sm" c="dimmed" component="div" lineClamp={2} className="long-name">
                {detail}
              </Text>
            </div>
            <Anchor
              component={Link}
              to={to}
              size="sm"
              className="one-line"
              aria-label={`${card.step}: ${name}`}
            >
              {card.step}
            </Anchor>
          </Group>
        ))}
      </Stack>
      {more > 0 ? (
        <Anchor component={Link} to={card.all} size="sm" mt="xs" display="inline-block">
          {t("dashboard.more", { count: more })}
        </Anchor>
      ) : null}
    </Paper>
  );
}

/** The master counts no further. */
const COUNTED = 50;

const cards: Record<AttentionKind, (words: Words, attention: Overview["attention"]) => Card> = {
  failing: ({ t }, { failing }) => ({
    icon: IconAlertTriangle,
    title: t("dashboard.failing"),
    step: t("dashboard.failingStep"),
    all: "/tasks?last=failed",
    lines: failing.items.map(({ taskId, name, at, recordId, error, outcome }) => ({
      key: taskId,
      to: recordId === null ? `/tasks/${taskId}` : `/records/${recordId}`,
      name,
      detail: (
        <>
          <When at={at} />
          {": "}
          {error || (outcome === "missed" ? t("dashboard.missed") : "")}
        </>
      ),
    })),
  }),
  overdue: ({ t }, { overdue }) => ({
    icon: IconClockExclamation,
    title: t("dashboard.overdue"),
    step: t("dashboard.overdueStep"),
    all: "/tasks?trouble=overdue",
    lines: overdue.items.map(({ taskId, name, succeededAt }) => ({
      key: taskId,
      to: `/tasks/${taskId}`,
      name,
      detail:
        succeededAt === null ? (
          t("dashboard.neverSucceeded")
        ) : (
          <>
            {t("dashboard.lastSuccess")} <When at={succeededAt} />
          </>
        ),
    })),
  }),
  damaged: ({ t }, { damaged }) => ({
    icon: IconShieldX,
    title: t("dashboard.damaged"),
    step: t("dashboard.damagedStep"),
    all: "/verifications",
    lines: damaged.items.map(({ verificationId, recordId, name, targetName, error }) => ({
      key: verificationId,
      to: `/records/${recordId}`,
      name: name || `#${recordId}`,
      detail: [targetName === null ? "" : t("dashboard.damagedIn", { name: targetName }), error]
        .filter(Boolean)
        .join(": "),
    })),
  }),
  broken: ({ t }, { broken }) => ({
    icon: IconPlugConnectedX,
    title: t("dashboard.broken"),
    step: t("dashboard.brokenStep"),
    all: "/targets",
    lines: broken.items.map(({ targetId, name, at, error }) => ({
      key: targetId,
      to: `/targets/${targetId}`,
      name,
      detail: (
        <>
          <When at={at} />
          {": "}
          {error}
        </>
      ),
    })),
  }),
  filling: ({ t, bytes }, { filling }) => ({
    icon: IconDatabaseExclamation,
    title: t("dashboard.filling"),
    step: t("dashboard.fillingStep"),
    all: "/targets",
    lines: filling.items.map(({ targetId, name, usedBytes, quotaBytes }) => ({
      key: targetId,
      to: `/targets/${targetId}`,
      name,
      detail: t("dashboard.fillingText", { used: bytes(usedBytes), quota: bytes(quotaBytes) }),
    })),
  }),
  offline: ({ t }, { offline }) => ({
    icon: IconServerOff,
    title: t("dashboard.offline"),
    step: t("dashboard.offlineStep"),
    all: "/nodes?status=offline",
    lines: offline.items.map(({ nodeId, name, lastSeen }) => ({
      key: nodeId,
      to: `/nodes/${nodeId}`,
      name,
      detail: (
        <>
          {t("dashboard.lastSeen")} <When at={lastSeen} />
        </>
      ),
    })),
  }),
  waiting: ({ t }, { waiting }) => ({
    icon: IconHourglass,
    title: t("dashboard.waiting"),
    step: t("dashboard.waitingStep"),
    all: "/records?status=queued",
    lines: waiting.items.map(({ recordId, name, nodeName, since }) => ({
      key: recordId,
      to: `/records/${recordId}`,
      name,
      detail: (
        <>
          {nodeName === null ? t("dashboard.waitingForAny") : t("dashboard.waitingFor", { name: nodeName })}{" "}
          <When at={since} />
        </>
      ),
    })),
  }),
  shrunk: ({ t, bytes }, { shrunk }) => ({
    icon: IconTrendingDown,
    title: t("dashboard.shrunk"),
    step: t("dashboard.shrunkStep"),
    all: "/tasks?trouble=shrunk",
    lines: shrunk.items.map(({ taskId, name, recordId, bytes: now, usualBytes }) => ({
      key: taskId,
      to: recordId === null ? `/tasks/${taskId}` : `/records/${recordId}`,
      name,
      detail: t("dashboard.shrunkText", { bytes: bytes(now), usual: bytes(usualBytes) }),
    })),
  }),
  unverified: ({ t }, { unverified }) => ({
    icon: IconShieldQuestion,
    title: t("dashboard.unverified"),
    step: t("dashboard.unverifiedStep"),
    all: "/tasks?verified=never",
    lines: unverified.items.map(({ taskId, name, recordId }) => ({
      key: taskId,
      to: recordId === null ? `/tasks/${taskId}` : `/records/${recordId}`,
      name,
      detail: t("dashboard.unverifiedText"),
    })),
  }),
};
