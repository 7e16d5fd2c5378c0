import { Anchor, Group, Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { adminApi } from "../../api/admin-api.ts";
import { useAnswer } from "../../api/queries.ts";
import { Facts } from "../../components/facts.tsx";
import { Section } from "../../components/section.tsx";
import { StatusBadge } from "../../components/status-badge.tsx";
import { When } from "../../components/when.tsx";
import type { RecordDetail } from "./record-detail.ts";

/** How far a backup was proved to be readable, and how the last check of it went. */
export function VerificationFacts({ record }: { record: RecordDetail }) {
  const { t } = useTranslation();
  const { verifiedGrade, verifiedAt, verifiedNodeId, lastVerification: last } = record;
  const node = useAnswer(
    adminApi.getNode,
    { params: { id: String(verifiedNodeId) } },
    { enabled: verifiedNodeId !== null },
  );
  return (
    <Section title={t("record.verification")}>
      {verifiedGrade === null && last === null ? (
        <Text size="sm" c="dimmed">
          {t("record.neverVerified")}
        </Text>
      ) : (
        <Facts
          items={[
            {
              label: t("record.reached"),
              value:
                verifiedGrade === null
                  ? t("verifications.none")
                  : `${verifiedGrade} · ${t(`verifications.grade${verifiedGrade}`)}`,
            },
            { label: t("records.verified"), value: verifiedAt === null ? null : <When at={verifiedAt} /> },
            { label: t("verifications.node"), value: node.data?.name ?? null },
            {
              label: t("record.lastResult"),
              value: last === null ? null : <LastResult last={last} />,
            },
          ]}
        />
      )}
    </Section>
  );
}

function LastResult({ last }: { last: NonNullable<RecordDetail["lastVerification"]> }) {
  const { t } = useTranslation();
  return (
    <Stack gap={4}>
      <Group gap="xs">
        <StatusBadge status={last.damaged ? "damaged" : last.status} />
        <Anchor component={Link} to={`/verifications/${last.id}`} size="sm">
          {t("verifications.number", { id: last.id })}
        </Anchor>
      </Group>
      {last.errorMessage === "" ? null : (
        <Text size="sm" className="long-name">
          {last.errorMessage}
        </Text>
      )}
    </Stack>
  );
}
