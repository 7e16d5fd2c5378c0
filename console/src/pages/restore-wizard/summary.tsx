import { Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../api/admin-api.ts";
import { useAnswer } from "../../api/queries.ts";
import { Bytes } from "../../components/bytes.tsx";
import { Facts } from "../../components/facts.tsx";
import type { RecordDetail } from "../records/record-detail.ts";
import { conflictWords } from "../restores/conflict-words.ts";
import { isDatabaseServer, type Plan } from "./plan.ts";

/** All that was chosen, before it happens. */
export function Summary({ record, plan }: { record: RecordDetail; plan: Plan }) {
  const { t } = useTranslation();
  const node = useAnswer(
    adminApi.getNode,
    { params: { id: String(plan.nodeId) } },
    { enabled: plan.nodeId !== null },
  );
  const copy = record.copies.find(({ targetId }) => targetId === plan.targetId);
  const chosen = isDatabaseServer(record) ? plan.databases : plan.paths;
  const renames = plan.renames.filter(({ from, to }) => from && to);
  return (
    <Facts
      items={[
        {
          label: t("restores.what"),
          value:
            plan.scope === "whole" ? (
              <>
                {t("restores.everything")}
                {record.sourceBytes === null ? null : (
                  <>
                    {" · "}
                    <Bytes of={record.sourceBytes} />
                  </>
                )}
              </>
            ) : (
              <Stack gap={2}>
                {chosen.map((one) => (
                  <Text key={one} size="xs" ff="monospace">
                    {one}
                  </Text>
                ))}
              </Stack>
            ),
        },
        { label: t("restores.node"), value: node.data?.name ?? "–" },
        {
          label: t("restores.where"),
          value: plan.place === "folder" ? plan.folder : t("restores.originalPlace"),
        },
        {
          label: t("wizard.rename"),
          value: renames.length === 0 ? null : renames.map(({ from, to }) => `${from} → ${to}`).join(", "),
        },
        { label: t("restores.conflict"), value: conflictWords(t)[plan.conflict] },
        { label: t("wizard.copyFrom"), value: copy?.targetName ?? t("wizard.automatic") },
        { label: t("restores.identityFile"), value: plan.identityFile.trim() || null },
      ]}
    />
  );
}
