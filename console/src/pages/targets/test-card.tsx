import { Alert, Button, Group, Paper, Stack, Text, Title } from "@mantine/core";
import { IconCheck, IconPlugConnected, IconX } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../api/admin-api.ts";
import { queryClient, useAnswer, useChange } from "../../api/queries.ts";
import { formatDuration } from "../../components/duration.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { NodeSelect } from "../../components/node-select.tsx";
import { When } from "../../components/when.tsx";
import { useMe } from "../../session.tsx";
import type { Target } from "./target.ts";

/** Whether a server really can write to a target: asked now, and how it went last. */
export function TestCard({ target }: { target: Target }) {
  const { t } = useTranslation();
  const me = useMe();
  return (
    <Paper withBorder p="lg">
      <Stack>
        <div>
          <Title order={2} size="h5">
            {t("targets.test")}
          </Title>
          <Text size="sm" c="dimmed" mt={4}>
            {t("targets.testLead")} {target.type === "vault" ? t("targets.testVault") : null}
          </Text>
        </div>
        {me.may("operator") ? <TestForm target={target} /> : null}
        <LastOutcome target={target} />
      </Stack>
    </Paper>
  );
}

function TestForm({ target }: { target: Target }) {
  const { t } = useTranslation();
  const test = useChange(adminApi.testTarget);
  const [chosen, setChosen] = useState<number | null>(target.lastTest?.nodeId ?? null);
  const online = useAnswer(adminApi.listNodes, { query: { status: "online", limit: 1 } });
  const isVault = target.type === "vault";
  const nodeId = isVault ? null : (chosen ?? online.data?.items[0]?.id ?? null);
  // How it went is kept by the master, and stands below; what it refused to try does not.
  const refusal = test.error && ["NODE_COMMAND_FAILED", "AGENT_COMMAND_TIMEOUT"].includes(test.error.code);
  const run = async () => {
    try {
      await test.mutateAsync({ params: { id: String(target.id) }, body: { nodeId } });
    } catch {
      // A failure is kept as well, and stands below.
      await queryClient.invalidateQueries({ queryKey: ["/api/targets"] });
    }
  };
  return (
    <>
      <Group align="flex-end">
        {isVault ? null : (
          <NodeSelect label={t("targets.testFrom")} value={nodeId} onChange={setChosen} flex={1} miw={200} />
        )}
        <Button
          variant="light"
          leftSection={<IconPlugConnected size={16} aria-hidden />}
          onClick={run}
          loading={test.isPending}
          disabled={!isVault && nodeId === null}
        >
          {t("targets.testNow")}
        </Button>
      </Group>
      <ErrorNotice error={refusal ? null : test.error} />
    </>
  );
}

function LastOutcome({ target: { lastTest } }: { target: Target }) {
  const { t, i18n } = useTranslation();
  if (!lastTest)
    return (
      <Text size="sm" c="dimmed">
        {t("targets.neverTested")}
      </Text>
    );
  const { ok, nodeName, milliseconds, message, at } = lastTest;
  const time = formatDuration(milliseconds ?? 0, i18n.language);
  const success = nodeName
    ? t("targets.testOkFrom", { node: nodeName, time })
    : t("targets.testOk", { time });
  return (
    <Alert
      role="status"
      color={ok ? "green" : "red"}
      icon={ok ? <IconCheck aria-hidden /> : <IconX aria-hidden />}
    >
      <Text size="sm" className="long-name">
        {ok ? success : message}
      </Text>
      <Text size="xs" c="dimmed" mt={4}>
        {t("targets.lastTestFrom", { node: nodeName ?? t("targets.testByMaster") })} · <When at={at} />
      </Text>
    </Alert>
  );
}
