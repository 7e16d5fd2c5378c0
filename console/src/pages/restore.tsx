import { Alert, Badge, Button, Stack } from "@mantine/core";
import { IconAlertTriangle, IconRotateClockwise } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link, useParams } from "react-router";
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
import { WarningList } from "../components/warning-list.tsx";
import { useMe } from "../session.tsx";
import { DryRunOutcome } from "./restores/dry-run-outcome.tsx";
import { RestoreFacts } from "./restores/restore-facts.tsx";

type Restore = z.output<typeof adminApi.getRestore.reply>;

/** One restore: how it goes or went. */
export function RestorePage() {
  const { t } = useTranslation();
  const id = Number(useParams()["id"]);
  const known = useAnswer(adminApi.getRestore, { params: { id: String(id) } });
  const { run, lines } = useRun<Restore>("/api/restores", id, known.data);
  if (known.isPending) return <Waiting />;
  if (!run) return <ErrorNotice error={known.error} retry={() => known.refetch()} />;
  const title = run.dryRun ? t("restores.dryRunNumber", { id }) : t("restores.number", { id });
  return (
    <Page title={title} lead={<Lead restore={run} />} actions={<Actions restore={run} />}>
      <Stack gap="lg">
        {isOpen(run) ? (
          <RunProgress progress={run.progress} startedAt={run.startedAt} {...howFar(run)} />
        ) : null}
        {run.errorMessage === "" ? null : (
          <Alert
            {...(run.status === "cancelled" ? { variant: "default" } : { color: "red" })}
            icon={<IconAlertTriangle aria-hidden />}
            title={run.status === "failed" ? t("restores.failedTitle") : null}
          >
            <span className="long-name">{run.errorMessage}</span>
          </Alert>
        )}
        {run.outcome ? <DryRunOutcome outcome={run.outcome} /> : null}
        <RestoreFacts restore={run} />
        <WarningList warnings={run.warnings} count={run.warningCount} />
        <LogView name={`${t("log.title")} · ${title}`} lines={lines} isLive={isOpen(run)} />
      </Stack>
    </Page>
  );
}

/** What was stored is read through before anything is written; only then it is known how much there is to write. */
function howFar({ progress }: Restore): { done: number | null; total: number | null } {
  if (progress === null) return { done: null, total: null };
  return progress.phase === "restoring"
    ? { done: progress.sourceBytes, total: progress.totalSourceBytes }
    : { done: progress.artifactBytes, total: null };
}

function Lead({ restore }: { restore: Restore }) {
  const { t } = useTranslation();
  return (
    <RunLead run={restore}>
      {restore.dryRun ? <Badge variant="default">{t("restores.dryRun")}</Badge> : null}
    </RunLead>
  );
}

function Actions({ restore }: { restore: Restore }) {
  const { t } = useTranslation();
  const me = useMe();
  const cancel = useChange(adminApi.cancelRestore);
  if (!me.may("operator")) return null;
  if (isOpen(restore)) {
    return (
      <StopButton
        title={t("restores.cancelTitle")}
        text={t("restores.cancelText")}
        stop={() => cancel.mutateAsync({ params: { id: String(restore.id) } })}
      />
    );
  }
  if (!restore.dryRun) return null;
  const { selectedPaths, destination, conflict, nodeId, targetId, identityFile } = restore;
  return (
    <Button
      component={Link}
      to={`/records/${restore.recordId}/restore`}
      state={{ paths: selectedPaths ?? [], destination, conflict, nodeId, targetId, identityFile }}
      leftSection={<IconRotateClockwise size={16} aria-hidden />}
    >
      {t("restores.again")}
    </Button>
  );
}
