import { Anchor, Button, Group, Progress, Stack, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconPlus } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { Bytes } from "../../components/bytes.tsx";
import { CopyText } from "../../components/copy-text.tsx";
import { type Column, Rows } from "../../components/rows.tsx";
import { Section } from "../../components/section.tsx";
import { StatusBadge } from "../../components/status-badge.tsx";
import { useMe } from "../../session.tsx";
import { AddCopyDialog } from "./add-copy-dialog.tsx";
import { CopyActions } from "./copy-actions.tsx";
import type { Copy, RecordDetail } from "./record-detail.ts";

/** Where a backup is: its copies, how they are, and what can be done with each. */
export function Copies({ record }: { record: RecordDetail }) {
  const { t } = useTranslation();
  const me = useMe();
  const [isAdding, adding] = useDisclosure();
  const mayChange = me.may("operator");
  const columns = useColumns(record, mayChange);
  const canCopy = mayChange && record.deletedAt === null && record.engine === "archive";
  return (
    <Section
      title={t("record.copies")}
      actions={
        canCopy ? (
          <Button
            size="xs"
            variant="default"
            leftSection={<IconPlus size={14} aria-hidden />}
            onClick={adding.open}
          >
            {t("record.addCopy")}
          </Button>
        ) : null
      }
    >
      {record.copies.length === 0 ? (
        <Text size="sm" c="dimmed">
          {t("record.noCopies")}
        </Text>
      ) : (
        <Rows
          caption={t("record.copies")}
          columns={columns}
          items={record.copies}
          keyOf={({ targetId }) => targetId}
        />
      )}
      <AddCopyDialog record={record} opened={isAdding} onClose={adding.close} />
    </Section>
  );
}

function useColumns(record: RecordDetail, mayChange: boolean): Column<Copy>[] {
  const { t } = useTranslation();
  return [
    {
      label: t("record.target"),
      cell: ({ targetId, targetName }) => (
        <Anchor component={Link} to={`/targets/${targetId}`} size="sm" className="long-name">
          {targetName}
        </Anchor>
      ),
    },
    { label: t("record.state"), cell: (copy) => <State copy={copy} /> },
    { label: t("record.size"), cell: ({ sizeBytes }) => <Bytes of={sizeBytes === 0 ? null : sizeBytes} /> },
    { label: t("record.path"), cell: (copy) => <Path copy={copy} /> },
    ...(mayChange
      ? [{ label: t("record.actions"), cell: (copy: Copy) => <CopyActions record={record} copy={copy} /> }]
      : []),
  ];
}

function State({ copy: { status, error, progress, sizeBytes } }: { copy: Copy }) {
  const { t } = useTranslation();
  const total = progress?.totalSourceBytes ?? sizeBytes;
  return (
    <Stack gap={4} maw={320}>
      <StatusBadge status={status} />
      {progress && total > 0 ? (
        <Progress
          size="sm"
          aria-label={t("progress.title")}
          value={Math.min(100, (progress.sourceBytes / total) * 100)}
        />
      ) : null}
      {error === "" ? null : (
        <Text size="xs" c="dimmed" className="long-name">
          {error}
        </Text>
      )}
    </Stack>
  );
}

function Path({ copy: { storagePath } }: { copy: Copy }) {
  const { t } = useTranslation();
  if (storagePath === "") return "–";
  return (
    <Group gap={4} wrap="nowrap">
      <Text size="xs" ff="monospace" className="long-name" maw={320}>
        {storagePath}
      </Text>
      <CopyText value={storagePath} label={t("record.path")} />
    </Group>
  );
}
