import { Alert, Button, Group, Paper, Stack, Stepper, Title } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Navigate, useLocation, useNavigate, useParams } from "react-router";
import { adminApi } from "../api/admin-api.ts";
import type { ApiError } from "../api/call.ts";
import { useAnswer, useChange } from "../api/queries.ts";
import { ErrorNotice } from "../components/error-notice.tsx";
import { Page } from "../components/page.tsx";
import { Waiting } from "../components/waiting.tsx";
import { When } from "../components/when.tsx";
import { useMe } from "../session.tsx";
import type { RecordDetail } from "./records/record-detail.ts";
import { DryRun } from "./restore-wizard/dry-run.tsx";
import { How } from "./restore-wizard/how.tsx";
import { bodyOf, type Plan, planFor, stepOfField, whatIsMissing } from "./restore-wizard/plan.ts";
import { Summary } from "./restore-wizard/summary.tsx";
import { What } from "./restore-wizard/what.tsx";
import { Where } from "./restore-wizard/where.tsx";

/** Step by step from a backup to a restore of it. */
export function RestoreWizard() {
  const { t } = useTranslation();
  const me = useMe();
  const id = String(useParams()["id"]);
  const record = useAnswer(adminApi.getRecord, { params: { id } });
  if (!me.may("operator")) return <Navigate to={`/records/${id}`} replace />;
  if (record.isPending) return <Waiting />;
  if (!record.data) return <ErrorNotice error={record.error} retry={() => record.refetch()} />;
  if (record.data.status !== "success" || record.data.deletedAt !== null)
    return <Alert color="orange">{t("wizard.notRestorable")}</Alert>;
  return <Steps record={record.data} />;
}

const STEPS = ["what", "where", "how", "check"] as const;
const LAST = STEPS.length - 1;

function Steps({ record }: { record: RecordDetail }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { state } = useLocation();
  const isNarrow = useMediaQuery("(max-width: 48em)") ?? false;
  const [step, setStep] = useState(0);
  const [plan, setPlan] = useState<Plan>(() => planFor(record, state));
  const [showsMissing, setShowsMissing] = useState(false);
  const restore = useChange(adminApi.restoreRecord, "/api/restores");
  const change = (changes: Partial<Plan>) => setPlan((before) => ({ ...before, ...changes }));
  const missing = whatIsMissing(t, record, plan);
  const isStuck = STEPS[step] !== undefined && missing[STEPS[step]] !== undefined;
  const goOn = () => {
    setShowsMissing(isStuck);
    if (!isStuck) setStep(step + 1);
  };
  const start = () =>
    restore.mutate(
      { params: { id: String(record.id) }, body: bodyOf(record, plan, false) },
      {
        onSuccess: ({ restoreId }) => void navigate(`/restores/${restoreId}`),
        onError: (error: ApiError) => setStep(stepOfField(error) ?? LAST),
      },
    );
  const parts = { record, plan, change, missing: showsMissing ? missing : {} };
  const names = [t("wizard.stepWhat"), t("wizard.stepWhere"), t("wizard.stepHow"), t("wizard.stepCheck")];
  return (
    <Page
      title={t("wizard.title", { task: record.taskName })}
      lead={
        <>
          {t("record.number", { id: record.id })} · <When at={record.createdAt} />
        </>
      }
    >
      <Stepper
        active={step}
        onStepClick={(to) => (to < step ? setStep(to) : undefined)}
        size="sm"
        iconSize={30}
      >
        {names.map((name, index) => (
          <Stepper.Step
            key={name}
            // On a phone there is room for the numbers alone; the heading below says which one this is.
            {...(isNarrow ? { "aria-label": `${index + 1} ${name}` } : { label: name })}
            allowStepSelect={index < step}
          />
        ))}
      </Stepper>
      <Paper withBorder p="lg">
        <Stack>
          <Title order={2} size="h4">
            {names[step]}
          </Title>
          {step === 0 ? <What {...parts} /> : null}
          {step === 1 ? <Where {...parts} /> : null}
          {step === 2 ? <How {...parts} /> : null}
          {step === LAST ? (
            <>
              <Summary record={record} plan={plan} />
              <DryRun record={record} plan={plan} />
            </>
          ) : null}
          <ErrorNotice error={restore.error} />
        </Stack>
      </Paper>
      <Group justify="space-between">
        <Button variant="default" disabled={step === 0} onClick={() => setStep(step - 1)}>
          {t("wizard.back")}
        </Button>
        {step === LAST ? (
          <Button
            loading={restore.isPending}
            color={plan.conflict === "overwrite" ? "red" : "brand"}
            onClick={start}
          >
            {t("wizard.start")}
          </Button>
        ) : (
          <Button onClick={goOn}>{t("wizard.next")}</Button>
        )}
      </Group>
    </Page>
  );
}
