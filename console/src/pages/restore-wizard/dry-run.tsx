import { Anchor, Button, Group, Loader, Stack, Text } from "@mantine/core";
import { IconFlask } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { adminApi } from "../../api/admin-api.ts";
import { useAnswer, useChange } from "../../api/queries.ts";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Section } from "../../components/section.tsx";
import { StatusBadge } from "../../components/status-badge.tsx";
import { isOpen } from "../../components/use-run.ts";
import type { RecordDetail } from "../records/record-detail.ts";
import { DryRunOutcome } from "../restores/dry-run-outcome.tsx";
import { bodyOf, type Plan } from "./plan.ts";

/** Has the node tell what the restore would do, without writing anything. */
export function DryRun({ record, plan }: { record: RecordDetail; plan: Plan }) {
  const { t } = useTranslation();
  const restore = useChange(adminApi.restoreRecord, "/api/restores");
  const tried = restore.data?.restoreId ?? null;
  const found = useAnswer(
    adminApi.getRestore,
    { params: { id: String(tried) } },
    { enabled: tried !== null, everyMs: 1000, whileIt: isOpen },
  );
  if (record.sourceType !== "file" || record.engine !== "archive")
    return (
      <Text size="sm" c="dimmed">
        {t("wizard.tryNotHere")}
      </Text>
    );
  const isRunning = restore.isPending || (tried !== null && (!found.data || isOpen(found.data)));
  return (
    <Stack>
      <Section
        title={t("wizard.tryTitle")}
        actions={
          <Button
            variant="default"
            size="xs"
            leftSection={<IconFlask size={14} aria-hidden />}
            disabled={isRunning}
            onClick={() =>
              restore.mutate({ params: { id: String(record.id) }, body: bodyOf(record, plan, true) })
            }
          >
            {tried === null ? t("wizard.tryStart") : t("wizard.tryAgain")}
          </Button>
        }
      >
        <Text size="sm" c="dimmed">
          {t("wizard.tryText")}
        </Text>
        {isRunning ? (
          <Group gap="xs" role="status">
            <Loader size="xs" aria-hidden />
            <Text size="sm">{t("wizard.tryRunning")}</Text>
          </Group>
        ) : null}
        <ErrorNotice error={restore.error ?? found.error} />
        {found.data && !isOpen(found.data) ? (
          <Group gap="xs">
            <StatusBadge status={found.data.status} />
            <Anchor component={Link} to={`/restores/${found.data.id}`} size="sm">
              {t("restores.dryRunNumber", { id: found.data.id })}
            </Anchor>
            <Text size="sm" className="long-name">
              {found.data.errorMessage}
            </Text>
          </Group>
        ) : null}
      </Section>
      {found.data?.outcome ? <DryRunOutcome outcome={found.data.outcome} /> : null}
    </Stack>
  );
}
