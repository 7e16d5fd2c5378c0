import { ActionIcon, Anchor, Stack, Text, Tooltip } from "@mantine/core";
import { IconBan } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { Duration } from "../../components/duration.tsx";
import type { Column } from "../../components/rows.tsx";
import { StatusBadge } from "../../components/status-badge.tsx";
import { When } from "../../components/when.tsx";
import type { T } from "../../i18n/i18n.ts";
import type { Command } from "./command.ts";
import { useCancel } from "./use-cancel.tsx";

/** What is shown of commands; of one node's, its name is left out. */
export function useCommandColumns({ withNode }: { withNode: boolean }): Column<Command>[] {
  const { t } = useTranslation();
  const node: Column<Command> = {
    label: t("commands.node"),
    cell: ({ nodeId, nodeName }) =>
      nodeName === null ? (
        <Text size="sm" c="dimmed">
          {t("commands.nodeGone", { id: nodeId })}
        </Text>
      ) : (
        <Anchor component={Link} to={`/nodes/${nodeId}`} size="sm" className="long-name">
          {nodeName}
        </Anchor>
      ),
  };
  return [
    { label: t("commands.type"), width: "16%", cell: (command) => <TypeAndRun command={command} /> },
    ...(withNode ? [node] : []),
    { label: t("commands.status"), cell: (command) => <Outcome command={command} /> },
    { label: t("commands.created"), cell: ({ createdAt }) => <When at={createdAt} /> },
    { label: t("commands.waited"), cell: (command) => <Duration ms={waitedMs(command)} /> },
    { label: t("commands.took"), cell: (command) => <Duration ms={tookMs(command)} /> },
    { label: "", width: 52, cell: (command) => <CancelButton command={command} /> },
  ];
}

function TypeAndRun({ command }: { command: Command }) {
  const { t } = useTranslation();
  const run = runOf(command, t);
  return (
    <Stack gap={2}>
      <Text size="sm">
        {t(`commands.${command.type}`)}{" "}
        <Text span size="xs" c="dimmed" className="figures">
          #{command.id}
        </Text>
      </Text>
      {run ? (
        <Anchor component={Link} to={run.path} size="xs">
          {run.label}
        </Anchor>
      ) : null}
    </Stack>
  );
}

function runOf({ recordId, restoreId, verificationId }: Command, t: T) {
  if (restoreId !== null)
    return { path: `/restores/${restoreId}`, label: t("commands.restore", { id: restoreId }) };
  if (verificationId !== null)
    return {
      path: `/verifications/${verificationId}`,
      label: t("commands.verification", { id: verificationId }),
    };
  if (recordId !== null)
    return { path: `/records/${recordId}`, label: t("commands.record", { id: recordId }) };
  return null;
}

function Outcome({ command: { status, errorMessage, attempt } }: { command: Command }) {
  const { t } = useTranslation();
  return (
    <Stack gap={4} className="command-outcome">
      <StatusBadge status={status} />
      {attempt > 1 ? (
        <Text size="xs" c="dimmed">
          {t("commands.attempt", { count: attempt })}
        </Text>
      ) : null}
      {errorMessage ? (
        <Text size="xs" c={status === "cancelled" ? "dimmed" : "red"} className="long-name">
          {errorMessage}
        </Text>
      ) : null}
    </Stack>
  );
}

function CancelButton({ command }: { command: Command }) {
  const { t } = useTranslation();
  const cancel = useCancel(command);
  if (!cancel) return null;
  return (
    <Tooltip label={t("commands.cancel")}>
      <ActionIcon
        variant="subtle"
        color="red"
        aria-label={t("commands.cancelNamed", { id: command.id })}
        onClick={cancel}
      >
        <IconBan size={16} aria-hidden />
      </ActionIcon>
    </Tooltip>
  );
}

const waitedMs = ({ createdAt, dispatchedAt }: Command) =>
  dispatchedAt === null ? null : Math.max(0, dispatchedAt - createdAt);

const tookMs = ({ dispatchedAt, completedAt }: Command) =>
  dispatchedAt === null || completedAt === null ? null : Math.max(0, completedAt - dispatchedAt);
