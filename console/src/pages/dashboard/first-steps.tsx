import { Button, Group, Paper, Progress, Stack, Text, ThemeIcon, Title, VisuallyHidden } from "@mantine/core";
import { IconCheck } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { Role } from "../../../../protocol/states.ts";
import { useMe } from "../../session.tsx";
import type { Overview } from "./overview.ts";

type Step = { title: string; text: string; done: boolean; to: string; role: Role };

/** What leads a new master to its first backup; it goes when that has been made. */
export function FirstSteps({ overview }: { overview: Overview }) {
  const { t } = useTranslation();
  const steps = useSteps(overview);
  const done = steps.filter((step) => step.done).length;
  const next = steps.find((step) => !step.done);
  return (
    <Paper withBorder p="lg" component="section" aria-label={t("dashboard.stepsTitle")}>
      <Title order={2} size="h3">
        {t("dashboard.stepsTitle")}
      </Title>
      <Text c="dimmed" mb="md">
        {t("dashboard.stepsText")}
      </Text>
      <Progress value={(done / steps.length) * 100} mb="lg" aria-label={`${done} / ${steps.length}`} />
      <Stack gap="md" component="ol" className="plain-list">
        {steps.map((step, index) => (
          <StepLine key={step.title} step={step} number={index + 1} isNext={step === next} />
        ))}
      </Stack>
    </Paper>
  );
}

function useSteps({ totals, begun, attention, running }: Overview): Step[] {
  const { t } = useTranslation();
  const waits = totals.nodes > 0 && !begun.connected;
  const [started] = running;
  const [failed] = attention.failing.items;
  return [
    {
      title: t("dashboard.stepNode"),
      text: waits ? t("dashboard.connectingText") : t("dashboard.stepNodeText"),
      done: begun.connected,
      to: waits ? "/nodes" : "/nodes/new",
      role: "admin",
    },
    {
      title: t("dashboard.stepTarget"),
      text: t("dashboard.stepTargetText"),
      done: totals.targets > 0,
      to: "/targets/new",
      role: "admin",
    },
    {
      title: t("dashboard.stepTask"),
      text: t("dashboard.stepTaskText"),
      done: totals.tasks > 0,
      to: "/tasks/new",
      role: "operator",
    },
    {
      title: t("dashboard.stepRun"),
      text: t("dashboard.stepRunText"),
      done: begun.backedUp,
      to: started ? `/records/${started.id}` : failed?.recordId ? `/records/${failed.recordId}` : "/tasks",
      role: "operator",
    },
  ];
}

function StepLine({ step, number, isNext }: { step: Step; number: number; isNext: boolean }) {
  const { t } = useTranslation();
  const me = useMe();
  return (
    <Group component="li" wrap="nowrap" align="flex-start" aria-current={isNext ? "step" : undefined}>
      <ThemeIcon
        radius="xl"
        size="md"
        variant={isNext ? "filled" : "light"}
        color={step.done ? "green" : "brand"}
      >
        {step.done ? <IconCheck size={16} stroke={2.5} aria-hidden /> : number}
      </ThemeIcon>
      <div className="grow">
        <Text fw={600}>
          {step.title}
          {step.done ? <VisuallyHidden>{` (${t("dashboard.stepDone")})`}</VisuallyHidden> : null}
        </Text>
        {step.done ? null : (
          <Text size="sm" c="dimmed">
            {step.text} {isNext && !me.may(step.role) ? t("dashboard.stepAskAdmin") : ""}
          </Text>
        )}
        {isNext && me.may(step.role) ? (
          <Button component={Link} to={step.to} size="sm" mt="xs">
            {step.title}
          </Button>
        ) : null}
      </div>
    </Group>
  );
}
