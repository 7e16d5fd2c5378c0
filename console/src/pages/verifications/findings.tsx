import { Badge, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { z } from "zod";
import type { adminApi } from "../../api/admin-api.ts";
import { Bytes } from "../../components/bytes.tsx";
import { Duration } from "../../components/duration.tsx";
import { Facts } from "../../components/facts.tsx";
import { type Column, Rows } from "../../components/rows.tsx";
import { Section } from "../../components/section.tsx";
import { When } from "../../components/when.tsx";

type Verification = z.output<typeof adminApi.getVerification.reply>;
type Check = NonNullable<Verification["report"]>["checks"][number];

/** What a verification was asked to prove, each thing that it looked at, and what differed. */
export function VerificationFindings({ verification }: { verification: Verification }) {
  const { t, i18n } = useTranslation();
  const { grade, reachedGrade, targetName, report, startedAt, finishedAt, identityFile } = verification;
  const number = new Intl.NumberFormat(i18n.language);
  return (
    <>
      <Section title={t("common.details")}>
        <Facts
          items={[
            { label: t("verifications.target"), value: targetName },
            { label: t("verifications.asked"), value: `${grade} · ${t(`verifications.grade${grade}`)}` },
            {
              label: t("verifications.reached"),
              value:
                finishedAt === null
                  ? null
                  : reachedGrade === null
                    ? t("verifications.none")
                    : `${reachedGrade} · ${t(`verifications.grade${reachedGrade}`)}`,
            },
            {
              label: t("verifications.looked"),
              value: report ? (
                <>
                  {`${t("record.entries")}: ${number.format(report.entries)} · `}
                  <Bytes of={report.bytes} />
                </>
              ) : null,
            },
            { label: t("restores.identityFile"), value: identityFile },
            { label: t("record.ended"), value: finishedAt === null ? null : <When at={finishedAt} /> },
            {
              label: t("records.took"),
              value:
                startedAt === null || finishedAt === null ? null : <Duration ms={finishedAt - startedAt} />,
            },
          ]}
        />
      </Section>
      {report ? <Checks report={report} /> : null}
    </>
  );
}

function Checks({ report }: { report: NonNullable<Verification["report"]> }) {
  const { t } = useTranslation();
  const columns: Column<Check>[] = [
    { label: t("verifications.grade"), cell: ({ grade }) => grade, width: 90 },
    { label: t("verifications.check"), cell: ({ name }) => name },
    { label: t("verifications.outcome"), cell: ({ outcome }) => <Outcome outcome={outcome} /> },
    { label: t("verifications.detail"), cell: ({ detail }) => <span className="long-name">{detail}</span> },
  ];
  return (
    <>
      <Section title={t("verifications.checks")}>
        <Rows
          caption={t("verifications.checks")}
          columns={columns}
          items={report.checks}
          keyOf={({ grade, name, detail }) => `${grade} ${name} ${detail}`}
        />
      </Section>
      {report.differenceCount === 0 ? null : (
        <Section title={t("verifications.differences")}>
          <Text size="sm" c="dimmed">
            {t("verifications.differencesLead", { count: report.differenceCount })}
          </Text>
          <Rows
            caption={t("verifications.differences")}
            items={report.differences}
            keyOf={({ path }) => path}
            columns={[
              {
                label: t("record.warningPath"),
                cell: ({ path }) => <span className="long-name">{path}</span>,
              },
              {
                label: t("record.warningReason"),
                cell: ({ reason }) => <span className="long-name">{reason}</span>,
              },
            ]}
          />
        </Section>
      )}
    </>
  );
}

function Outcome({ outcome }: { outcome: Check["outcome"] }) {
  const { t } = useTranslation();
  const look = {
    passed: { color: "green", variant: "light" },
    damaged: { color: "red", variant: "light" },
    not_checked: { variant: "default" },
  }[outcome];
  return <Badge {...look}>{t(`verifications.${outcome}`)}</Badge>;
}
