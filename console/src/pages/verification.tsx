import { Alert, Badge, Stack } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { useParams } from "react-router";
import type { z } from "zod";
import { adminApi } from "../api/admin-api.ts";
import { useAnswer, useChange } from "../api/queries.ts";
import { ErrorNotice } from "../components/error-notice.tsx";
import { LogView } from "../components/log-view.tsx";
import { Page } from "../components/page.tsx";
import { RunLead } from "../components/run-lead.tsx";
import { RunProgress } from "../components/run-progress.tsx";
import { StopButton } from "../components/stop-button.tsx";
import { isOpen, useRun } from "../components/use-run.ts";
import { Waiting } from "../components/waiting.tsx";
import { useMe } from "../session.tsx";
import { VerificationFindings } from "./verifications/findings.tsx";

type Verification = z.output<typeof adminApi.getVerification.reply>;

/** One verification: how it goes, or everything that it found. */
export function VerificationPage() {
  const { t } = useTranslation();
  const id = Number(useParams()["id"]);
  const known = useAnswer(adminApi.getVerification, { params: { id: String(id) } });
  const { run, lines } = useRun<Verification>("/api/verifications", id, known.data);
  if (known.isPending) return <Waiting />;
  if (!run) return <ErrorNotice error={known.error} retry={() => known.refetch()} />;
  const title = t("verifications.number", { id });
  return (
    <Page title={title} lead={<Lead verification={run} />} actions={<Cancel verification={run} />}>
      <Stack gap="lg">
        {isOpen(run) ? <LiveProgress verification={run} /> : <HowItEnded verification={run} />}
        <VerificationFindings verification={run} />
        <LogView name={`${t("log.title")} · ${title}`} lines={lines} isLive={isOpen(run)} />
      </Stack>
    </Page>
  );
}

function LiveProgress({ verification: { recordId, progress, startedAt } }: { verification: Verification }) {
  const record = useAnswer(adminApi.getRecord, { params: { id: String(recordId) } });
  return (
    <RunProgress
      progress={progress}
      startedAt={startedAt}
      done={progress?.artifactBytes ?? null}
      total={record.data?.sizeBytes ?? null}
    />
  );
}

function HowItEnded({ verification: { status, errorMessage } }: { verification: Verification }) {
  const { t } = useTranslation();
  if (errorMessage === "") return null;
  const isBad = status === "failed";
  const title = isBad ? t("verifications.failedTitle") : t("verifications.incompleteTitle");
  return (
    <Alert
      {...(status === "cancelled" ? { variant: "default" } : { color: isBad ? "red" : "orange" })}
      icon={<IconAlertTriangle aria-hidden />}
      title={status === "cancelled" ? null : title}
    >
      <span className="long-name">{errorMessage}</span>
    </Alert>
  );
}

function Lead({ verification }: { verification: Verification }) {
  const { t } = useTranslation();
  return (
    <RunLead run={verification}>
      {verification.damaged ? (
        <Badge color="red" variant="light">
          {t("verifications.damaged")}
        </Badge>
      ) : null}
    </RunLead>
  );
}

function Cancel({ verification }: { verification: Verification }) {
  const { t } = useTranslation();
  const me = useMe();
  const cancel = useChange(adminApi.cancelVerification);
  if (!me.may("operator") || !isOpen(verification)) return null;
  return (
    <StopButton
      title={t("verifications.cancelTitle")}
      text={t("verifications.cancelText")}
      stop={() => cancel.mutateAsync({ params: { id: String(verification.id) } })}
    />
  );
}
