import { Anchor, Code, Group, Text } from "@mantine/core";
import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { Bytes } from "../../components/bytes.tsx";
import { CopyText } from "../../components/copy-text.tsx";
import { Duration } from "../../components/duration.tsx";
import { Facts } from "../../components/facts.tsx";
import { Section } from "../../components/section.tsx";
import { When } from "../../components/when.tsx";
import type { RecordDetail } from "./record-detail.ts";

/** Whose backup it is, and how its run went. */
export function RunFacts({ record }: { record: RecordDetail }) {
  const { t } = useTranslation();
  return (
    <Section title={t("record.facts")}>
      <Facts items={runFacts(t, record)} />
    </Section>
  );
}

/** What was made of what was read. */
export function ArchiveFacts({ record }: { record: RecordDetail }) {
  const { t } = useTranslation();
  return (
    <Section title={t("record.archive")}>
      <Facts items={archiveFacts(t, record)} />
    </Section>
  );
}

function runFacts(t: TFunction, record: RecordDetail) {
  const { taskId, taskName, trigger, attempt, createdAt, startedAt, finishedAt, source } = record;
  return [
    {
      label: t("records.task"),
      value: (
        <Anchor component={Link} to={`/tasks/${taskId}`} size="sm">
          {taskName}
        </Anchor>
      ),
    },
    { label: t("record.source"), value: source === null ? null : <SourceOf source={source} /> },
    { label: t("record.trigger"), value: t(`record.${trigger}`) },
    { label: t("record.created"), value: <When at={createdAt} /> },
    { label: t("record.ended"), value: finishedAt === null ? null : <When at={finishedAt} /> },
    {
      label: t("records.took"),
      value: startedAt === null || finishedAt === null ? null : <Duration ms={finishedAt - startedAt} />,
    },
    { label: t("record.attempt"), value: attempt > 1 ? attempt : null },
  ];
}

function archiveFacts(t: TFunction, record: RecordDetail) {
  const { sourceBytes, entries, sizeBytes, fileName, checksum, snapshotId, compression } = record;
  return [
    { label: t("record.kindLabel"), value: <Kind record={record} /> },
    { label: t("record.read"), value: sourceBytes === null ? null : <Bytes of={sourceBytes} /> },
    { label: t("record.entries"), value: <Count of={entries} /> },
    { label: t("record.stored"), value: <Stored record={record} sizeBytes={sizeBytes} /> },
    {
      label: t("record.compression"),
      value: compression === "none" ? t("record.uncompressed") : compression,
    },
    {
      label: t("record.encryption"),
      value: record.encrypted
        ? t("record.encrypted", { count: record.pipeline?.encryption?.recipients.length ?? 1 })
        : t("record.unencrypted"),
    },
    { label: t("record.file"), value: fileName === "" ? null : fileName },
    {
      label: t("record.snapshot"),
      value: snapshotId === null ? null : <Digest label={t("record.snapshot")} of={snapshotId} />,
    },
    {
      label: t("record.checksum"),
      value: checksum === null ? null : <Digest label={t("record.checksum")} of={checksum} />,
    },
  ];
}

function SourceOf({ source }: { source: NonNullable<RecordDetail["source"]> }) {
  const { t } = useTranslation();
  const places = "paths" in source ? source.paths : "host" in source ? [source.host] : [source.name];
  return (
    <>
      {t(`sources.${source.type}`)}
      {": "}
      {places.slice(0, 5).join(", ")}
      {places.length > 5 ? " …" : null}
    </>
  );
}

function Kind({ record: { kind, baseRecordId, differentials } }: { record: RecordDetail }) {
  const { t } = useTranslation();
  return (
    <>
      {kind === "full" || baseRecordId === null ? (
        t("record.kindFull")
      ) : (
        <>
          {t("record.kindDifferential")}{" "}
          <Anchor component={Link} to={`/records/${baseRecordId}`} size="sm">
            {t("record.number", { id: baseRecordId })}
          </Anchor>
        </>
      )}
      {differentials > 0 ? (
        <Text size="sm" c="dimmed">
          {t("record.needed", { count: differentials })}
        </Text>
      ) : null}
    </>
  );
}

function Stored({ record: { sourceBytes }, sizeBytes }: { record: RecordDetail; sizeBytes: number }) {
  const { t, i18n } = useTranslation();
  const percent = new Intl.NumberFormat(i18n.language, { style: "percent", maximumFractionDigits: 1 });
  return (
    <>
      <Bytes of={sizeBytes} />
      {sourceBytes !== null && sourceBytes > sizeBytes ? (
        <Text span size="sm" c="dimmed">
          {` · ${t("record.ofRead", { percent: percent.format(sizeBytes / sourceBytes) })}`}
        </Text>
      ) : null}
    </>
  );
}

function Count({ of }: { of: number | null }) {
  const { i18n } = useTranslation();
  return of === null ? "–" : new Intl.NumberFormat(i18n.language).format(of);
}

function Digest({ label, of }: { label: string; of: string }) {
  return (
    <Group gap={4} wrap="nowrap">
      <Code className="long-name">{of}</Code>
      <CopyText value={of} label={label} />
    </Group>
  );
}
