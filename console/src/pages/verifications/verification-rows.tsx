import { Anchor } from "@mantine/core";
import { IconShieldCheck } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { z } from "zod";
import { adminApi } from "../../api/admin-api.ts";
import { usePages } from "../../api/queries.ts";
import { EmptyState } from "../../components/empty-state.tsx";
import { type Column, PagedRows } from "../../components/rows.tsx";
import { StatusBadge } from "../../components/status-badge.tsx";
import { When } from "../../components/when.tsx";
import { VerifiedMark } from "../records/verified-mark.tsx";

type Verification = z.output<typeof adminApi.listVerifications.reply>["items"][number];
export type VerificationQuery = z.input<typeof adminApi.listVerifications.query>;

type Props = {
  /** What they are narrowed to. */
  query: VerificationQuery;
  /** What is said when there are none; by default that nothing was verified yet. */
  none?: ReactNode;
};

/** Verifications, newest first, of all backups or of one. */
export function VerificationRows({ query, none }: Props) {
  const { t } = useTranslation();
  const pages = usePages(adminApi.listVerifications, query);
  return (
    <PagedRows
      caption={t("verifications.title")}
      columns={useColumns(query.recordId === undefined)}
      keyOf={({ id }) => id}
      pages={pages}
      empty={
        none ?? (
          <EmptyState
            icon={IconShieldCheck}
            title={t("verifications.emptyTitle")}
            text={t("verifications.emptyText")}
          />
        )
      }
    />
  );
}

function useColumns(ofAll: boolean): Column<Verification>[] {
  const { t } = useTranslation();
  return [
    {
      label: t("verifications.title"),
      cell: ({ id }) => (
        <Anchor component={Link} to={`/verifications/${id}`} size="sm" fw={500}>
          {t("verifications.number", { id })}
        </Anchor>
      ),
    },
    {
      label: t("records.status"),
      cell: ({ status, damaged }) => <StatusBadge status={damaged ? "damaged" : status} />,
    },
    ...(ofAll
      ? [
          {
            label: t("verifications.record"),
            cell: ({ recordId }: Verification) => (
              <Anchor component={Link} to={`/records/${recordId}`} size="sm">
                {t("record.number", { id: recordId })}
              </Anchor>
            ),
          },
        ]
      : []),
    {
      label: t("verifications.target"),
      cell: ({ targetName }) => <span className="long-name">{targetName ?? "–"}</span>,
    },
    {
      label: t("verifications.node"),
      cell: ({ nodeName }) => <span className="long-name">{nodeName ?? "–"}</span>,
    },
    {
      label: t("verifications.asked"),
      cell: ({ grade }) => <span className="one-line">{t("verifications.gradeShort", { grade })}</span>,
    },
    {
      label: t("verifications.reached"),
      cell: ({ reachedGrade }) =>
        reachedGrade === null ? t("verifications.none") : <VerifiedMark grade={reachedGrade} />,
    },
    { label: t("records.started"), cell: ({ createdAt }) => <When at={createdAt} /> },
  ];
}
